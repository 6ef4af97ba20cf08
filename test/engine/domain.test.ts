import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { DomainEvent } from '../../src/engine/control.ts'
import { connectDomain, findDomain, listDomains } from '../../src/engine/domains.ts'
import { domainsDir, dumpDir, namesDir, type XtPaths } from '../../src/engine/paths.ts'
import { stateLetters } from '../../src/engine/vm-state.ts'
import { connectXenstore, type ToolstackClient } from '../../src/xenstored/client.ts'
import { ensureXenstored } from '../../src/xenstored/ensure.ts'
import { eventually, lab } from './fixtures/launch-fake.ts'

type Teardown = Parameters<typeof lab>[0]

async function openStore(t: Teardown, paths: XtPaths): Promise<ToolstackClient> {
  const { socketPath } = await ensureXenstored(paths.runDir)
  const store = await connectXenstore({ socketPath })
  t.teardown(() => store.close())
  return store
}

const open = async (t: Teardown, paths: XtPaths, name: string) => {
  const client = await connectDomain(await findDomain(paths, name))
  t.teardown(() => client[Symbol.dispose]())
  return client
}

/** A killed child stays as a zombie until it is reaped; its other threads may take a moment longer to end. */
const isRunning = (pid: number): boolean => {
  try {
    const isZombie = readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
    return !isZombie || readdirSync(`/proc/${pid}/task`).length > 1
  } catch {
    return false
  }
}

/** Nothing of any domain: no entry, no name, no node. */
async function assertNothingLeft(t: Test, paths: XtPaths, store: ToolstackClient): Promise<void> {
  t.same(readdirSync(domainsDir(paths)), [])
  t.same(readdirSync(namesDir(paths)), [])
  t.same(await store.directory('/local/domain'), ['0'])
  t.same(await store.directory('/vm'), [])
  t.same(await store.directory('/libxl'), [])
}

t.test('a domain is launched, listed, paused, resumed, renamed, destroyed, and leaves nothing', async (t) => {
  const { paths, launch } = lab(t)
  const { domid, pid, log } = await launch()
  const store = await openStore(t, paths)
  const client = await open(t, paths, 'guest')
  t.match(await client.info(), { domid, pid, name: 'guest', state: 'running', pauseCount: 0, memoryMiB: 64 })
  t.equal(stateLetters(await client.info()), 'r-----')
  t.equal(await store.read(`/local/domain/${domid}/name`), 'guest')
  t.ok(await store.isIntroduced(domid))

  await client.pause()
  t.equal(stateLetters(await client.info()), '--p---')
  await client.unpause()
  await client.rename('renamed')
  t.match(await findDomain(paths, 'renamed'), { domid })
  t.equal(await store.read(`/local/domain/${domid}/name`), 'renamed')

  await client.destroy()
  await eventually(() => (isRunning(pid) ? undefined : true))
  await assertNothingLeft(t, paths, store)
  t.match(readFileSync(log, 'utf8'), /domain guest is gone/)
})

t.test('a paused domain is complete and does not run until it is unpaused', async (t) => {
  const { paths, launch } = lab(t)
  const { dir } = await launch({}, { paused: true })
  const client = await open(t, paths, 'guest')
  t.match(await client.info(), { state: 'paused', pauseCount: 1 })
  t.notOk(existsSync(join(dir, 'runs')))
  await client.unpause()
  t.ok(existsSync(join(dir, 'runs')))
})

t.test('two domains live beside one another; a taken name is refused', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ name: 'one' })
  await launch({ name: 'two' })
  await t.rejects(launch({ name: 'one' }), { code: 'XT_NAME_IN_USE', exit: 1 })
  t.same(
    (await listDomains(paths)).map(({ name }) => name),
    ['one', 'two'],
  )
})

t.test('a guest that powers off is cleaned up; followers hear reason and action', async (t) => {
  const { paths, launch } = lab(t)
  const { pid, log } = await launch({ cmdline: 'end 0' }, { paused: true })
  const store = await openStore(t, paths)
  const client = await open(t, paths, 'guest')
  const events: DomainEvent[] = []
  await client.subscribe((event) => events.push(event))
  await client.unpause()
  await client.closed
  await eventually(() => (isRunning(pid) ? undefined : true))
  t.same(events, [
    { type: 'state', state: 'running' },
    { type: 'state', state: 'shutdown' },
    { type: 'shutdown', reason: 0, action: 'destroy', detail: 'as the command line said' },
    { type: 'state', state: 'dying' },
    { type: 'state', state: 'gone' },
  ])
  const text = readFileSync(log, 'utf8')
  t.match(text, /Domain 1 has shut down, reason code 0 0x0/)
  t.match(text, /Action for shutdown reason code 0 is destroy/)
  t.match(text, /Done\. Exiting now/)
  await assertNothingLeft(t, paths, store)
})

t.test('a guest that reboots comes back under a new number with the same name', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end-once 1' }, { paused: true })
  const client = await open(t, paths, 'guest')
  const restarted = new Promise<number>((settle) => {
    void client.subscribe((event) => event.type === 'restarted' && settle(event.domid))
  })
  await client.unpause()
  const number = await restarted
  t.equal(number, 2)
  t.match(await listDomains(paths), [{ domid: 2, name: 'guest' }])
})

t.test('rename-restart keeps the dead one under a dated name beside the new one', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end-once 3', onCrash: 'rename-restart' })
  const both = await eventually(async () => {
    const list = await listDomains(paths)
    return list.length === 2 ? list : undefined
  })
  t.match(both[0]?.name, /^guest-\d{8}T\d{4}Z$/)
  t.match(both[1], { domid: 2, name: 'guest' })
  const kept = await open(t, paths, '1')
  t.match(await kept.info(), { state: 'shutdown', shutdownReason: 3 })
  t.equal(stateLetters(await kept.info()), '---sc-')
})

t.test('a preserved guest stays listed and can be destroyed; it takes no requests any more', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end 0', onPoweroff: 'preserve' })
  const client = await open(t, paths, 'guest')
  await eventually(async () => ((await client.info()).state === 'shutdown' ? true : undefined))
  t.match(await client.info(), { shutdownReason: 0, detail: 'as the command line said' })
  await t.rejects(client.shutdown(), {
    code: 'XT_NOT_NOW',
    message: 'cannot poweroff: the domain is shutdown',
  })
  await client.destroy()
  t.same(await listDomains(paths), [])
})

t.test('without a monitor nothing is done about a guest that ended', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end 1' }, { monitor: false })
  const client = await open(t, paths, 'guest')
  await eventually(async () => ((await client.info()).state === 'shutdown' ? true : undefined))
  t.match(await client.info(), { shutdownReason: 1 })
})

t.test('coredump-destroy writes the guest’s memory before it goes', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end 3', onCrash: 'coredump-destroy' })
  await eventually(async () => ((await listDomains(paths)).length === 0 ? true : undefined))
  const core = readFileSync(join(dumpDir(paths), 'guest'))
  t.same([...core.subarray(0x1000 + 0x1000, 0x1000 + 0x1003)], [1, 2, 3])
})

t.test('shutdown writes the request for the guest and settles when the guest takes it', async (t) => {
  const { paths, launch } = lab(t)
  const { domid } = await launch()
  const store = await openStore(t, paths)
  const control = `/local/domain/${domid}/control`
  await store.write(`${control}/feature-poweroff`, '1')
  const client = await open(t, paths, 'guest')
  const seen: string[] = []
  await store.watch(`${control}/shutdown`, () => {
    void store.read(`${control}/shutdown`).then((value) => {
      if (value === '') return
      seen.push(value)
      return store.write(`${control}/shutdown`, '')
    })
  })
  t.equal(await client.shutdown(), null)
  t.same(seen, ['poweroff'])
})

t.test('destroying a domain ends a request that its guest never takes', async (t) => {
  const { paths, launch } = lab(t)
  const { domid } = await launch()
  const store = await openStore(t, paths)
  await store.write(`/local/domain/${domid}/control/feature-reboot`, '1')
  const client = await open(t, paths, 'guest')
  const asked = client.reboot()
  await eventually(async () =>
    (await store.read(`/local/domain/${domid}/control/shutdown`)) === 'reboot' ? true : undefined,
  )
  await client.destroy()
  await asked.catch(() => {})
  t.same(await listDomains(paths), [])
})

t.test(
  'a domain process killed with SIGKILL is cleaned up by the next command, nodes included',
  async (t) => {
    const { paths, launch } = lab(t)
    const { pid, domid } = await launch()
    const store = await openStore(t, paths)
    process.kill(pid, 'SIGKILL')
    await eventually(() => (isRunning(pid) ? undefined : true))
    t.equal(await store.read(`/local/domain/${domid}/name`), 'guest')
    t.same(await listDomains(paths), [])
    await assertNothingLeft(t, paths, store)
    t.equal((await launch()).domid, 2)
  },
)

t.test('the name of a killed domain can be used at once', async (t) => {
  const { paths, launch } = lab(t)
  const { pid } = await launch()
  process.kill(pid, 'SIGKILL')
  await eventually(() => (isRunning(pid) ? undefined : true))
  t.equal((await launch()).domid, 2)
  t.match(await listDomains(paths), [{ domid: 2 }])
})

t.test('SIGTERM and SIGINT destroy the domain cleanly', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { paths, launch } = lab(t)
    const { pid } = await launch()
    const store = await openStore(t, paths)
    process.kill(pid, signal)
    await eventually(() => (isRunning(pid) ? undefined : true))
    await assertNothingLeft(t, paths, store)
  }
})

t.test('a broken vCPU thread and an exception nobody caught stop the VM with a report', async (t) => {
  for (const [cmdline, report] of [
    ['fail', 'the machine was stopped: the fake thread broke'],
    ['crash-process', 'the machine was stopped: nobody caught this'],
  ] as const) {
    const { paths, launch } = lab(t)
    const { pid, log } = await launch({ cmdline })
    const store = await openStore(t, paths)
    await eventually(() => (isRunning(pid) ? undefined : true))
    t.match(readFileSync(log, 'utf8'), report)
    await assertNothingLeft(t, paths, store)
  }
})

t.test('mistakes of the user are one error each, and leave no process and no file', async (t) => {
  const { paths, launch, config } = lab(t)
  const broken = join(paths.runDir, '..', 'broken.ts')
  writeFileSync(broken, 'export default { name: "old", api: 0 }\n')
  const directory = join(paths.runDir, '..')
  const cases = [
    [
      { kernel: '/nowhere/vmlinuz' },
      'XT_FILE_UNREADABLE',
      /^kernel \/nowhere\/vmlinuz: there is no such file$/,
    ],
    [{ ramdisk: directory }, 'XT_FILE_UNREADABLE', /^ramdisk .*: it is a directory$/],
    [{ kernel: undefined }, 'XT_KERNEL_MISSING', /Neither kernel nor bootloader specified/],
    [{ type: 'pv' }, 'XT_TYPE_UNSUPPORTED', /only PVH/],
    [{ plugins: ['no-such-package'] }, 'XT_PLUGIN_NOT_FOUND', /^plugin no-such-package: there is no package/],
    [{ plugins: ['./nowhere.ts'] }, 'XT_PLUGIN_NOT_FOUND', /does not exist/],
    [{ plugins: [broken] }, 'XT_PLUGIN_API', /^plugin old is written for plugin API 0, this xt has 1$/],
    [{ maxMemoryKiB: 5 << 20 }, 'XT_MEMORY_UNUSABLE', /^cannot make a machine of 5120 MiB/],
  ] as const
  const store = await openStore(t, paths)
  for (const [more, code, message] of cases) {
    await t.rejects(launch({ ...config(), ...more } as never), { code, message })
  }
  await assertNothingLeft(t, paths, store)
})

t.test('a launcher that breaks off takes the domain that is being made with it', async (t) => {
  const { paths, launch } = lab(t)
  const stuck = join(paths.runDir, '..', 'stuck.ts')
  writeFileSync(
    stuck,
    `const schema = { safeParse: (data) => ({ success: true, data }) }
     const attach = () => new Promise(() => {})
     export default { name: 'stuck', api: 1, config: schema, setup: () => ({ attach }) }`,
  )
  const breaking = new AbortController()
  const progress: string[] = []
  const onProgress = (line: string) => {
    progress.push(line)
    breaking.abort()
  }
  await t.rejects(launch({ plugins: [stuck] }, { signal: breaking.signal, onProgress }))
  t.same(progress, ['waiting for stuck attach'])
  t.same(await listDomains(paths), [])
})

t.test('a domain process that cannot even begin is reported with its log', async (t) => {
  const { paths, launch } = lab(t)
  const entry = new URL(`file://${join(paths.runDir, '..', 'no-such-program.ts')}`)
  await t.rejects(launch({}, { entry }), {
    code: 'XT_DOMAIN_PROCESS_FAILED',
    message: /the process of domain guest ended before the guest ran: exit status 1/,
  })
})

t.test('a long log is put aside when its domain starts', async (t) => {
  const { launch } = lab(t)
  const { log } = await launch({ cmdline: 'end 0' })
  writeFileSync(log, 'x'.repeat(2 << 20))
  await eventually(() => launch().catch(() => undefined))
  t.equal(statSync(`${log}.1`).size >= 2 << 20, true)
})

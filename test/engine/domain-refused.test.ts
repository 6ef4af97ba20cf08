import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { listDomains } from '../../src/engine/domains.ts'
import {
  assertNothingLeft,
  eventually,
  isRunning,
  lab,
  openDomain,
  openStore,
} from './fixtures/launch-fake.ts'

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
    [{ ramdisk: directory }, 'XT_FILE_UNREADABLE', /^ramdisk .*: it is no regular file$/],
    [{ kernel: undefined }, 'XT_KERNEL_MISSING', /Neither kernel nor bootloader specified/],
    [{ type: 'pv' }, 'XT_TYPE_UNSUPPORTED', /only PVH/],
    [{ plugins: ['no-such-package'] }, 'XT_PLUGIN_NOT_FOUND', /^plugin no-such-package: there is no package/],
    [{ plugins: ['./nowhere.ts'] }, 'XT_PLUGIN_NOT_FOUND', /does not exist/],
    [{ plugins: [broken] }, 'XT_PLUGIN_API', /^plugin old is written for plugin API 0, this xt has 1$/],
    [{ maxMemoryKiB: 5 << 20 }, 'XT_MEMORY_UNUSABLE', /^cannot make a machine of 5120 MiB/],
  ] as const
  const store = await openStore(t, paths)
  for (const [more, code, message] of cases) {
    await t.rejects(launch({ ...config(), ...more } as never), { code, message, exit: 3 })
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

t.test(
  'a bootloader that hangs is told to who waits, and ends with the launcher or by destroy',
  async (t) => {
    const { paths, launch } = lab(t)
    const [program, pidFile] = ['loader', 'pid'].map((name) => join(paths.runDir, '..', name)) as [
      string,
      string,
    ]
    writeFileSync(program, `#!/bin/sh\necho $$ >${pidFile}\nsleep 600\n`, { mode: 0o755 })
    const disks = [
      { target: '/d.img', vdev: 'xvda', vdevNumber: 51712, format: 'raw', readwrite: true },
    ] as const
    const guest = { bootloader: program, disks: [...disks] } as never
    const breaking = new AbortController()
    const progress: string[] = []
    const onProgress = (line: string) => {
      progress.push(line)
      breaking.abort()
    }
    await t.rejects(launch(guest, { signal: breaking.signal, onProgress }))
    t.same(progress, [`waiting for ${program} (/d.img)`])
    t.notOk(isRunning(Number(readFileSync(pidFile, 'utf8'))))

    rmSync(pidFile)
    const refused = t.rejects(launch(guest), { code: 'XT_BROKEN_OFF' })
    await eventually(() => (existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '' ? true : undefined))
    await (await openDomain(t, paths, 'guest')).destroy()
    await refused
    t.notOk(isRunning(Number(readFileSync(pidFile, 'utf8'))))
    await assertNothingLeft(t, paths, await openStore(t, paths))
  },
)

t.test('a domain process that cannot even begin is reported with its log', async (t) => {
  const { paths, launch } = lab(t)
  const entry = new URL(`file://${join(paths.runDir, '..', 'no-such-program.ts')}`)
  await t.rejects(launch({}, { entry }), {
    code: 'XT_DOMAIN_PROCESS_FAILED',
    message: /the process of domain guest ended before the guest ran: exit status 1/,
  })
})

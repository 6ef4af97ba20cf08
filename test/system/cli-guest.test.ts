/** The whole way: `xt` from source, domain processes, software CPU, Xen shim, console, and a micro-guest that echoes. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectDomain, listDomains } from '../../src/engine/domains.ts'
import { xtPaths } from '../../src/engine/paths.ts'
import { at } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { buildGuest } from '../../src/testkit/micro-guests/guest.ts'
import { buildHello } from '../../src/testkit/micro-guests/hello.ts'
import { Terminal } from '../cli/terminal.ts'
import { finished, root, startXt, xt, xtHome } from '../commands/fake-domain.ts'

t.setTimeout(300_000)

/** A home with hello.elf and hello.cfg; what still runs at the end is destroyed. */
function lab(t: Test): { home: string; cfg: string } {
  const home = xtHome(t)
  const cfg = join(home, 'hello.cfg')
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'hello.elf'), buildHello())
  writeFileSync(cfg, `name="hello"\ntype="pvh"\nmemory=16\nkernel="${join(home, 'hello.elf')}"\n`)
  t.teardown(async () => {
    for (const entry of await listDomains(xtPaths({ XT_HOME: home }))) {
      using client = await connectDomain(entry)
      await client.destroy()
    }
  })
  return { home, cfg }
}

/** Asks until the answer is yes; a test that waits for something that never comes fails. */
async function until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await ask()) return
    await new Promise((settle) => setTimeout(settle, 50))
  }
  throw new Error(`never happened: ${what}`)
}

const left = (home: string) => ['domains', 'names'].flatMap((dir) => readdirSync(join(home, 'run', dir)))

t.test(
  'create -c on a terminal: greets, echoes, Ctrl-] leaves; console comes back with what was there; exit ends',
  async (t) => {
    const { home, cfg } = lab(t)
    const env = { XT_HOME: home }
    const dev = join(root, 'bin', 'dev.js')
    const first = new Terminal(process.execPath, [dev, 'create', '-c', cfg], env)
    t.teardown(() => first.kill())
    await first.sees('> ')
    first.type('one\r')
    await first.sees('you said: one')
    first.type('\x1d')
    t.equal((await first.exited).exitCode, 0)
    t.match(first.output, 'Connected to hello (domid 1). Ctrl-] leaves.')

    t.match((await xt(home, 'list')).stdout, /^hello {40}1 {4}16 {5}1 {5}[rb-]{2}---- /m)

    const second = new Terminal(process.execPath, [dev, 'console', 'hello'], env)
    t.teardown(() => second.kill())
    await second.sees('you said: one')
    second.type('exit\r')
    t.equal((await second.exited).exitCode, 0)
    t.match(second.output, /Goodbye\..*The console of hello was closed: the guest has ended\./s)
    await until('the domain is gone', () => left(home).length === 0)
  },
)

t.test(
  'create -F -c without a terminal misses no byte of a guest that ends at once, and says what xl says',
  async (t) => {
    const { home, cfg } = lab(t)
    const child = startXt(home, ['create', '-F', '-c', cfg], 'pipe')
    const result = finished(child)
    child.stdin?.end('hi\rexit\r')
    const { status, stdout, stderr } = await result
    t.equal(status, 0)
    t.match(stdout, /^Hello from a micro-guest.*you said: hi.*Goodbye\.\s+$/s)
    t.equal(
      stderr.replace(/pid \d+/, 'pid P'),
      `Parsing config from ${cfg}
Waiting for domain hello (domid 1) to die [pid P]
Domain 1 has shut down, reason code 0 0x0
Action for shutdown reason code 0 is destroy
Domain 1 needs to be cleaned up: destroying the domain
Done. Exiting now
`,
    )
    t.same(left(home), [])
  },
)

t.test('create -p leaves it paused; unpause, pause and destroy act; nothing is left behind', async (t) => {
  const { home, cfg } = lab(t)
  t.same(await xt(home, 'create', '-q', '-p', cfg), { status: 0, stdout: '', stderr: '' })
  const letters = async () => /^hello.{58}(.{6})/m.exec((await xt(home, 'list')).stdout)?.[1]
  t.equal(await letters(), '--p---')
  t.equal((await xt(home, 'unpause', 'hello')).status, 0)
  t.match(await letters(), /^[rb-]{2}----$/)
  t.equal((await xt(home, 'pause', 'hello')).status, 0)
  t.equal(await letters(), '--p---')
  t.equal((await xt(home, 'destroy', '1')).status, 0)
  t.equal((await xt(home, 'list')).stdout.split('\n').length, 2)
  t.same(left(home), [])
})

t.test('a name in use, no kernel, a kernel that is none: one sentence, nothing left', async (t) => {
  const { home, cfg } = lab(t)
  t.equal((await xt(home, 'create', '-q', cfg)).status, 0)
  const twice = await xt(home, 'create', '-q', cfg)
  t.match(twice.stderr, /^Domain with name "hello" already exists/)
  t.not(twice.status, 0)
  t.equal((await xt(home, 'destroy', 'hello')).status, 0)
  for (const [setting, sentence] of [
    ['kernel="/nosuch"', /^kernel \/nosuch: there is no such file/],
    [`kernel="${cfg}"`, /kernel/],
    ['type="pv"', /PV guests cannot be run/],
    ['plugins=["nosuch"]', /plugin nosuch/],
  ] as const) {
    const { status, stdout, stderr } = await xt(home, 'create', '-q', cfg, setting)
    t.match(stderr, sentence)
    t.notMatch(stderr, /^ +at /m, 'no stack')
    t.equal(stdout, '')
    t.not(status, 0)
    t.same(left(home), [])
  }
})

t.test('a domain process killed with SIGKILL ends its console, and the next command clears up', async (t) => {
  const { home, cfg } = lab(t)
  const child = startXt(home, ['create', '-c', cfg], 'pipe')
  const console = finished(child)
  child.stdout?.once('data', async () => {
    const [entry] = await listDomains(xtPaths({ XT_HOME: home }))
    using client = await connectDomain(entry!)
    process.kill((await client.info()).pid, 'SIGKILL')
  })
  t.equal((await console).status, 0)
  t.equal((await xt(home, 'list')).stdout.split('\n').length, 2)
  t.same(left(home), [])
})

t.test('an ended guest stays listed after create -e, with the reason', async (t) => {
  const { home, cfg } = lab(t)
  const child = startXt(home, ['create', '-q', '-e', '-c', cfg], 'pipe')
  const result = finished(child)
  child.stdin?.end('exit\r')
  await until('it has ended', async () => (await xt(home, 'list')).stdout.includes('---s--'))
  t.equal((await xt(home, 'destroy', 'hello')).status, 0)
  t.equal((await result).status, 0)
  t.same(left(home), [])
})

t.test(
  'a guest that prints 4 MB while nobody is attached is not held up, and the last of it is shown later',
  async (t) => {
    const { home, cfg } = lab(t)
    const flood = buildGuest((g) => {
      g.emit('MOV', 'r14d', 4096).label('again')
      g.print(`${'x'.repeat(1022)}\r\n`)
        .emit('DEC', 'r14d')
        .jcc('NZ', 'again')
      g.print('that was all\r\n').call('getc').jmp('power_off')
    })
    writeFileSync(join(home, 'hello.elf'), flood)
    t.equal((await xt(home, 'create', '-q', cfg)).status, 0)
    await until('it waits for a key', async () => (await xt(home, 'list')).stdout.includes(' -b----'))
    const child = startXt(home, ['console', 'hello'], 'pipe')
    const result = finished(child)
    child.stdin?.end('x')
    const { stdout } = await result
    t.match(stdout, /^\r\n\[xt: \d+ bytes of output are no longer kept\]\r\nx/)
    t.match(stdout, /x\r\nthat was all\r\n/)
    t.ok(stdout.length > 1_000_000 && stdout.length < 1_100_000)
  },
)

t.test('create -F follows a guest through its reboot to the end, under the new number', async (t) => {
  const { home, cfg } = lab(t)
  // Prints a prompt; "r" reboots it, anything else powers it off.
  const guest = buildGuest((g) => {
    g.print('reboot? ').call('getc').emit('CMP', 'al', 'r'.charCodeAt(0)).jcc('NE', 'power_off')
    g.emit('MOV', at('shutdown_reason', { size: 32 }), 1).jmp('power_off')
  })
  writeFileSync(join(home, 'hello.elf'), guest)
  const following = finished(startXt(home, ['create', '-q', '-F', cfg], 'ignore'))
  const answer = async (key: string) => {
    const console = startXt(home, ['console', 'hello'], 'pipe')
    const shown = finished(console)
    console.stdin?.end(key)
    t.match(await shown, { status: 0, stdout: /^reboot\? / })
  }
  for (const [number, key] of [
    ['1', 'r'],
    ['2', 'x'],
  ] as const) {
    await until(`domain ${number}`, async () => (await xt(home, 'domname', number)).stdout === 'hello\n')
    await answer(key)
  }
  const { status, stderr } = await following
  t.equal(status, 0)
  t.equal(
    stderr.replace(/pid \d+/g, 'pid P'),
    `Waiting for domain hello (domid 1) to die [pid P]
Domain 1 has shut down, reason code 1 0x1
Action for shutdown reason code 1 is restart
Domain 1 needs to be cleaned up: destroying the domain
Done. Rebooting now
Waiting for domain hello (domid 2) to die [pid P]
Domain 2 has shut down, reason code 0 0x0
Action for shutdown reason code 0 is destroy
Domain 2 needs to be cleaned up: destroying the domain
Done. Exiting now
`,
  )
  t.same(left(home), [])
})

t.test('create -F ends when the guest does, and leaves it where it is to be preserved', async (t) => {
  const { home, cfg } = lab(t)
  writeFileSync(
    join(home, 'hello.elf'),
    buildGuest((g) => g.print('bye').jmp('power_off')),
  )
  const { status, stderr } = await xt(home, 'create', '-q', '-F', cfg, 'on_poweroff="preserve"')
  t.equal(status, 0)
  t.equal(
    stderr.replace(/pid \d+/g, 'pid P'),
    `Waiting for domain hello (domid 1) to die [pid P]
Domain 1 has shut down, reason code 0 0x0
Action for shutdown reason code 0 is preserve
Done. Exiting now
`,
  )
  t.match((await xt(home, 'list')).stdout, /^hello +1 .* ---s--/m)
  t.equal((await xt(home, 'destroy', 'hello')).status, 0)
  t.same(left(home), [])
})

t.test('Ctrl-C while a domain is being created takes it back', async (t) => {
  const { home, cfg } = lab(t)
  const plugin = join(home, 'slow.ts')
  writeFileSync(
    plugin,
    `import { definePlugin } from 'xt/plugin'
     import { z } from 'zod'
     const setup = () => ({ attach: () => new Promise(() => {}) })
     export default definePlugin({ name: 'slow', api: 1, config: z.strictObject({}), setup })`,
  )
  const child = startXt(home, ['create', cfg, `plugins=["${plugin}"]`], 'ignore')
  const result = finished(child)
  await until('it is under way', () => existsSync(join(home, 'run', 'names', 'hello')))
  child.kill('SIGINT')
  const { status, stderr } = await result
  t.equal(status, 130)
  t.match(stderr, /Stopped: nothing is left of hello\.\n$/)
  t.same(left(home), [])
})

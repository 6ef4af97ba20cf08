import { spawn } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { FakeDomain, finished, root, startXt, xt, xtHome } from '../commands/fake-domain.ts'
import { testStore } from '../xenstored/store-process.ts'
import { Terminal } from './terminal.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

const DEV = join(root, 'bin', 'dev.js')

/** A shell in which xt runs as a person would run it: `stty` tells afterwards whether the terminal is sane. */
function shell(t: Test, home: string, line: string): Terminal {
  const terminal = new Terminal('/bin/sh', ['-c', `${line}; echo "status $?"; stty -a`], {
    XT_HOME: home,
    XT: `${process.execPath} ${DEV}`,
  })
  t.teardown(() => terminal.kill())
  return terminal
}

/** Line editing, echo and signals are on again. */
const SANE = /[^-]icanon.*[^-]echo\b/s

t.test(
  'shows what was printed before, says how to leave, types, leaves on Ctrl-] with the terminal restored',
  async (t) => {
    const home = xtHome(t)
    const domain = await FakeDomain.start(t, home)
    domain.print('Booting ...\r\nlogin: ')
    const terminal = shell(t, home, '$XT console con')
    await terminal.sees('login: ')
    terminal.type('root\r')
    while (!domain.typed.includes('\r')) await new Promise((settle) => setTimeout(settle, 5))
    domain.print('root\r\nWelcome\r\n# ')
    await terminal.sees('# ')
    terminal.type('\x03\x1d')
    await terminal.sees('status')
    while (domain.console.clients > 0) await new Promise((settle) => setTimeout(settle, 5))
    t.equal(domain.typed, 'root\r\x03', 'Ctrl-C goes to the guest')
    t.same((await terminal.screen()).slice(0, 7), [
      'Connected to con (domid 1). Ctrl-] leaves.',
      'Booting ...',
      'login: root',
      'Welcome',
      '# ',
      'Detached from con; `xt console con` comes back.',
      'status 0',
    ])
    await terminal.exited
    t.match(terminal.output, SANE)
  },
)

t.test('waits for the console of a domain that is still being built', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home, 'con', { state: 'building', pauseCount: 1 })
  const terminal = shell(t, home, '$XT console con')
  await terminal.sees('for con to be built')
  domain.print('Hello\r\n')
  await domain.built()
  await terminal.sees('Hello')
  terminal.type('\x1d')
  await terminal.sees('status 0')
})

t.test('says that the guest has ended, and ends with status 0', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  const terminal = shell(t, home, '$XT console con')
  await terminal.sees('leaves.')
  domain.print('reboot: Power down\r\n')
  await domain.console.close()
  await terminal.exited
  t.match(terminal.output, /Power down.*The console of con was closed: the guest has ended\.\s+status 0/s)
  t.match(terminal.output, SANE)
})

t.test(
  'says how the guest ended: it crashed, starts again, or stays with nothing to attach to',
  async (t) => {
    const home = xtHome(t)
    for (const [reason, action, words] of [
      [3, 'destroy', 'was closed: the guest has crashed.'],
      [1, 'restart', 'was closed: the guest starts again as a new domain; `xt console con` attaches to it.'],
      [0, 'preserve', 'con has ended and stays as it is (`xt destroy` ends that). Ctrl-] leaves.'],
    ] as const) {
      const domain = await FakeDomain.start(t, home)
      const terminal = shell(t, home, '$XT console con')
      await terminal.sees('leaves.')
      while (domain.control.subscribers === 0) await new Promise((settle) => setTimeout(settle, 5))
      domain.control.tell({ type: 'shutdown', reason, action })
      if (action === 'preserve') {
        await terminal.sees(words)
        terminal.type('\x1d')
      } else await domain.end()
      await terminal.exited
      t.ok(terminal.output.includes(words), terminal.output)
      t.match(terminal.output, SANE)
      if (action === 'preserve') await domain.end()
    }
  },
)

t.test(
  'a second console that wants to type is refused in one sentence with the status of xl; -r watches',
  async (t) => {
    const home = xtHome(t)
    const domain = await FakeDomain.start(t, home)
    const terminal = shell(t, home, '$XT console con')
    await terminal.sees('leaves.')
    const { status, stdout, stderr } = await xt(home, 'console', 'con')
    t.same(
      { status, stdout, sentence: stderr.split('\n')[0] },
      { status: 11, stdout: '', sentence: 'The console of con is in use by another `xt console`.' },
    )
    const watching = finished(startXt(home, ['console', '-r', 'con'], 'ignore'))
    domain.print('for both')
    await terminal.sees('for both')
    while (domain.console.clients < 2) await new Promise((settle) => setTimeout(settle, 5))
    await domain.console.close()
    t.same(await watching, { status: 0, stdout: 'for both', stderr: '' })
  },
)

t.test('without a terminal, input is typed as it is and output goes on after its end', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  domain.print('early ')
  const child = startXt(home, ['console', 'con'], 'pipe')
  const result = finished(child)
  child.stdin?.end('poweroff\n\x1d')
  while (!domain.typed.includes('\x1d')) await new Promise((settle) => setTimeout(settle, 5))
  domain.print('late')
  await domain.console.close()
  t.equal(domain.typed, 'poweroff\n\x1d', 'the escape key is only for terminals')
  t.same(await result, { status: 0, stdout: 'early late', stderr: '' })
})

for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
  t.test(`${signal} from outside ends the console with the terminal restored`, async (t) => {
    const home = xtHome(t)
    await FakeDomain.start(t, home)
    const terminal = shell(t, home, `sh -c 'echo "pid $$"; exec $XT console con'`)
    await terminal.sees('leaves.')
    process.kill(Number(/pid (\d+)/.exec(terminal.output)?.[1]), signal)
    await terminal.exited
    t.match(terminal.output, new RegExp(`status ${{ SIGTERM: 143, SIGHUP: 129, SIGINT: 130 }[signal]}`))
    t.match(terminal.output, SANE)
  })
}

t.test('another escape key', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  const terminal = shell(t, home, '$XT console -e ^O con')
  await terminal.sees('Ctrl-O leaves.')
  terminal.type('\x1d')
  while (domain.typed === '') await new Promise((settle) => setTimeout(settle, 5))
  terminal.type('\x0f')
  await terminal.sees('status 0')
  t.equal(domain.typed, '\x1d')
})

const noKoffi = await import('koffi').then(
  () => false,
  () => 'koffi is not installed',
)

t.test('commands that go on end when nobody reads them any more', { skip: noKoffi }, async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  const store = await testStore(t)
  symlinkSync(join(store.runDir, 'xenstored'), join(home, 'run', 'xenstored'))
  domain.print('the first line\nand then nothing ...')
  const line = { timeMs: 0, kind: 'event', source: 'guest', text: '' } as const
  const batches = [{ lines: [line, line], dropped: 0 }]
  domain.onTrace = async () => {
    const batch = batches.shift()
    if (batch === undefined) await sleep(20)
    return batch ?? { lines: [], dropped: 0 }
  }
  for (const command of ['console -r con', 'console con', 'trace con', 'xenstore watch /nosuch']) {
    // A pipe as shells make them, and standard input that does not end.
    const script = `{ "$0" "$1" ${command}; echo "status $?" >&2; } | head -n 1`
    const child = spawn('sh', ['-c', script, process.execPath, DEV], {
      env: { ...process.env, XT_HOME: home },
      stdio: 'pipe',
    })
    t.teardown(() => child.stdin.end())
    const { stdout, stderr } = await finished(child)
    t.not(stdout, '', command)
    t.match(stderr, /^status 141$/m, command)
  }
  while (domain.console.clients > 0) await sleep(5)
})

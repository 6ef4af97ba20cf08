import t from 'tap'
import { XtError } from '../../src/base/errors.ts'
import { Activity, Owned } from '../../src/engine/context.ts'
import { type CallName, PluginDriver } from '../../src/engine/driver.ts'
import { orderPlugins, type PluginNode } from '../../src/engine/graph.ts'
import type { Lifecycle } from '../../src/engine/plugin.ts'
import { FakeClock, turns } from './fixtures/fake-clock.ts'

interface Part extends PluginNode {
  readonly lifecycle: Lifecycle
}

function drive(parts: readonly Part[]) {
  const clock = new FakeClock()
  const notices: string[] = []
  const members = parts.map(({ name, lifecycle }) => ({
    name,
    lifecycle,
    activity: new Activity(),
    owned: new Owned(),
  }))
  const options = { clock, notice: (line: string) => notices.push(line) }
  const driver = new PluginDriver(members, orderPlugins(parts, []), options)
  return { driver, clock, notices, members }
}

/** A part that notes when its call begins and ends; `gate` lets it end. */
function slow(name: string, call: CallName, log: string[], more: Omit<PluginNode, 'name'> = {}) {
  const gate = Promise.withResolvers<void>()
  const run = async () => {
    log.push(`${name} begins`)
    await gate.promise
    log.push(`${name} ends`)
  }
  return { gate, part: { name, ...more, lifecycle: { [call]: run } as Lifecycle } }
}

t.test(
  'attach runs at once for those that are independent, and after what a plugin depends on',
  async (t) => {
    const log: string[] = []
    const shim = slow('shim', 'attach', log, { provides: ['pvBus'] })
    const vbd = slow('vbd', 'attach', log, { requires: ['pvBus'] })
    const hello = slow('hello', 'attach', log)
    const { driver } = drive([shim.part, vbd.part, hello.part])
    const done = driver.call('attach')
    await turns()
    t.same(log, ['shim begins', 'hello begins'])
    hello.gate.resolve()
    shim.gate.resolve()
    await turns()
    t.ok(log.includes('vbd begins'))
    vbd.gate.resolve()
    t.same(await done, [])
  },
)

t.test('resume goes through the plugins one after the other', async (t) => {
  const log: string[] = []
  const first = slow('first', 'resume', log)
  const second = slow('second', 'resume', log)
  const { driver } = drive([first.part, second.part])
  const done = driver.call('resume')
  await turns()
  first.gate.resolve()
  second.gate.resolve()
  await done
  t.same(log, ['first begins', 'first ends', 'second begins', 'second ends'])
})

t.test('pre runs before the others, post after them, also at once with others of their kind', async (t) => {
  const log: string[] = []
  const noting = (name: string) => async () => void log.push(name)
  const { driver } = drive([
    { name: 'late', lifecycle: { start: { order: 'post', run: noting('late') } } },
    { name: 'usual', lifecycle: { start: noting('usual') } },
    { name: 'early', lifecycle: { start: { order: 'pre', run: noting('early') } } },
  ])
  await driver.call('start')
  t.same(log, ['early', 'usual', 'late'])
})

t.test(
  'stop goes backwards, to those only whose attach was begun, once, and pre still means first',
  async (t) => {
    const log: string[] = []
    const part = (name: string, more: Partial<Part> = {}): Part => ({
      name,
      lifecycle: { stop: () => void log.push(name) },
      ...more,
    })
    const failing = { attach: () => Promise.reject(new Error('no')), stop: () => void log.push('failing') }
    const { driver } = drive([
      part('shim', { provides: ['pvBus'] }),
      { name: 'first', lifecycle: { stop: { order: 'pre', run: () => void log.push('first') } } },
      { name: 'failing', provides: ['x'], requires: ['pvBus'], lifecycle: failing },
      part('never', { requires: ['x'] }),
    ])
    await driver.call('attach')
    await driver.call('stop')
    await driver.call('stop')
    t.same(log, ['first', 'failing', 'shim'])
  },
)

t.test('a failure keeps what has not begun from beginning, and waits for what has', async (t) => {
  const log: string[] = []
  const other = slow('other', 'attach', log)
  const { driver } = drive([
    { name: 'bad', provides: ['x'], lifecycle: { attach: () => Promise.reject(new Error('no disk')) } },
    other.part,
    slow('needs-bad', 'attach', log, { requires: ['x'] }).part,
  ])
  let failures: readonly XtError[] | undefined
  const done = driver.call('attach').then((answer) => (failures = answer))
  await turns()
  t.equal(failures, undefined)
  other.gate.resolve()
  await done
  t.match(failures, [{ code: 'XT_PLUGIN_CALL_FAILED', message: 'bad attach failed: no disk' }])
  t.same(failures?.[0]?.blame, { plugin: 'bad', call: 'attach' })
  t.same(log, ['other begins', 'other ends'])
})

t.test('pause and stop go on after failures and collect them all', async (t) => {
  const bad = (name: string): Part => ({
    name,
    lifecycle: {
      pause: () => {
        throw new Error(`${name} cannot`)
      },
    },
  })
  const { driver } = drive([bad('a'), bad('b')])
  const failures = await driver.call('pause')
  t.same(
    failures.map(({ message }) => message),
    ['a pause failed: a cannot', 'b pause failed: b cannot'],
  )
})

t.test('an XtError of a plugin keeps its code, text and hint and gains the blame', async (t) => {
  const error = new XtError('XT_MY_DISK', 'disk.img: no such file', { hint: 'make one', exit: 3 })
  const { driver } = drive([{ name: 'vbd', lifecycle: { attach: () => Promise.reject(error) } }])
  const [failure] = await driver.call('attach')
  t.match(failure, { code: 'XT_MY_DISK', message: 'disk.img: no such file', hint: 'make one', exit: 3 })
  t.equal(failure?.blame?.plugin, 'vbd')
})

t.test('after three seconds a notice says which call is waited for, and for which device', async (t) => {
  const log: string[] = []
  const gate = Promise.withResolvers<void>()
  const { driver, clock, notices, members } = drive([
    {
      name: 'vbd',
      lifecycle: { attach: () => members[0]!.activity.during('xvda', () => gate.promise) },
    },
    slow('other', 'attach', log).part,
  ])
  void driver.call('attach')
  await turns()
  await clock.pass(2999)
  t.same(notices, [])
  t.same(driver.openCalls(), ['vbd attach (xvda)', 'other attach'])
  await clock.pass(1)
  t.same(notices, ['waiting for vbd attach (xvda)', 'waiting for other attach'])
})

t.test(
  'a call that never settles fails after the limit, with the device, and stays listed as open',
  async (t) => {
    const { driver, clock, members } = drive([
      {
        name: 'vbd',
        lifecycle: { attach: () => members[0]!.activity.during('xvdb', () => new Promise<void>(() => {})) },
      },
    ])
    const done = driver.call('attach')
    await turns()
    await clock.pass(60_000)
    const [failure] = await done
    t.match(failure, {
      code: 'XT_PLUGIN_CALL_STUCK',
      message: 'vbd attach (xvdb) did not end within 60 s',
      blame: { plugin: 'vbd', call: 'attach', device: 'xvdb' },
    })
    t.same(driver.openCalls(), ['vbd attach (xvdb)'])
    t.equal(clock.pending, 0)
  },
)

t.test('an error while a device is worked on names that device', async (t) => {
  const { driver, members } = drive([
    {
      name: 'vbd',
      lifecycle: {
        attach: () => members[0]!.activity.during('xvda', () => Promise.reject(new Error('no such file'))),
      },
    },
  ])
  const [failure] = await driver.call('attach')
  t.equal(failure?.message, 'vbd attach (xvda) failed: no such file')
  t.equal(failure?.blame?.device, 'xvda')
})

t.test('what plugins own is disposed last in first out, last plugin first, whatever fails', async (t) => {
  const log: string[] = []
  const { driver, members } = drive([
    { name: 'a', lifecycle: {} },
    { name: 'b', lifecycle: {} },
  ])
  members[0]!.owned.add({ [Symbol.dispose]: () => void log.push('a1') })
  members[0]!.owned.add({
    [Symbol.dispose]: () => {
      throw new Error('stuck')
    },
  })
  members[0]!.owned.add({ [Symbol.asyncDispose]: async () => void log.push('a3') })
  members[1]!.owned.add({ [Symbol.dispose]: () => void log.push('b1') })
  const failures = await driver.dispose()
  t.same(log, ['b1', 'a3', 'a1'])
  t.same(
    failures.map(({ message }) => message),
    ['a dispose failed: stuck'],
  )
  t.same(await driver.dispose(), [])
})

t.test('no alarm is left when calls have ended', async (t) => {
  const { driver, clock } = drive([{ name: 'a', lifecycle: { start: () => {} } }])
  await driver.call('start')
  t.equal(clock.pending, 0)
})

import fc from 'fast-check'
import t from 'tap'
import { z } from 'zod'
import { domid } from '../../src/base/brand.ts'
import { createLog } from '../../src/base/log.ts'
import {
  definePlugin,
  type Lifecycle,
  type Plugin,
  type PluginContext,
  type Vcpus,
} from '../../src/engine/plugin.ts'
import { Vm, type VmOptions } from '../../src/engine/vm.ts'
import type { VmState } from '../../src/engine/vm-state.ts'
import { FakeClock, turns } from './fixtures/fake-clock.ts'

/** A CPU that notes what is asked of it; the test ends the guest. */
function fakeCpu(log: string[], odd: Partial<Vcpus> = {}) {
  const ended = Promise.withResolvers<{ reason: number; detail?: string }>()
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  const noting = (what: string) => async () => void log.push(`cpu ${what}`)
  const vcpus: Vcpus = {
    setStart: ({ rip, rbx }) => void log.push(`cpu at ${rip} with ${rbx}`),
    start: noting('start'),
    pause: noting('pause'),
    resume: noting('resume'),
    reset: noting('reset'),
    stop: noting('stop'),
    ended: ended.promise,
    failed: failed.promise,
    info: () => [{ index: 0, state: 'running', ranNs: 5 }],
    ...odd,
  }
  const plugin = definePlugin({
    name: 'cpu',
    api: 1,
    config: z.strictObject({}),
    provides: ['vcpus'],
    setup(ctx) {
      ctx.provide('vcpus', vcpus)
      return {}
    },
  })
  return { plugin, end: ended.resolve, fail: failed.reject }
}

const plugin = (
  name: string,
  setup: (ctx: PluginContext<unknown>) => Lifecycle,
  more: Partial<Pick<Plugin, 'provides' | 'requires'>> = {},
) => definePlugin({ name, api: 1, config: z.unknown(), ...more, setup })

/** A plugin that notes every call. */
const noting = (name: string, log: string[]) =>
  plugin(name, () => {
    const note = (call: string) => () => void log.push(`${name} ${call}`)
    return {
      attach: note('attach'),
      start: note('start'),
      pause: note('pause'),
      resume: note('resume'),
      stop: note('stop'),
    }
  })

function machine(plugins: readonly Plugin[], log: string[] = [], more: Partial<VmOptions> = {}) {
  const clock = new FakeClock()
  const lines: string[] = []
  const states: VmState[] = []
  const vm = new Vm({
    info: {
      domid: domid(7),
      name: 'guest',
      uuid: '00000000-1111-2222-3333-444444444444',
      vcpus: 1,
      maxVcpus: 1,
      memoryBytes: 1 << 20,
      runDir: '/nowhere',
      hostRunDir: '/nowhere',
      config: {},
    },
    plugins,
    settings: {},
    log: createLog((level, line) => lines.push(`${level} ${line}`)),
    clock,
    boot: () => {
      log.push('boot')
      return { rip: 16, rbx: 32 }
    },
    notice: (line) => lines.push(line),
    onState: (state) => states.push(state),
    ...more,
  })
  return { vm, clock, lines, states }
}

t.test('a whole life: built, started, paused, resumed, ended, released, in this order', async (t) => {
  const log: string[] = []
  const cpu = fakeCpu(log)
  const { vm, states } = machine([cpu.plugin, noting('disk', log)], log)
  await vm.build()
  t.same(log.splice(0), ['boot', 'disk attach', 'cpu at 16 with 32'])
  await vm.unpause()
  t.same(log.splice(0), ['disk start', 'cpu start'])
  await vm.pause()
  await vm.unpause()
  t.same(log.splice(0), ['cpu pause', 'disk pause', 'disk resume', 'cpu resume'])
  cpu.end({ reason: 0 })
  t.same(await vm.ended, { reason: 0 })
  t.same(log.splice(0), ['cpu pause'])
  t.same(await vm.destroy(), [])
  t.same(log, ['cpu stop', 'disk stop'])
  t.same(states, ['paused', 'running', 'paused', 'running', 'shutdown', 'dying', 'gone'])
})

t.test('pauses count as in Xen: the guest runs when each was taken back', async (t) => {
  const { vm } = machine([fakeCpu([]).plugin])
  await vm.build()
  await vm.unpause()
  await Promise.all([vm.pause(), vm.pause(), vm.unpause()])
  t.equal(vm.state, 'paused')
  t.equal(vm.pauseCount, 1)
  await vm.unpause()
  t.equal(vm.state, 'running')
  await t.rejects(vm.unpause(), { code: 'XT_NOT_PAUSED' })
})

t.test('a guest that has ended can be paused for the record, but does not run again', async (t) => {
  const log: string[] = []
  const cpu = fakeCpu(log)
  const { vm } = machine([cpu.plugin])
  await vm.build()
  await vm.unpause()
  cpu.end({ reason: 3, detail: 'triple fault' })
  await vm.ended
  await vm.pause()
  t.equal(vm.pauseCount, 1)
  await vm.unpause()
  t.equal(vm.state, 'shutdown')
  t.same(vm.end, { reason: 3, detail: 'triple fault' })
  t.same(vm.vcpus(), [{ index: 0, state: 'parked', ranNs: 5 }])
  t.notOk(log.includes('cpu resume'))
})

t.test('a guest that ends while it is being paused has ended', async (t) => {
  const cpu = fakeCpu([], {
    pause: async () => {
      cpu.end({ reason: 1 })
      await turns()
    },
  })
  const { vm } = machine([cpu.plugin])
  await vm.build()
  await vm.unpause()
  await vm.pause()
  t.same(await vm.ended, { reason: 1 })
  t.equal(vm.state, 'shutdown')
})

t.test('a vCPU thread that breaks is reported with its cause', async (t) => {
  const cpu = fakeCpu([])
  const { vm } = machine([cpu.plugin])
  await vm.build()
  await vm.unpause()
  cpu.fail(new Error('bad opcode table'))
  t.match(await vm.failed, { message: 'bad opcode table' })

  t.test('a plugin that gives up ends the machine, and is named with its device', async (t) => {
    let giveUp: (cause: unknown, device?: string) => void = () => {}
    const odd = plugin('odd', (ctx) => {
      giveUp = ctx.fail
      return {}
    })
    const { vm } = machine([fakeCpu([]).plugin, odd])
    await vm.build()
    giveUp(new Error('the thread is gone'), 'xvda')
    t.match(await vm.failed, {
      message: 'odd work (xvda) failed: the thread is gone',
      blame: { plugin: 'odd', device: 'xvda' },
    })
    await vm.destroy()
  })
})

t.test('without a cpu plugin nothing starts', async (t) => {
  const { vm } = machine([noting('disk', [])])
  await t.rejects(vm.build(), {
    code: 'XT_CAPABILITY_UNMET',
    message: 'the machine requires vcpus, provided by none of: disk',
  })
})

t.test('memory that cannot be had is refused with its size', async (t) => {
  const info = {
    domid: domid(1),
    name: 'g',
    uuid: '',
    vcpus: 1,
    maxVcpus: 1,
    memoryBytes: 5 * 2 ** 30,
    runDir: '',
    hostRunDir: '',
    config: {},
  }
  const { vm } = machine([fakeCpu([]).plugin], [], { info })
  await t.rejects(vm.build(), {
    code: 'XT_MEMORY_UNUSABLE',
    message: 'cannot make a machine of 5120 MiB with 1 vCPUs',
  })
})

t.test('a guest that cannot be put into memory fails before anybody attaches', async (t) => {
  const log: string[] = []
  const boot = () => {
    throw new Error('no kernel')
  }
  const { vm } = machine([fakeCpu(log).plugin, noting('disk', log)], log, { boot })
  await t.rejects(vm.build(), { message: 'no kernel' })
  await vm.destroy()
  t.same(log, [])
})

t.test('a plugin that throws is named with its call, in each of its calls', async (t) => {
  const broken = (call: keyof Lifecycle) =>
    plugin('broken', () => ({
      [call]: () => {
        throw new Error('oops')
      },
    }))
  const act = {
    attach: (vm: Vm) => vm.build(),
    start: (vm: Vm) => vm.build().then(() => vm.unpause()),
    pause: (vm: Vm) =>
      vm
        .build()
        .then(() => vm.unpause())
        .then(() => vm.pause()),
    resume: (vm: Vm) =>
      vm
        .build()
        .then(() => vm.unpause())
        .then(() => vm.pause())
        .then(() => vm.unpause()),
  }
  for (const [call, run] of Object.entries(act)) {
    const { vm } = machine([fakeCpu([]).plugin, broken(call as keyof Lifecycle)])
    const expected = { message: `broken ${call} failed: oops`, blame: { plugin: 'broken', call } }
    await t.rejects(run(vm), expected)
    if (call !== 'attach') t.match(await vm.failed, expected, 'it ends the machine')
    t.same(await vm.destroy(), [])
    t.equal(vm.state, 'gone')
  }
  const { vm } = machine([fakeCpu([]).plugin, broken('stop')])
  await vm.build()
  t.match(await vm.destroy(), [{ message: 'broken stop failed: oops' }])
  t.equal(vm.state, 'gone')
})

t.test('a plugin that throws in setup is named, and what it owned by then is disposed', async (t) => {
  const log: string[] = []
  const broken = plugin('broken', (ctx) => {
    ctx.own({ [Symbol.dispose]: () => void log.push('disposed') })
    throw new Error('bad settings file')
  })
  const { vm } = machine([fakeCpu([]).plugin, broken])
  await t.rejects(vm.build(), { message: 'broken setup failed: bad settings file' })
  t.same(log, ['disposed'])
})

t.test(
  'a call that never settles is noticed, fails after the limit, and everything is released',
  async (t) => {
    const log: string[] = []
    const stuck = plugin('stuck', (ctx) => ({
      attach: () => ctx.forDevice('xvda', () => new Promise<void>(() => {})),
      stop: () => void log.push('stuck stop'),
    }))
    const { vm, clock, lines } = machine([fakeCpu(log).plugin, stuck])
    const built = vm.build()
    built.catch(() => {})
    await turns()
    await clock.pass(3000)
    t.same(lines, ['waiting for stuck attach (xvda)'])
    t.same(vm.openCalls(), ['stuck attach (xvda)'])
    await clock.pass(60_000)
    await t.rejects(built, { code: 'XT_PLUGIN_CALL_STUCK' })
    await vm.destroy()
    t.same(log, ['stuck stop'])
  },
)

t.test(
  'a build that is broken off ends soon, also where a plugin does not listen to the signal',
  async (t) => {
    const aborted: boolean[] = []
    const deaf = plugin('deaf', (ctx) => ({
      attach: () => new Promise<void>(() => {}),
      stop: () => void aborted.push(ctx.signal.aborted),
    }))
    const { vm, clock, lines } = machine([fakeCpu([]).plugin, deaf])
    const built = vm.build()
    built.catch(() => {})
    await turns()
    const gone = vm.destroy()
    await turns()
    await clock.pass(5000)
    await gone
    t.same(aborted, [true])
    t.same(lines, ['waiting for deaf attach', 'error going on without an end of deaf attach'])
    t.equal(vm.state, 'gone')
  },
)

t.test('a plugin that listens to the signal breaks a build off at once', async (t) => {
  const polite = plugin('polite', ({ signal }) => ({
    attach: () =>
      new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  }))
  const { vm } = machine([fakeCpu([]).plugin, polite])
  const built = vm.build()
  built.catch(() => {})
  await turns()
  await vm.destroy()
  await t.rejects(built, { code: 'XT_BROKEN_OFF' })
})

t.test('vCPU threads that do not stop do not keep the rest from being released', async (t) => {
  const log: string[] = []
  const cpu = fakeCpu(log, { stop: () => new Promise<void>(() => {}) })
  const { vm, clock, lines } = machine([cpu.plugin, noting('disk', log)])
  await vm.build()
  const gone = vm.destroy()
  await turns()
  await clock.pass(5000)
  await gone
  t.ok(log.includes('disk stop'))
  t.same(lines, ['error the vCPU threads did not stop in time'])
})

t.test('what a plugin owns goes after every stop, also if its stop fails', async (t) => {
  const log: string[] = []
  const leaky = plugin('leaky', (ctx) => ({
    attach: () => {
      ctx.own({ [Symbol.dispose]: () => void log.push('first') })
      ctx.own({ [Symbol.dispose]: () => void log.push('second') })
    },
    stop: () => Promise.reject(new Error('lost it')),
  }))
  const { vm } = machine([fakeCpu([]).plugin, leaky, noting('disk', log)])
  await vm.build()
  t.match(await vm.destroy(), [{ message: 'leaky stop failed: lost it' }])
  t.same(log, ['disk attach', 'disk stop', 'second', 'first'])
})

t.test('two plugins that claim one exit are both named', async (t) => {
  const claiming = (name: string) =>
    plugin(name, (ctx) => {
      ctx.exits.claim({ module: 'file:///x.js', hypercalls: [12] })
      return {}
    })
  const { vm } = machine([fakeCpu([]).plugin, claiming('xen-shim'), claiming('mine')])
  await t.rejects(vm.build(), { message: 'xen-shim and mine both claim hypercall 12' })
})

t.test('an exit claimed after setup is refused', async (t) => {
  const late = plugin('late', (ctx) => ({ attach: () => ctx.exits.claim({ module: 'file:///x.js' }) }))
  const { vm } = machine([fakeCpu([]).plugin, late])
  await t.rejects(vm.build(), { code: 'XT_EXIT_LATE', blame: { plugin: 'late', call: 'attach' } })
})

t.test('capabilities must be declared, provided, and used when they are there', async (t) => {
  const cases: readonly (readonly [Plugin, string])[] = [
    [
      plugin('a', (ctx) => {
        ctx.use('pvBus')
        return {}
      }),
      'a uses pvBus without naming it in requires',
    ],
    [
      plugin('b', (ctx) => {
        ctx.use('guestMemory')
        return {}
      }),
      'b used guestMemory before it was provided; use it in attach or later',
    ],
    [plugin('c', () => ({}), { provides: ['pvBus'] }), 'c declares that it provides pvBus, but did not'],
    [
      plugin('d', (ctx) => {
        ctx.provide('xenstore', undefined as never)
        return {}
      }),
      'd provides xenstore without naming it in provides',
    ],
  ]
  for (const [wrong, message] of cases) {
    const { vm } = machine([fakeCpu([]).plugin, wrong])
    await t.rejects(vm.build(), { message })
    await vm.destroy()
  }
})

t.test('a lifecycle with a call that does not exist is refused by name', async (t) => {
  const typo = plugin('typo', () => ({ atach: () => {} }) as Lifecycle)
  const { vm } = machine([fakeCpu([]).plugin, typo])
  await t.rejects(vm.build(), {
    message: /plugin typo: there is no lifecycle call atach \(there are attach, /,
  })
  const promise = plugin('promise', (async () => ({})) as unknown as () => Lifecycle)
  await t.rejects(machine([promise]).vm.build(), { code: 'XT_PLUGIN_INVALID' })
})

t.test('settings that a plugin does not accept are named with their key', async (t) => {
  const strict = definePlugin({
    name: 'strict',
    api: 1,
    config: z.strictObject({ size: z.int().default(4) }),
    setup(ctx) {
      t.ok(Object.isFrozen(ctx.config))
      t.equal(ctx.config.size, 4)
      return {}
    },
  })
  const bad = machine([fakeCpu([]).plugin, strict], [], { settings: { strict: { size: 'big' } } }).vm
  await t.rejects(bad.build(), {
    code: 'XT_PLUGIN_SETTINGS',
    message: /settings of plugin strict: size must be a number$/,
  })
  await machine([fakeCpu([]).plugin, strict]).vm.build()
})

t.test('destroy can be asked for at any time and as often as one likes', async (t) => {
  const { vm } = machine([fakeCpu([]).plugin])
  await Promise.all([vm.destroy(), vm.destroy()])
  t.equal(vm.state, 'gone')
  await t.rejects(vm.pause(), { code: 'XT_NOT_NOW', message: 'cannot pause: the domain is gone' })
})

t.test(
  'whatever is asked in whatever order at once, the vCPUs run exactly when the pause count is 0',
  async () => {
    const step = fc.constantFrom('pause', 'unpause', 'end', 'turn', 'destroy')
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        let runs = false
        let stopped = false
        const set = (to: boolean) => async () => {
          await turns()
          runs = to && !stopped
        }
        const cpu = fakeCpu([], {
          start: set(true),
          resume: set(true),
          pause: set(false),
          stop: async () => {
            runs = false
            stopped = true
          },
        })
        const { vm } = machine([cpu.plugin, noting('disk', [])])
        await vm.build()
        const asked: Promise<unknown>[] = []
        for (const what of steps) {
          if (what === 'turn') await turns()
          else if (what === 'end') cpu.end({ reason: 0 })
          else asked.push(vm[what]().catch(() => {}))
        }
        await Promise.all(asked)
        await turns()
        await turns()
        if (steps.includes('destroy')) return vm.state === 'gone' && stopped && !runs
        if (vm.state === 'shutdown') return !runs && vm.end !== undefined
        return runs === (vm.pauseCount === 0) && vm.state === (runs ? 'running' : 'paused')
      }),
      { numRuns: 60 },
    )
  },
)

import t from 'tap'
import { z } from 'zod'
import { createLog } from '../../src/base/log.ts'
import { parseDomainConfig } from '../../src/config/domain.ts'
import { Activity } from '../../src/engine/context.ts'
import { DeviceTable, withDevice } from '../../src/engine/devices.ts'
import type { AttachedDevice, DeviceKind } from '../../src/engine/plugin.ts'

interface Lamp {
  number: number
  colour: string
}
const lamp = z.strictObject({ number: z.int(), colour: z.string() })

/** A table with a plugin `light` that serves lamps; time passes when the test says so. */
function table(more: Partial<DeviceKind<Lamp>> = {}) {
  const timers = new Set<() => void>()
  const down = new AbortController()
  const logged: string[] = []
  const devices = new DeviceTable({
    log: createLog((_level, line) => logged.push(line)),
    signal: down.signal,
    clock: {
      after(_ms, run) {
        timers.add(run)
        return () => timers.delete(run)
      },
    },
  })
  const done: string[] = []
  const lamps = devices.forPlugin('light', new Activity()).serve<Lamp>({
    kind: 'lamp',
    spec: lamp,
    id: ({ number }) => number,
    name: ({ number }) => `lamp${number}`,
    async attach({ number, colour }): Promise<AttachedDevice<Lamp>> {
      done.push(`attach ${number} ${colour}`)
      return {
        async remove({ force }) {
          done.push(`remove ${number} ${force}`)
        },
        async change(to) {
          done.push(`change ${number} ${to.colour}`)
        },
      }
    },
    ...more,
  })
  const timePasses = () => {
    for (const run of timers) run()
  }
  return { devices, lamps, done, down, timePasses, timers, logged }
}

t.test('devices of the start and added ones are listed, changed and removed', async (t) => {
  const { devices, lamps, done } = table()
  const gone: string[] = []
  devices.onGone = (kind, id) => gone.push(`${kind} ${id}`)
  await lamps.attach({ number: 1, colour: 'red' })
  t.same(await devices.attach('lamp', { number: 2, colour: 'green' }), {
    id: 2,
    name: 'lamp2',
    spec: { number: 2, colour: 'green' },
  })
  await devices.change('lamp', 2, { number: 2, colour: 'blue' })
  t.match(devices.list('lamp'), [
    { id: 1, name: 'lamp1', spec: { colour: 'red' } },
    { id: 2, spec: { colour: 'blue' } },
  ])
  t.match(await devices.detach('lamp', 1, false), { id: 1, name: 'lamp1' })
  t.match(devices.list('lamp'), [{ id: 2 }])
  t.same(gone, ['lamp 1'])
  t.same(done, ['attach 1 red', 'attach 2 green', 'change 2 blue', 'remove 1 false'])
})

t.test('a request that cannot be is refused with its code', async (t) => {
  const { devices, lamps } = table()
  await lamps.attach({ number: 1, colour: 'red' })
  t.throws(() => devices.list('door'), { code: 'XT_DEVICE_KIND_UNSERVED' })
  await t.rejects(devices.attach('lamp', { number: 2 }), { code: 'XT_DEVICE_SPEC', message: /colour/ })
  await t.rejects(devices.attach('lamp', { number: 1, colour: 'red' }), { code: 'XT_DEVICE_EXISTS' })
  await t.rejects(devices.detach('lamp', 7, false), { code: 'XT_NO_SUCH_DEVICE' })
  await t.rejects(devices.change('lamp', 1, { number: 2, colour: 'red' }), { code: 'XT_DEVICE_UNCHANGEABLE' })
  const other = devices.forPlugin('candle', new Activity())
  const kind = { kind: 'lamp', spec: lamp, id: () => 0, name: () => '', attach: async () => ({}) as never }
  t.throws(() => other.serve(kind), { code: 'XT_DEVICE_KIND_TWICE', message: /light and candle/ })
})

t.test('a request is completed before it is parsed', async (t) => {
  const { devices } = table({
    complete: (request, taken) => ({ number: Math.max(0, ...taken) + 1, ...(request as object) }),
  })
  await devices.attach('lamp', { colour: 'red' })
  t.match(await devices.attach('lamp', { colour: 'green' }), { id: 2 })
})

t.test('what a plugin throws names the plugin, the call and the device', async (t) => {
  const { devices } = table({
    attach: async () => {
      throw new Error('the bulb is broken')
    },
  })
  await t.rejects(devices.attach('lamp', { number: 3, colour: 'red' }), {
    code: 'XT_PLUGIN_CALL_FAILED',
    message: 'light attach device (lamp3) failed: the bulb is broken',
    blame: { plugin: 'light', device: 'lamp3' },
  })
  t.same(devices.list('lamp'), [])
})

t.test('a guest that does not let go is named after a while, and the device goes when it does', async (t) => {
  const letGo = Promise.withResolvers<void>()
  const { devices, lamps, timePasses, timers } = table({
    attach: async () => ({ remove: ({ force }) => (force ? Promise.resolve() : letGo.promise) }),
  })
  await lamps.attach({ number: 1, colour: 'red' })
  await lamps.attach({ number: 2, colour: 'red' })
  const detached = devices.detach('lamp', 1, false)
  while (timers.size === 0) await new Promise(setImmediate)
  timePasses()
  await t.rejects(detached, { code: 'XT_DEVICE_IN_USE', message: /lamp1/ })
  t.match(devices.list('lamp'), [{ id: 1 }, { id: 2 }])
  letGo.resolve()
  await new Promise(setImmediate)
  t.match(devices.list('lamp'), [{ id: 2 }])
  t.match(await devices.detach('lamp', 2, true), { id: 2 })
})

t.test('a device that was made while the VM went down is taken away again', async (t) => {
  const made = Promise.withResolvers<AttachedDevice<Lamp>>()
  const { devices, down } = table({ attach: () => made.promise })
  const removed: boolean[] = []
  const attached = devices.attach('lamp', { number: 1, colour: 'red' })
  down.abort(new Error('going down'))
  made.resolve({ remove: async ({ force }) => void removed.push(force) })
  await t.rejects(attached, /going down/)
  await devices.idle()
  t.same(removed, [true])
  t.same(devices.list('lamp'), [])
})

t.test('the configuration has the devices there are, in both forms', async (t) => {
  const text = `name="a"\ntype="pvh"\nkernel="/k"\ndisk=["/a,raw,xvda,w","/b,raw,xvdb,w"]\n`
  const { config } = parseDomainConfig(text, 'a.cfg')
  const place = {
    listedIn: 'disks',
    id: (spec: unknown) => (spec as { vdevNumber: number }).vdevNumber,
  } as const
  const [a, b] = config.disks
  const without = withDevice(config, place, { id: a!.vdevNumber })
  t.same(without.disks, [b])
  t.match(without.libxl['disks'], [{ vdev: 'xvdb' }])
  const c = { ...a!, vdev: 'xvdc', vdevNumber: 51744 }
  const added = withDevice(without, place, { id: 51744, spec: c, libxl: { vdev: 'xvdc' } })
  t.same(added.disks, [b, c])
  t.match(added.libxl['disks'], [{ vdev: 'xvdb' }, { vdev: 'xvdc' }])
  const changed = withDevice(added, place, { id: b!.vdevNumber, spec: { ...b!, target: '/n' }, libxl: {} })
  t.match(changed.disks, [{ target: '/n' }, { vdev: 'xvdc' }])
  t.equal(withDevice(config, { id: place.id }, { id: 1 }), config)
})

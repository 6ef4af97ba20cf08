import fc from 'fast-check'
import t from 'tap'
import { domid } from '../../../src/base/brand.ts'
import { createLog } from '../../../src/base/log.ts'
import { BackendBus, type BusDeviceSetup } from '../../../src/xen/xenbus/backend-bus.ts'
import { parseXenbusState, XENBUS_STATE, type XenbusState } from '../../../src/xen/xenbus/state.ts'
import type { XenHost } from '../../../src/xen/xenhost.ts'
import { MemoryStore } from './memory-store.ts'

const BACK = '/local/domain/0/backend/vbd/6/51712'
const FRONT = '/local/domain/6/device/vbd/51712'

/** Lets every promise that is under way settle. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

function setUp(options: Partial<BusDeviceSetup> & { readonly failing?: boolean } = {}) {
  const store = new MemoryStore()
  const logged: string[] = []
  const calls: string[] = []
  let connected = 0
  const bus = new BackendBus({
    domid: domid(6),
    xenstore: store,
    xenhost: () => ({}) as XenHost,
    log: createLog((_level, line) => logged.push(line)),
  })
  const setup: BusDeviceSetup = {
    type: 'vbd',
    id: 51712,
    connectOn: 'Initialised',
    frontend: { 'virtual-device': '51712' },
    backend: { mode: 'w' },
    create: () => ({
      nodes: () => ({ sectors: '2048' }),
      connect: async () => {
        calls.push('connect')
        if (options.failing === true) throw new Error('no ring-ref')
        connected++
      },
      disconnect: async () => {
        calls.push('disconnect')
        connected--
      },
      [Symbol.asyncDispose]: async () => {
        calls.push('dispose')
      },
    }),
    ...options,
  }
  const frontend = async (state: XenbusState) => {
    await store.write(`${FRONT}/state`, String(XENBUS_STATE[state]))
    await settle()
  }
  const backend = () => parseXenbusState(store.nodes.get(`${BACK}/state`) ?? '')
  return { store, bus, setup, calls, logged, frontend, backend, connected: () => connected }
}

t.test('a device appears with both ends, its features, and the permissions of libxl', async (t) => {
  const { store, bus, setup } = setUp()
  const device = await bus.add(setup)
  t.equal(device.backendPath, BACK)
  t.equal(device.frontendPath, FRONT)
  const at = (path: string) =>
    Object.fromEntries(
      [...store.nodes]
        .filter(([k]) => k.startsWith(`${path}/`))
        .map(([k, v]) => [k.slice(path.length + 1), v]),
    )
  t.strictSame(at(BACK), {
    mode: 'w',
    frontend: FRONT,
    'frontend-id': '6',
    online: '1',
    sectors: '2048',
    state: '2',
  })
  t.strictSame(at(FRONT), { 'virtual-device': '51712', backend: BACK, 'backend-id': '0', state: '1' })
  t.strictSame(store.perms.get(`${BACK}/state`), ['n0', 'r6'])
  t.strictSame(store.perms.get(FRONT), ['n6', 'r0'])
})

t.test('it connects when the frontend is initialised, and closes with it', async (t) => {
  const { bus, setup, frontend, backend, calls } = setUp()
  await bus.add(setup)
  await frontend('Initialised')
  t.equal(backend(), 'Connected')
  await frontend('Connected')
  t.strictSame(calls, ['connect'], 'once')
  await frontend('Closing')
  t.equal(backend(), 'Closing')
  await frontend('Closed')
  t.equal(backend(), 'Closed')
  t.strictSame(calls, ['connect', 'disconnect'])
  await frontend('Initialising')
  t.equal(backend(), 'InitWait', 'a frontend that starts over finds it waiting')
  await frontend('Initialised')
  t.equal(backend(), 'Connected')
})

t.test('a network device waits for Connected', async (t) => {
  const { bus, setup, frontend, backend } = setUp({ connectOn: 'Connected' })
  await bus.add(setup)
  await frontend('Initialised')
  t.equal(backend(), 'InitWait')
  await frontend('Connected')
  t.equal(backend(), 'Connected')
})

t.test('a frontend that publishes nonsense gets a closed device and a line in the log', async (t) => {
  const { bus, setup, frontend, backend, logged } = setUp({ failing: true })
  await bus.add(setup)
  await frontend('Initialised')
  t.equal(backend(), 'Closing')
  t.match(logged, [/cannot connect: no ring-ref/])
})

t.test('removal asks the frontend to close and takes both ends away when it has', async (t) => {
  const { store, bus, setup, frontend, backend } = setUp()
  const device = await bus.add(setup)
  await frontend('Initialised')
  const removed = device.remove()
  await settle()
  t.equal(store.nodes.get(`${BACK}/online`), '0')
  t.equal(backend(), 'Closing')
  await frontend('Closing')
  await frontend('Closed')
  await removed
  t.strictSame([...store.nodes.keys()], [])
  t.equal(store.watches, 0)
})

t.test('forced removal does not wait; closing the bus removes all', async (t) => {
  const { store, bus, setup, calls, frontend } = setUp()
  await bus.add(setup)
  await t.rejects(bus.add(setup), RangeError, 'the same device twice')
  await frontend('Initialised')
  await bus.close()
  t.strictSame(calls, ['connect', 'disconnect', 'dispose'])
  t.strictSame([...store.nodes.keys()], [])
})

t.test('a device whose frontend never appeared in the guest goes at once when forced', async (t) => {
  const { store, bus, setup, calls } = setUp()
  const device = await bus.add(setup)
  await device.remove({ force: true })
  await device.remove()
  t.strictSame(calls, ['dispose'])
  t.equal(store.nodes.size, 0)
})

t.test('a device that no frontend has taken up goes without being asked twice', async (t) => {
  const { store, bus, setup, calls } = setUp()
  const device = await bus.add(setup)
  await device.remove()
  t.strictSame(calls, ['dispose'])
  t.equal(store.nodes.size, 0)
})

t.test('what is announced is written with the state, when somebody is there to hear it', async (t) => {
  const { store, bus, setup, frontend } = setUp()
  const device = await bus.add(setup)
  const written: string[] = []
  const write = store.write.bind(store)
  store.write = (path: string, value: string | Uint8Array) => {
    written.push(`${path.slice(BACK.length + 1)}=${value}`)
    return write(path, value)
  }
  await device.announce({ sectors: '4096' })
  t.strictSame(written.splice(0), ['sectors=4096'])
  await frontend('Initialised')
  written.length = 0
  await device.announce({ sectors: '8192' })
  t.strictSame(written.splice(0), ['sectors=8192', 'state=4'])
  await device.announce({ mode: 'r' })
  t.match(
    store.nodes.get(`${BACK.replace('/local/domain/0/backend/vbd/6', '/libxl/6/device/vbd')}/mode`),
    'r',
  )
  await bus.reset()
  t.equal(store.nodes.get(`${BACK}/mode`), 'r', 'and is kept when the guest starts anew')
  await device.remove({ force: true })
  await device.announce({ sectors: '1' })
  t.equal(store.nodes.size, 0)
})

t.test('when the guest starts anew the device waits again', async (t) => {
  const { bus, setup, frontend, backend, connected, store } = setUp()
  await bus.add(setup)
  await frontend('Initialised')
  await bus.reset()
  t.equal(connected(), 0)
  t.equal(backend(), 'InitWait')
  t.equal(store.nodes.get(`${FRONT}/state`), '1')
  await frontend('Initialised')
  t.equal(connected(), 1)
})

t.test('any order of frontend states is survived: connect and disconnect alternate', async (t) => {
  const state = fc.constantFrom(...(Object.keys(XENBUS_STATE) as XenbusState[]))
  await fc.assert(
    fc.asyncProperty(fc.array(state, { maxLength: 15 }), async (states) => {
      const { bus, setup, frontend, calls, connected, store } = setUp()
      await bus.add(setup)
      for (const next of states) await frontend(next)
      if (connected() !== 0 && connected() !== 1) return false
      await bus.close()
      const wrong = calls.filter((call, i) => call === 'connect' && calls[i + 1] === 'connect')
      return connected() === 0 && wrong.length === 0 && calls.at(-1) === 'dispose' && store.nodes.size === 0
    }),
    { numRuns: 60 },
  )
  t.pass()
})

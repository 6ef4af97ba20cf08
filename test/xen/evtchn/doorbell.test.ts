import { spawnSync } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { domid, type Port, port } from '../../../src/base/brand.ts'
import { CONTROL_WORD, controlWord, VCPU_STATE } from '../../../src/base/vcpu-control.ts'
import { DOM0 } from '../../../src/xen/evtchn/ports.ts'
import { LocalXen } from '../../../src/xen/local.ts'
import { testDomain } from '../fake-vcpu.ts'

/** Told a number: so often it counts a word of guest memory up and then sends an event. */
const SENDER = `
import { workerData, parentPort } from 'node:worker_threads'
import { MachineMemory } from '${new URL('../../../src/base/machine-memory.ts', import.meta.url)}'
import { Domain } from '${new URL('../../../src/xen/domain.ts', import.meta.url)}'
const { memory, layout, port, word } = workerData
const domain = new Domain(new MachineMemory(memory, layout))
parentPort.on('message', (count) => {
  for (let sent = 0; sent < count; sent++) {
    Atomics.add(domain.memory.i32, word, 1)
    domain.evtchn.send(port)
  }
})
`

t.test('what another thread did before its last event is always seen by the handler', async (t) => {
  const domain = testDomain()
  const { memory } = domain
  using xen = new LocalXen({ memory, defer: (task) => void setImmediate(task) })
  const guestPort = port(domain.evtchn.allocUnbound(DOM0))
  const word = memory.hostOffset(0x2000) / 4
  const worker = new Worker(SENDER, {
    eval: true,
    workerData: { memory: memory.memory, layout: memory.layout, port: guestPort, word },
  })
  t.teardown(() => worker.terminate())
  let wanted = 0
  let reached = Promise.withResolvers<void>()
  using _channel = xen.bind(guestPort, () => {
    if (Atomics.load(memory.i32, word) === wanted) reached.resolve()
  })

  // A lost event leaves this waiting until the runner's time-out.
  for (const burst of [1, 1, 1, 1000, 1, 7, 20_000, 1, 1]) {
    reached = Promise.withResolvers()
    wanted += burst
    worker.postMessage(burst)
    await reached.promise
    t.equal(Atomics.load(memory.i32, word), wanted)
  }
})

t.test('a handler that throws does not silence the other ports', async (t) => {
  const domain = testDomain()
  const deferred: (() => void)[] = []
  using xen = new LocalXen({ memory: domain.memory, defer: (task) => deferred.push(task) })
  const [a, b] = [1, 2].map(() => port(domain.evtchn.allocUnbound(DOM0))) as [
    ReturnType<typeof port>,
    ReturnType<typeof port>,
  ]
  let heard = 0
  using _a = xen.bind(a, () => {
    throw new Error('a bug')
  })
  using _b = xen.bind(b, () => {
    heard++
  })
  t.throws(
    () => {
      while (deferred.length > 0) deferred.shift()!()
    },
    { message: 'a bug' },
  )
  t.equal(heard, 1)
  t.equal(domain.domid, domid(6))
})

t.test('a waiting doorbell does not keep the process alive', async (t) => {
  const script = `
    import { testDomain } from '${new URL('../fake-vcpu.ts', import.meta.url)}'
    import { LocalXen } from '${new URL('../../../src/xen/local.ts', import.meta.url)}'
    new LocalXen({ memory: testDomain().memory, defer: (task) => void setImmediate(task) })
    console.log('waiting')
  `
  const run = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  t.equal(run.stdout.trim(), 'waiting')
  t.equal(run.status, 0, run.stderr)
})

/** Told how long: then the vCPU has nothing to do. */
const IDLER = `
import { workerData, parentPort } from 'node:worker_threads'
const { buffer, word, blocked } = workerData
parentPort.on('message', (ms) => setTimeout(() => {
  Atomics.store(new Int32Array(buffer), word, blocked)
  Atomics.notify(new Int32Array(buffer), word)
}, ms))
parentPort.postMessage('ready')
`

t.test(
  'a thread of backends waits for a processor of the guest to be idle; the main thread cannot',
  async (t) => {
    const domain = testDomain()
    const { memory } = domain
    const defer = (task: () => void) => void setImmediate(task)
    const allocate = () => port(domain.evtchn.allocUnbound(DOM0))
    const bind = (xen: LocalXen, to: Port) =>
      xen.threadHost('/local/domain/0/backend/vbd/6/51712').evtchn.bindInterdomain(domid(6), to, () => {})
    const word = controlWord(memory, 0, CONTROL_WORD.state)
    const { running, blocked } = VCPU_STATE
    const worker = new Worker(IDLER, {
      eval: true,
      workerData: { buffer: memory.memory.buffer, word, blocked },
    })
    t.teardown(() => worker.terminate())
    await new Promise((settle) => worker.once('message', settle))
    {
      using xen = new LocalXen({ memory, doorbell: 0, defer })
      using channel = bind(xen, allocate())
      t.equal(channel.awaitIdle, undefined)
    }
    using xen = new LocalXen({ memory, doorbell: 1, defer })
    using channel = bind(xen, allocate())
    Atomics.store(memory.i32, word, running)
    channel.awaitIdle!(1)
    t.equal(Atomics.load(memory.i32, word), running, 'it gives up')
    worker.postMessage(20)
    channel.awaitIdle!(60_000)
    t.equal(Atomics.load(memory.i32, word), blocked, 'it is woken')
    channel.awaitIdle!(60_000)
  },
)

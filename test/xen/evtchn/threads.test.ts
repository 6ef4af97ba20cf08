import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { EVTCHNOP, evtchn_expand_array, evtchn_init_control } from '../../../src/xen/abi/event_channel.ts'
import { HYPERVISOR } from '../../../src/xen/abi/xen.ts'
import type { Domain } from '../../../src/xen/domain.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'
import { FifoGuest } from './fifo-guest.ts'

/** Runs a body in two threads at once, each over the same domain, and waits for both. `n` is 0 or 1. */
async function inTwoThreads(t: Test, domain: Domain, data: object, body: string): Promise<void> {
  const source = `
    import { workerData, parentPort } from 'node:worker_threads'
    import { MachineMemory } from '${new URL('../../../src/base/machine-memory.ts', import.meta.url)}'
    import { Domain } from '${new URL('../../../src/xen/domain.ts', import.meta.url)}'
    const { memory, layout, n, data } = workerData
    const domain = new Domain(new MachineMemory(memory, layout))
    ${body}
    parentPort.postMessage('done')
  `
  const { memory } = domain
  const threads = [0, 1].map((n) => {
    const worker = new Worker(source, {
      eval: true,
      workerData: { memory: memory.memory, layout: memory.layout, n, data },
    })
    t.teardown(() => worker.terminate())
    return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  })
  await Promise.all(threads)
}

t.test(
  'FIFO: two threads send while the guest takes; the last event of each port is never lost',
  async (t) => {
    const domain = testDomain()
    const vcpu = new FakeVcpu(domain)
    const ports = Array.from({ length: 8 }, () => domain.evtchn.bindIpi(0))
    const EVTCHN = HYPERVISOR.event_channel_op
    vcpu.op(EVTCHN, EVTCHNOP.init_control, evtchn_init_control, { control_gfn: 0x201n })
    vcpu.op(EVTCHN, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: 0x200n })
    const guest = new FifoGuest(domain, 0x200, 0x201)
    const counters = domain.memory.hostOffset(0x300000) / 4
    const ROUNDS = 3000
    const seen = new Map<number, number>()
    let done = false
    const sending = inTwoThreads(
      t,
      domain,
      { ports, counters, ROUNDS },
      `for (let round = 0; round < data.ROUNDS; round++) {
       const i = (round * 5 + n * 3) % data.ports.length
       Atomics.add(domain.memory.i32, data.counters + i, 1)
       domain.evtchn.send(data.ports[i])
     }`,
    ).then(() => {
      done = true
    })
    const take = () => {
      for (const port of guest.handle()) {
        const i = ports.indexOf(port)
        seen.set(i, Atomics.load(domain.memory.i32, counters + i))
      }
    }
    while (!done) {
      take()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await sending
    take()
    for (const i of ports.keys())
      t.equal(seen.get(i), Atomics.load(domain.memory.i32, counters + i), `port ${i}`)
  },
)

t.test('two threads that allocate and close ports never get the same one', async (t) => {
  const domain = testDomain()
  const out = domain.memory.hostOffset(0x300000) / 4
  await inTwoThreads(
    t,
    domain,
    { out },
    `let clashes = 0
     for (let round = 0; round < 2000; round++) {
       const port = domain.evtchn.bindIpi(n)
       if (domain.evtchn.status(port).vcpu !== n) clashes++
       if (domain.evtchn.close(port) !== 0) clashes++
     }
     Atomics.store(domain.memory.i32, data.out + n, clashes + 1)`,
  )
  t.equal(domain.memory.i32[out], 1)
  t.equal(domain.memory.i32[out + 1], 1)
  t.equal(domain.evtchn.bindIpi(0), 1, 'all are free again')
})

/** The mailbox in which a vCPU is told of writes to code it has decoded. */
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { MachineMemory, PAGE_SIZE, planMachine } from '../../src/base/machine-memory.ts'
import { announceWrite, CODE_GRAIN, CODE_MAILBOX, takeCodeMailbox } from '../../src/base/vcpu-control.ts'

function machineWithCode(): { memory: MachineMemory; page: number } {
  const memory = MachineMemory.create(planMachine(1 << 20, 1)!)
  const page = memory.ramPage(3)
  memory.u8[memory.layout.pageFlags + page] = 1
  return { memory, page: page * PAGE_SIZE }
}

t.test('each grain that a write touches is in the box once', async (t) => {
  const { memory, page } = machineWithCode()
  announceWrite(memory, page + CODE_GRAIN - 1, 2)
  t.same(takeCodeMailbox(memory, 0), [page, page + CODE_GRAIN])
  t.same(takeCodeMailbox(memory, 0), [])
})

t.test('more than the box holds is told as such, and the box is empty afterwards', async (t) => {
  const { memory, page } = machineWithCode()
  announceWrite(memory, page, CODE_GRAIN * CODE_MAILBOX)
  t.equal(takeCodeMailbox(memory, 0)?.length, CODE_MAILBOX)
  announceWrite(memory, page, PAGE_SIZE)
  t.equal(takeCodeMailbox(memory, 0), undefined)
  t.same(takeCodeMailbox(memory, 0), [])
})

t.test('a page without decoded code tells nobody', async (t) => {
  const { memory, page } = machineWithCode()
  announceWrite(memory, page + PAGE_SIZE, 8)
  t.same(takeCodeMailbox(memory, 0), [])
})

t.test(
  'three threads write while the vCPU empties the box: nothing hangs, nothing is invented or lost',
  async (t) => {
    const { memory, page } = machineWithCode()
    const rounds = 20_000
    const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { MachineMemory } from '${new URL('../../src/base/machine-memory.ts', import.meta.url)}'
    import { announceWrite } from '${new URL('../../src/base/vcpu-control.ts', import.meta.url)}'
    const { memory, layout, at, rounds } = workerData
    const machine = new MachineMemory(memory, layout)
    for (let n = 0; n < rounds; n++) announceWrite(machine, at, 1 + (n % 40))
    parentPort.postMessage('done')`
    const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
    let running = 3
    const places = [0, 1, 2].map((n) => page + n * 64)
    for (const at of places) {
      const workerData = { memory: memory.memory, layout: memory.layout, at, rounds }
      new Worker(url, { workerData }).on('message', () => running--)
    }
    const seen = new Set<number>()
    let overflows = 0
    const empty = () => {
      const taken = takeCodeMailbox(memory, 0)
      if (taken === undefined) overflows++
      else for (const at of taken) seen.add(at)
    }
    while (running > 0) {
      for (let n = 0; n < 100; n++) empty()
      await new Promise((resolve) => setImmediate(resolve))
    }
    empty()
    const possible = new Set(places.flatMap((at) => [at, at + CODE_GRAIN, at + 2 * CODE_GRAIN]))
    t.ok([...seen].every((at) => possible.has(at)))
    t.ok(overflows > 0 || places.every((at) => seen.has(at)))
  },
)

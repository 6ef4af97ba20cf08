import t from 'tap'
import type { BackendThread, PvBus } from '../../../src/engine/plugin.ts'
import { DiskThreads } from '../../../src/plugins/vbd/disk-threads.ts'

interface FakeThread {
  readonly name: string
  readonly calls: string[]
  fail(cause: Error): void
  isOver: boolean
}

function setUp(most: number, { breaksOn = '' } = {}) {
  const threads: FakeThread[] = []
  const failures: string[] = []
  const thread = async ({ name }: { name: string }) => {
    if (breaksOn === 'start') throw new Error('no thread')
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => {})
    const made: FakeThread = { name, calls: [], fail: failed.reject, isOver: false }
    threads.push(made)
    return {
      failed: failed.promise,
      async call(what: string, id: number) {
        made.calls.push(`${what} ${id}`)
        if (what === breaksOn) throw new Error(`${what} failed`)
      },
      async [Symbol.asyncDispose]() {
        made.isOver = true
      },
    } as unknown as BackendThread<never>
  }
  const disks = new DiskThreads({
    bus: { thread } as unknown as PvBus,
    most,
    onFailure: (cause, names) => failures.push(`${names}: ${(cause as Error).message}`),
  })
  const add = (id: number) => disks.add(id, `xvd${id}`, `/backend/${id}`, undefined)
  return { add, threads, failures }
}

t.test('each disk has a thread until there are enough; then the emptiest is shared', async (t) => {
  const { add, threads } = setUp(2)
  const disks = [await add(1), await add(2), await add(3), await add(4)]
  t.same(
    threads.map(({ name, calls }) => [name, ...calls]),
    [
      ['vbd xvd1', 'add 1', 'add 3'],
      ['vbd xvd2', 'add 2', 'add 4'],
    ],
  )
  await disks[0]![Symbol.asyncDispose]()
  await disks[0]![Symbol.asyncDispose]()
  t.notOk(threads[0]!.isOver, 'another disk is there')
  await disks[2]![Symbol.asyncDispose]()
  t.ok(threads[0]!.isOver, 'the last disk takes the thread along')
  t.same(threads[0]!.calls.slice(2), ['remove 1', 'remove 3'])
  await disks[0]!.disconnect()
  await disks[0]!.settled()
  t.equal(threads[0]!.calls.length, 4, 'a disk that is gone asks for nothing')
  await add(5)
  t.equal(threads.length, 3)
})

t.test('a thread that fails is told once, with the disks in it', async (t) => {
  const { add, threads, failures } = setUp(1)
  await add(1)
  await add(2)
  threads[0]!.fail(new Error('a bug'))
  await new Promise(setImmediate)
  t.same(failures, ['xvd1, xvd2: a bug'])
})

t.test('a disk that its thread does not take, or that gets none, leaves nothing', async (t) => {
  const refused = setUp(2, { breaksOn: 'add' })
  await t.rejects(refused.add(1), { message: 'add failed' })
  t.ok(refused.threads[0]!.isOver)
  const none = setUp(2, { breaksOn: 'start' })
  await t.rejects(none.add(1), { message: 'no thread' })
  await t.rejects(none.add(2), { message: 'no thread' })
  t.same(none.failures, [])
})

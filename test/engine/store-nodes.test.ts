import t from 'tap'
import { domid } from '../../src/base/brand.ts'
import { requestOfGuest } from '../../src/engine/store-nodes.ts'
import type { XenstoreClient } from '../../src/xen/xenhost.ts'
import { FakeClock, turns } from './fixtures/fake-clock.ts'

const node = '/local/domain/7/control/shutdown'

/** As much of a store as a request to a guest needs. */
function fakeStore(nodes: Record<string, string>) {
  const watchers = new Set<(path: string) => void>()
  const write = async (path: string, value: string | Uint8Array) => {
    nodes[path] = String(value)
    for (const watcher of watchers) watcher(path)
  }
  const store: Partial<XenstoreClient> = {
    read: async (path) => nodes[path] ?? Promise.reject(Object.assign(new Error(path), { code: 'ENOENT' })),
    write,
    watch: async (path, onEvent) => {
      watchers.add(onEvent)
      onEvent(path)
      const stop = async () => void watchers.delete(onEvent)
      return { path, token: '1', [Symbol.asyncDispose]: stop }
    },
    transaction: (body) => body({ id: 1 }),
  }
  return { store: store as XenstoreClient, write, watchers }
}

function ask(nodes: Record<string, string>) {
  const clock = new FakeClock()
  const gone = new AbortController()
  const fake = fakeStore(nodes)
  const asked = requestOfGuest(fake.store, domid(7), 'poweroff', clock, gone.signal)
  asked.catch(() => {})
  return { ...fake, asked, clock, gone }
}

t.test('a guest that empties the node has taken the request', async (t) => {
  const nodes = { '/local/domain/7/control/feature-poweroff': '1', [node]: '' }
  const { asked, write, watchers, clock } = ask(nodes)
  await turns()
  t.equal(nodes[node], 'poweroff')
  await write(node, '')
  await asked
  t.equal(watchers.size, 0)
  t.equal(clock.pending, 0)
})

t.test(
  'a guest that listens but does not answer for a minute is given up; the request is taken back',
  async (t) => {
    const nodes = { '/local/domain/7/control/feature-poweroff': '1', [node]: '' }
    const { asked, clock } = ask(nodes)
    await turns()
    await clock.pass(59_999)
    t.equal(nodes[node], 'poweroff')
    await clock.pass(1)
    await t.rejects(asked, { code: 'XT_NOT_ACKNOWLEDGED', message: /poweroff request within 60 s/ })
    t.equal(nodes[node], '')
  },
)

t.test('a guest that never said that it listens is given up soon, in xl’s words', async (t) => {
  const nodes: Record<string, string> = { [node]: '' }
  const { asked, clock } = ask(nodes)
  await turns()
  await clock.pass(5000)
  await t.rejects(asked, {
    message: 'PV control interface not available: external graceful shutdown not possible.',
  })
  t.equal(nodes[node], '')
})

t.test('a domain that goes down in another way ends the waiting', async (t) => {
  const nodes = { '/local/domain/7/control/feature-poweroff': '1', [node]: '' }
  const { asked, gone } = ask(nodes)
  await turns()
  gone.abort()
  t.equal(await asked, undefined)
})

import t from 'tap'
import { testXenstore, WireClient } from './wire-client.ts'

t.test('a watch is told once at once, then of every change at and below it, in their order', async (t) => {
  const store = testXenstore()
  const watcher = WireClient.dom0(store)
  const writer = WireClient.dom0(store)
  t.equal(watcher.ask('WATCH', ['/a', 'tok']), 'OK')
  t.same(watcher.told(), ['/a tok'])
  const seen = [
    () => writer.write('/a/b/c', '1'),
    () => writer.write('/a', '2'),
    () => writer.ask('SET_PERMS', ['/a/b', 'n0', 'r3']),
    () => writer.ask('MKDIR', ['/a/d']),
    () => writer.ask('MKDIR', ['/a/d']),
    () => writer.write('/ab', 'not below'),
    () => writer.ask('RM', ['/a/b']),
    () => writer.ask('RM', ['/a/b']),
  ].map((change) => {
    change()
    return watcher.told()
  })
  t.same(seen, [['/a/b/c tok'], ['/a tok'], ['/a/b tok'], ['/a/d tok'], [], [], ['/a/b tok'], []])
})

t.test('directories made on the way to a node are not told of themselves', async (t) => {
  const store = testXenstore()
  const client = WireClient.dom0(store)
  client.ask('WATCH', ['/a', 'a'])
  client.ask('WATCH', ['/a/b', 'b'])
  client.told()
  client.write('/a/b/c', '')
  t.same(client.told(), ['/a/b/c a', '/a/b/c b'])
  const tx = client.begin()
  client.write('/a/b/d/e/f', '', tx)
  client.write('/a/b/d/e', 'explicitly', tx)
  client.end(tx)
  t.same(client.told(), ['/a/b/d/e a', '/a/b/d/e b', '/a/b/d/e/f a', '/a/b/d/e/f b'])
})

t.test(
  "removal of what lies above a watch is told under the watch's own path, if there was a node",
  async (t) => {
    const store = testXenstore()
    const watcher = WireClient.dom0(store)
    watcher.write('/a/b/c', '')
    for (const path of ['/a/b/c', '/a/b/nosuch', '/a/b/no/such', '/a', '/'])
      watcher.ask('WATCH', [path, path])
    watcher.told()
    watcher.ask('RM', ['/a/b'])
    t.same(watcher.told().sort(), ['/a/b /', '/a/b /a', '/a/b/c /a/b/c', '/a/b/nosuch /a/b/nosuch'])
  },
)

t.test('relative watches are told relative paths', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  const guest = WireClient.guest(store, 5)
  dom0.write('/local/domain/5/device/x', '')
  for (const path of ['/local/domain/5', '/local/domain/5/device', '/local/domain/5/device/x']) {
    dom0.ask('SET_PERMS', [path, 'n5'])
  }
  guest.ask('WATCH', ['device', 't1'])
  guest.ask('WATCH', ['/local/domain/5/device', 't2'])
  t.same(guest.told(), ['device t1', '/local/domain/5/device t2'])
  dom0.write('/local/domain/5/device/x', '1')
  t.same(guest.told(), ['device/x t1', '/local/domain/5/device/x t2'])
})

t.test('a depth limits how far below a watch is told', async (t) => {
  const client = WireClient.dom0(testXenstore())
  client.ask('WATCH', ['/a', 'zero', '0'])
  client.ask('WATCH', ['/a', 'one', '1'])
  client.told()
  for (const path of ['/a', '/a/b', '/a/b/c']) client.write(path, '')
  t.same(client.told(), ['/a zero', '/a one', '/a/b one'])
  t.equal(client.ask('WATCH', ['/a', 'x', '-1']), 'EINVAL')
})

t.test('only changes that may be read are told; losing the right to read is told once more', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  const guest = WireClient.guest(store, 5)
  dom0.write('/s/open', '')
  dom0.write('/s/closed', '')
  dom0.ask('SET_PERMS', ['/s/open', 'n0', 'r5'])
  guest.ask('WATCH', ['/s', 't'])
  guest.told()
  dom0.write('/s/open', '1')
  dom0.write('/s/closed', '1')
  t.same(guest.told(), ['/s/open t'])
  dom0.ask('SET_PERMS', ['/s/open', 'n0'])
  t.same(guest.told(), ['/s/open t'])
  dom0.write('/s/open', '2')
  t.same(guest.told(), [])
  dom0.ask('SET_PERMS', ['/s', 'r0'])
  guest.told()
  dom0.write('/s/new', '')
  t.same(guest.told(), ['/s/new t'], 'the directory above may be read')
  dom0.ask('SET_PERMS', ['/s/new', 'n0'])
  guest.told()
  dom0.ask('RM', ['/s/new'])
  t.same(guest.told(), ['/s/new t'])
})

t.test(
  'changes of a transaction are told when it is committed, each node once, in order; aborted ones never',
  async (t) => {
    const store = testXenstore()
    const watcher = WireClient.dom0(store)
    const writer = WireClient.dom0(store)
    watcher.ask('WATCH', ['/a', 't'])
    watcher.told()
    const tx = writer.begin()
    writer.write('/a/z', '1', tx)
    writer.write('/a/b', '1', tx)
    writer.ask('SET_PERMS', ['/a/z', 'n0', 'r1'], tx)
    writer.write('/a/gone', '1', tx)
    writer.ask('RM', ['/a/gone'], tx)
    t.same(watcher.told(), [])
    writer.end(tx)
    t.same(watcher.told(), ['/a/z t', '/a/b t'])
    const aborted = writer.begin()
    writer.write('/a/z', '2', aborted)
    writer.end(aborted, 'F')
    t.same(watcher.told(), [])
  },
)

t.test('who changes something gets the reply before the events that this causes', async (t) => {
  const store = testXenstore()
  const client = WireClient.dom0(store)
  client.ask('WATCH', ['/a', 't'])
  const order: number[] = []
  store.xenstore.handle(client.connection, {
    type: 11,
    reqId: 9,
    txId: 0,
    payload: new TextEncoder().encode('/a\0x'),
  })
  for (let bytes = client.connection.take(); bytes !== undefined; bytes = client.connection.take())
    order.push(bytes[0]!)
  t.same(order, [11, 15])
})

t.test('the same watch twice is EEXIST, an unknown one to remove ENOENT, wrong words EINVAL', async (t) => {
  const client = WireClient.dom0(testXenstore())
  client.ask('WATCH', ['/a', 't'])
  t.equal(client.ask('WATCH', ['/a', 't']), 'EEXIST')
  t.equal(client.ask('WATCH', ['/a', 't2']), 'OK')
  t.equal(client.ask('UNWATCH', ['/a', 't3']), 'ENOENT')
  t.equal(client.ask('UNWATCH', ['/a', 't']), 'OK')
  for (const words of [['/a'], [], ['/a', 't', '1', '2'], ['/a b', 't'], ['@a b', 't']]) {
    t.equal(client.ask('WATCH', words), 'EINVAL')
    t.equal(client.ask('UNWATCH', words), 'EINVAL')
  }
  client.told()
  client.write('/a', '1')
  t.same(client.told(), ['/a t2'])
})

t.test('RESET_WATCHES forgets watches and transactions of this connection only', async (t) => {
  const store = testXenstore()
  const one = WireClient.dom0(store)
  const two = WireClient.dom0(store)
  one.ask('WATCH', ['/a', 't'])
  two.ask('WATCH', ['/a', 't'])
  const tx = one.begin()
  t.equal(one.ask('RESET_WATCHES', ['']), 'OK')
  t.equal(one.end(tx), 'ENOENT')
  one.told()
  two.told()
  two.write('/a', '')
  t.same(one.told(), [])
  t.same(two.told(), ['/a t'])
})

t.test(
  '@introduceDomain and @releaseDomain are told to dom0, and to guests only where permitted',
  async (t) => {
    const store = testXenstore()
    const dom0 = WireClient.dom0(store)
    const guest = WireClient.guest(store, 5)
    for (const client of [dom0, guest]) {
      client.ask('WATCH', ['@introduceDomain', 'i'])
      client.ask('WATCH', ['@releaseDomain', 'r'])
      client.told()
    }
    dom0.ask('WATCH', ['@releaseDomain', 'deep', '1'])
    dom0.ask('WATCH', ['@releaseDomain/6', 'six'])
    dom0.ask('WATCH', ['@releaseDomain/7', 'seven'])
    t.equal(dom0.ask('SET_PERMS', ['@releaseDomain', 'n0', 'r5']), 'OK')
    t.equal(dom0.ask('GET_PERMS', ['@releaseDomain']), 'n0\0r5')
    dom0.told()
    dom0.ask('INTRODUCE', ['6', '1', '1'])
    t.same(dom0.told(), ['@introduceDomain i'])
    dom0.ask('INTRODUCE', ['6', '1', '2'])
    t.same(dom0.told(), [], 'a second time it is not new')
    dom0.ask('RELEASE', ['6'])
    t.same(dom0.told(), ['@releaseDomain r', '@releaseDomain/6 deep', '@releaseDomain/6 six'])
    t.same(guest.told(), ['@releaseDomain r'])
  },
)

t.test('a domain that has shut down is told by @releaseDomain once, and again after RESUME', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  dom0.ask('INTRODUCE', ['6', '1', '1'])
  dom0.ask('WATCH', ['@releaseDomain', 'r'])
  dom0.told()
  for (let i = 0; i < 2; i++) dom0.ask('CONTROL', ['domain-shutdown', '6'])
  t.same(dom0.told(), ['@releaseDomain r'])
  dom0.ask('RESUME', ['6'])
  dom0.ask('CONTROL', ['domain-shutdown', '6'])
  t.same(dom0.told(), ['@releaseDomain r'])
  t.equal(dom0.ask('CONTROL', ['domain-shutdown', '9']), 'ENOENT')
})

t.test(
  'events that wait for somebody who does not read are told once each, and are bounded for guests',
  async (t) => {
    const store = testXenstore()
    const dom0 = WireClient.dom0(store)
    const guest = WireClient.guest(store, 5)
    dom0.ask('SET_QUOTA', ['5', 'memory', '1000'])
    dom0.write('/s', '')
    dom0.ask('SET_PERMS', ['/s', 'b5'])
    guest.ask('WATCH', ['/s', 't'])
    guest.told()
    for (let i = 0; i < 1000; i++) dom0.write('/s/same', `${i}`)
    t.same(guest.told(), ['/s/same t'])
    for (let i = 0; i < 1000; i++) dom0.write(`/s/n${i}`, '')
    const told = guest.told()
    t.ok(told.length > 10 && told.length < 50, `${told.length} events were kept`)
  },
)

t.test('a tool of dom0 that never reads its events is cut off before it costs too much', async (t) => {
  const store = testXenstore()
  const sleeper = WireClient.dom0(store)
  const writer = WireClient.dom0(store)
  sleeper.ask('WATCH', ['/', 'x'.repeat(4000)])
  let why = ''
  sleeper.connection.onClose = (each) => {
    why = each
  }
  for (let i = 0; i < 20_000 && why === ''; i++) writer.write(`/n${i}`, '')
  t.equal(why, 'does not read its events')
  t.equal(sleeper.connection.take(), undefined)
})

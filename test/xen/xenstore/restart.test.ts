import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { restarted, type TestXenstore, testXenstore, WireClient } from './wire-client.ts'

const state = ({ xenstore }: TestXenstore) => JSON.stringify([...xenstore.entries()])

t.test('what was recorded makes the same state again, whatever was done', async (t) => {
  const path = fc.constantFrom('/a', '/a/b', '/a/b/c', '/d', 'x', 'x/y')
  const request = fc.oneof(
    fc.tuple(
      fc.constant('WRITE' as const),
      path.map((each) => [each, 'v\xff']),
    ),
    fc.tuple(
      fc.constantFrom('MKDIR', 'RM', 'READ'),
      path.map((each) => [each]),
    ),
    fc.tuple(
      fc.constant('SET_PERMS' as const),
      path.map((each) => [each, 'b0', 'r5']),
    ),
    fc.tuple(fc.constantFrom('WATCH', 'UNWATCH'), fc.tuple(path, fc.constantFrom('t', 'u'))),
    fc.tuple(fc.constantFrom('TRANSACTION_START', 'RESET_WATCHES'), fc.constant([''])),
    fc.tuple(fc.constant('TRANSACTION_END' as const), fc.constantFrom(['T'], ['F'])),
    fc.tuple(fc.constant('RELEASE' as const), fc.constantFrom(['5'], ['6'])),
    fc.tuple(fc.constant('INTRODUCE' as const), fc.constantFrom(['5', '1', '1'], ['6', '1', '1'])),
    fc.tuple(fc.constant('SET_QUOTA' as const), fc.constantFrom(['nodes', '9'], ['5', 'nodes', '7'])),
  )
  const step = fc.tuple(fc.nat(1), fc.nat(3), request)
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = testXenstore()
      const dom0 = WireClient.dom0(store)
      let guest: WireClient | undefined
      for (const [who, tx, [name, words]] of steps) {
        if (guest === undefined || guest.connection.closed) {
          guest = WireClient.guest(store, 5)
          dom0.write('/local/domain/5', '')
          dom0.ask('SET_PERMS', ['/local/domain/5', 'n5'])
        }
        ;[dom0, guest][who]!.ask(name as 'READ', words as string[], tx)
      }
      assert.equal(state(restarted(store)), state(store))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('a guest that resumes has its watches; one that starts anew has none', async (t) => {
  const store = testXenstore()
  const guest = WireClient.guest(store, 5)
  guest.ask('WATCH', ['memory/target', 't'])
  guest.ask('WATCH', ['@releaseDomain', 'r'])
  for (const resume of [true, false]) {
    const after = restarted(store)
    const dom0 = WireClient.dom0(after)
    dom0.write('/local/domain/5/memory/target', '')
    dom0.ask('SET_PERMS', ['/local/domain/5/memory/target', 'n0', 'r5'])
    const again = WireClient.guest(after, 5, resume)
    dom0.write('/local/domain/5/memory/target', '1')
    t.same(again.told(), resume ? ['memory/target t'] : [])
    t.same(JSON.stringify([...after.xenstore.entries()]).includes('@releaseDomain","r'), resume)
  }
})

t.test('a transaction that the restart interrupted goes on and ends in EAGAIN', async (t) => {
  const store = testXenstore()
  const guest = WireClient.guest(store, 5)
  const dom0 = WireClient.dom0(store)
  dom0.write('/local/domain/5/data', 'v')
  dom0.ask('SET_PERMS', ['/local/domain/5/data', 'n5'])
  const tx = guest.begin()
  guest.write('data', 'lost', tx)
  const after = restarted(store)
  const again = WireClient.guest(after, 5, true)
  t.equal(again.read('data', tx), 'v')
  t.equal(again.write('data', 'more', tx), 'OK')
  t.equal(again.end(tx), 'EAGAIN')
  t.equal(again.read('data'), 'v')
  t.equal(again.end(tx), 'ENOENT')
})

t.test(
  'a domain that lives with its connection is released when that ends, or does not come back',
  async (t) => {
    const store = testXenstore()
    const dom0 = WireClient.dom0(store)
    dom0.ask('WATCH', ['@introduceDomain', 'i'])
    dom0.ask('WATCH', ['@releaseDomain', 'r'])
    dom0.told()
    const guest = WireClient.guest(store, 5)
    t.same(dom0.told(), ['@introduceDomain i'])
    t.equal(store.xenstore.connectGuest(5, { resume: false }), 'the domain is connected already')
    const after = restarted(store)
    t.same(after.xenstore.domids, [5])
    after.xenstore.releaseUnlinked()
    t.same(after.xenstore.domids, [])
    store.xenstore.disconnect(guest.connection)
    t.same(dom0.told(), ['@releaseDomain r'])
    t.equal(store.xenstore.connectGuest(5, { resume: false }), 'the domain is not introduced')
  },
)

t.test('a domain that dom0 introduced stays when its connection ends, without its watches', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  dom0.ask('INTRODUCE', ['5', '1', '1'])
  const connect = () => new WireClient(store.xenstore, store.xenstore.connectGuest(5, { resume: false }))
  const guest = connect()
  guest.ask('WATCH', ['x', 't'])
  const tx = guest.begin()
  store.xenstore.disconnect(guest.connection)
  store.xenstore.releaseUnlinked()
  t.same(store.xenstore.domids, [5])
  const again = connect()
  t.equal(again.connection.watches.size, 0)
  t.equal(again.end(tx), 'ENOENT')
})

t.test('INTRODUCE of a connected domain starts its connection from nothing; RELEASE ends it', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  const guest = WireClient.guest(store, 5)
  let why = ''
  guest.connection.onClose = (each) => {
    why = each
  }
  guest.ask('WATCH', ['x', 't'])
  dom0.ask('INTRODUCE', ['5', '1', '1'])
  t.equal(guest.connection.watches.size, 0)
  t.equal(why, '')
  dom0.ask('RELEASE', ['5'])
  t.equal(why, 'released')
})

t.test('damaged entries are not replayed', async (t) => {
  const { xenstore } = testXenstore()
  for (const entry of [
    ['put', '/no/parent', '', 'n0'],
    ['put', '/x', '', 'q0'],
    ['remove', '/nosuch'],
    ['released', 5],
    ['unwatch', 5, '/x', 't'],
    ['end', 5, 1],
    ['nosuch'],
  ]) {
    t.equal(xenstore.replay(entry as never), false, String(entry[0]))
  }
})

import fc from 'fast-check'
import t from 'tap'
import { XS } from '../../../src/xen/xenstore/wire.ts'
import { testXenstore, WireClient } from './wire-client.ts'

/** A guest with a directory of its own at /local/domain/5/data, as libxl makes it. */
function withGuest(limits: Record<string, number> = {}) {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  const guest = WireClient.guest(store, 5)
  dom0.write('/local/domain/5/data', '')
  dom0.ask('SET_PERMS', ['/local/domain/5/data', 'n5'])
  for (const [name, value] of Object.entries(limits)) dom0.ask('SET_QUOTA', ['5', name, `${value}`])
  return { store, dom0, guest }
}

t.test('nodes: a guest owns 1000 and no more, dom0 has no limit', async (t) => {
  const { dom0, guest } = withGuest()
  const answers = Array.from({ length: 1005 }, (_, i) => guest.write(`data/n${i}`, ''))
  t.equal(answers.filter((answer) => answer === 'OK').length, 999, 'one of the thousand is data itself')
  t.equal(answers.at(-1), 'ENOSPC')
  t.equal(guest.write('data/a/b/c', ''), 'ENOSPC')
  guest.ask('RM', ['data/n0'])
  t.equal(guest.write('data/n0', ''), 'OK')
  t.ok(Array.from({ length: 1005 }, (_, i) => dom0.write(`/x/n${i}`, '')).every((answer) => answer === 'OK'))
})

t.test('nodes: nor by transactions that run at the same time', async (t) => {
  const { guest } = withGuest({ nodes: 11 })
  const [one, two] = [guest.begin(), guest.begin()]
  for (let i = 0; i < 10; i++) t.equal(guest.write(`data/one${i}`, '', one), 'OK')
  for (let i = 0; i < 10; i++) t.equal(guest.write(`data/two${i}`, '', two), 'OK')
  t.equal(guest.write('data/more', '', two), 'ENOSPC')
  t.equal(guest.end(one), 'OK')
  t.equal(guest.end(two), 'ENOSPC')
  t.equal(guest.ask('DIRECTORY', ['data']).split('\0').length, 10)
})

t.test('size of a value, number of permissions, length of a path', async (t) => {
  const { dom0, guest } = withGuest()
  t.equal(guest.write('data/x', 'x'.repeat(2048)), 'OK')
  t.equal(guest.write('data/x', 'x'.repeat(2049)), 'ENOSPC')
  t.equal(dom0.write('/x', 'x'.repeat(2049)), 'ENOSPC', 'oxenstored holds this against dom0 too')
  t.equal(guest.ask('SET_PERMS', ['data/x', 'n5', 'r1', 'r2', 'r3', 'r4']), 'OK')
  t.equal(guest.ask('SET_PERMS', ['data/x', 'n5', 'r1', 'r2', 'r3', 'r4', 'r6']), 'ENOSPC')
  t.equal(guest.write(`data/${'y'.repeat(2043)}`, ''), 'OK')
  t.equal(guest.write(`data/${'y'.repeat(2044)}`, ''), 'EINVAL')
})

t.test('watches, transactions, nodes looked at in one transaction', async (t) => {
  const { guest } = withGuest({ watches: 3, transactions: 2, 'transaction-nodes': 20 })
  t.same(
    ['a', 'b', 'c', 'd'].map((token) => guest.ask('WATCH', ['data', token])),
    ['OK', 'OK', 'OK', 'ENOSPC'],
  )
  const tx = guest.begin()
  guest.begin()
  t.equal(guest.ask('TRANSACTION_START', ['']), 'ENOSPC')
  const answers = Array.from({ length: 50 }, (_, i) => guest.read(`data/n${i}`, tx))
  t.equal(answers[0], 'ENOENT')
  t.equal(answers.at(-1), 'ENOSPC')
})

t.test('memory: what a guest stores is bounded in bytes', async (t) => {
  const { guest } = withGuest({ memory: 5000 })
  t.equal(guest.write('data/a', 'x'.repeat(2000)), 'OK')
  t.equal(guest.write('data/b', 'x'.repeat(2000)), 'OK')
  t.equal(guest.write('data/c', 'x'.repeat(2000)), 'ENOMEM')
  t.equal(guest.write('data/a', ''), 'OK')
  t.equal(guest.write('data/c', 'x'.repeat(2000)), 'OK')
  t.equal(guest.write('data/a', 'x'.repeat(2000)), 'ENOMEM')
})

t.test('outstanding: requests of a guest that does not take its answers are not read', async (t) => {
  const { store, guest } = withGuest({ outstanding: 3 })
  const ask = () =>
    store.xenstore.handle(guest.connection, { type: XS.READ, reqId: 1, txId: 0, payload: new Uint8Array(1) })
  ask()
  ask()
  t.ok(guest.connection.wantsRequests)
  ask()
  t.notOk(guest.connection.wantsRequests)
  guest.connection.take()
  t.ok(guest.connection.wantsRequests)
})

t.test('quotas are listed, read and set, for new domains and for one', async (t) => {
  const { store, dom0 } = withGuest()
  const names = dom0.send('GET_QUOTA', '').split(' ')
  t.ok(
    ['nodes', 'watches', 'transactions', 'node-size', 'permissions'].every((name) =>
      names.some((each) => each.endsWith(name)),
    ),
  )
  t.equal(dom0.ask('GET_QUOTA', ['nodes']), '1000')
  t.equal(dom0.ask('SET_QUOTA', ['nodes', '7']), 'OK')
  t.equal(dom0.ask('GET_QUOTA', ['5', 'nodes']), '1000', 'a known domain keeps its own')
  WireClient.guest(store, 6)
  t.equal(dom0.ask('GET_QUOTA', ['6', 'nodes']), '7')
  t.equal(dom0.ask('SET_QUOTA', ['6', 'nodes', '0']), 'OK', '0: no limit')
  t.equal(dom0.ask('GET_QUOTA', ['7', 'nodes']), 'ENOENT')
  t.equal(dom0.ask('GET_QUOTA', ['nosuch']), 'EINVAL')
  t.equal(dom0.ask('SET_QUOTA', ['nosuch', '1']), 'EINVAL')
  t.equal(dom0.ask('SET_QUOTA', ['nodes', '-1']), 'EINVAL')
  t.equal(dom0.ask('SET_QUOTA', ['0', 'nodes', '1']), 'ENOENT')
  t.equal(dom0.ask('SET_QUOTA', ['nodes']), 'EINVAL')
})

t.test(
  "whatever a guest sends is answered in the protocol's own terms, and nobody else's nodes change",
  async (t) => {
    const words = fc.array(
      fc.oneof(
        fc.string({ maxLength: 12 }),
        fc.constantFrom('data', 'data/x', '/', '/tool', 'T', 'n5', '-1', '5', '@releaseDomain'),
      ),
      { maxLength: 4 },
    )
    const request = fc.record({
      type: fc.oneof(fc.nat(30), fc.nat(0xffffffff)),
      tx: fc.nat(3),
      words,
      tail: fc.string({ maxLength: 5 }),
    })
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        const { store, guest } = withGuest()
        const foreign = () =>
          JSON.stringify(
            [...store.xenstore.store.walk('/')]
              .filter(([, node]) => node.perms[0].domid !== 5)
              .map(([path, node]) => [path, node.value, node.perms]),
          )
        const before = foreign()
        for (const { type, tx, words, tail } of requests) {
          guest.send(type, words.map((word) => `${word}\0`).join('') + tail, tx)
        }
        return foreign() === before
      }),
      { numRuns: 300 },
    )
    t.pass()
  },
)

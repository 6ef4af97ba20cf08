import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { testXenstore, WireClient } from './wire-client.ts'

/** What a client may ask for, as data: so that it can be done again elsewhere. */
const path = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
  .map((names) => `/t/${names.join('/')}`)
const action = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constant('WRITE' as const), path, fc.constantFrom('1', '2', '')) },
  fc.tuple(fc.constantFrom('READ', 'DIRECTORY', 'MKDIR', 'RM', 'GET_PERMS'), path, fc.constant('')),
  fc.tuple(fc.constant('SET_PERMS' as const), path, fc.constantFrom('r1', 'b2')),
)
type Action = readonly [what: string, path: string, argument: string]

function act(client: WireClient, [what, path, argument]: Action, tx = 0): string {
  if (what === 'WRITE') return client.write(path, argument, tx)
  const words = what === 'SET_PERMS' ? [path, argument] : [path]
  return client.ask(what as 'READ', words, tx)
}

function dump(client: WireClient, path = '/t'): unknown {
  const names = client.ask('DIRECTORY', [path]).split('\0').filter(Boolean)
  const own = [path, client.read(path), client.ask('GET_PERMS', [path])]
  return [own, ...names.map((name) => dump(client, `${path}/${name}`))]
}

const move = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('begin' as const), client: fc.nat(2) }) },
  fc.record({ kind: fc.constantFrom('end' as const, 'end' as const, 'abort' as const), client: fc.nat(2) }),
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('act' as const), client: fc.nat(2), action }) },
)

t.test(
  'any interleaving answers as if each committed transaction had run alone, at the moment of its end',
  async (t) => {
    let committed = 0
    let conflicts = 0
    fc.assert(
      fc.property(fc.array(move, { minLength: 10, maxLength: 60 }), (moves) => {
        const real = testXenstore()
        const serial = testXenstore()
        const clients = [0, 1, 2].map(() => ({
          client: WireClient.dom0(real),
          tx: 0,
          done: [] as [Action, string][],
        }))
        const replay = WireClient.dom0(serial)
        for (const client of [clients[0]!.client, replay]) client.ask('MKDIR', ['/t/a/b'])
        for (const each of moves) {
          const own = clients[each.client]!
          if (each.kind === 'begin' && own.tx === 0) {
            own.tx = own.client.begin()
            own.done = []
          } else if (each.kind === 'act') {
            const answer = act(own.client, each.action, own.tx)
            if (own.tx === 0) assert.equal(act(replay, each.action), answer)
            else own.done.push([each.action, answer])
          } else if (each.kind !== 'begin' && own.tx !== 0) {
            const verdict = own.client.end(own.tx, each.kind === 'end' ? 'T' : 'F')
            own.tx = 0
            if (each.kind === 'abort') assert.equal(verdict, 'OK')
            else if (verdict === 'EAGAIN') conflicts++
            else {
              assert.equal(verdict, 'OK')
              committed++
              for (const [action, answer] of own.done)
                assert.equal(act(replay, action), answer, action.join(' '))
            }
          }
          assert.deepEqual(dump(clients[0]!.client), dump(replay))
        }
      }),
      { numRuns: 400 },
    )
    t.ok(committed > 20, `${committed} transactions were committed`)
    t.ok(conflicts > 20, `${conflicts} conflicted`)
  },
)

t.test(
  'a transaction that read what somebody else wrote since ends in EAGAIN and leaves nothing',
  async (t) => {
    const store = testXenstore()
    const one = WireClient.dom0(store)
    const two = WireClient.dom0(store)
    one.write('/t/x', 'old')
    const tx = one.begin()
    t.equal(one.read('/t/x', tx), 'old')
    two.write('/t/x', 'new')
    t.equal(one.read('/t/x', tx), 'old', 'it goes on seeing what it saw')
    one.write('/t/y', '1', tx)
    t.equal(two.read('/t/y'), 'ENOENT', 'nobody else sees what it wrote')
    t.equal(one.end(tx), 'EAGAIN')
    t.equal(one.read('/t/y'), 'ENOENT')
    t.equal(one.read('/t/x', tx), 'ENOENT', 'its id is gone')
  },
)

t.test('what does not touch the same nodes does not conflict', async (t) => {
  const store = testXenstore()
  const one = WireClient.dom0(store)
  const two = WireClient.dom0(store)
  one.write('/t/x', '')
  const tx = one.begin()
  one.write('/t/one', '1', tx)
  one.write('/t/x', '1', tx)
  two.write('/t/two', '2')
  two.write('/elsewhere', '2')
  two.write('/t/x', '2')
  t.equal(one.end(tx), 'OK')
  t.equal(one.ask('DIRECTORY', ['/t']), 'one\0two\0x')
  t.equal(one.read('/t/x'), '1', 'a value that was only written: the last writer wins')
})

t.test('a directory that was listed conflicts with a new child of it', async (t) => {
  const store = testXenstore()
  const one = WireClient.dom0(store)
  one.write('/t/x', '')
  const tx = one.begin()
  one.ask('DIRECTORY', ['/t'], tx)
  one.write('/t/x', '2')
  const other = one.begin()
  one.ask('DIRECTORY', ['/t'], other)
  t.equal(one.end(tx), 'OK', 'a changed value of a child is none')
  one.write('/t/y', '')
  t.equal(one.end(other), 'EAGAIN')
})

t.test('an absent node that was looked for conflicts with its creation', async (t) => {
  const store = testXenstore()
  const one = WireClient.dom0(store)
  const tx = one.begin()
  t.equal(one.read('/t/x', tx), 'ENOENT')
  one.write('/t/x', '')
  t.equal(one.end(tx), 'EAGAIN')
})

t.test('permissions and value written on both sides: neither is lost', async (t) => {
  const store = testXenstore()
  const one = WireClient.dom0(store)
  one.write('/t/x', 'old')
  const tx = one.begin()
  one.ask('SET_PERMS', ['/t/x', 'r1'], tx)
  one.write('/t/x', 'new')
  t.equal(one.end(tx), 'EAGAIN')
  t.equal(one.read('/t/x'), 'new')
})

t.test('ids: unknown ones, nesting, ending without one, and a word that is neither T nor F', async (t) => {
  const client = WireClient.dom0(testXenstore())
  t.equal(client.read('/tool', 77), 'ENOENT')
  t.equal(client.end(77), 'ENOENT')
  t.equal(client.end(0), 'ENOENT')
  const tx = client.begin()
  t.equal(client.ask('TRANSACTION_START', [''], tx), 'EBUSY')
  t.equal(client.end(tx, 'X'), 'EINVAL')
  t.equal(client.ask('WATCH', ['/tool', 'token'], 99), 'OK', 'watches do not care')
  t.equal(client.end(tx, 'F'), 'OK')
})

t.test("transactions of one connection are nobody else's", async (t) => {
  const store = testXenstore()
  const one = WireClient.dom0(store)
  const tx = one.begin()
  t.equal(WireClient.dom0(store).read('/tool', tx), 'ENOENT')
})

import fc from 'fast-check'
import t from 'tap'
import { formatPerms, parsePerms, rights } from '../../../src/xen/xenstore/perms.ts'
import { testXenstore, WireClient } from './wire-client.ts'

/** Dom0, and guests 5 and 6. */
function three() {
  const store = testXenstore()
  return {
    store,
    dom0: WireClient.dom0(store),
    five: WireClient.guest(store, 5),
    six: WireClient.guest(store, 6),
  }
}

t.test('what each letter allows, to the listed, to others, to the owner and to dom0', async (t) => {
  const { dom0, five, six } = three()
  dom0.write('/p', 'v')
  const may = (client: WireClient) =>
    `${client.read('/p') === 'v' ? 'r' : '-'}${client.write('/p', 'v') === 'OK' ? 'w' : '-'}`
  for (const [perms, expected] of [
    [
      ['n0', 'n5'],
      ['rw', '--', '--'],
    ],
    [
      ['n0', 'r5'],
      ['rw', 'r-', '--'],
    ],
    [
      ['n0', 'w5'],
      ['rw', '-w', '--'],
    ],
    [
      ['n0', 'b5'],
      ['rw', 'rw', '--'],
    ],
    [
      ['r0', 'n5'],
      ['rw', '--', 'r-'],
    ],
    [['b0'], ['rw', 'rw', 'rw']],
    [['n5'], ['rw', 'rw', '--']],
    [
      ['n5', 'r6'],
      ['rw', 'rw', 'r-'],
    ],
    [
      ['n0', 'r5', 'b5'],
      ['rw', 'r-', '--'],
    ],
  ] as const) {
    dom0.ask('SET_PERMS', ['/p', ...perms])
    t.same([dom0, five, six].map(may), expected, perms.join(' '))
  }
})

t.test('nobody learns whether a node exists where they may not read', async (t) => {
  const { dom0, five } = three()
  dom0.write('/secret/x', '')
  dom0.write('/open', '')
  dom0.ask('SET_PERMS', ['/open', 'r0'])
  t.equal(five.read('/secret/x'), 'EACCES')
  t.equal(five.read('/secret/nosuch'), 'EACCES')
  t.equal(five.read('/open/nosuch'), 'ENOENT')
  t.equal(five.write('/open/new', ''), 'EACCES')
  t.equal(five.ask('RM', ['/open/nosuch']), 'EACCES')
  t.equal(five.read('/'), 'EACCES')
})

t.test('new nodes inherit; a guest owns what it makes, also the directories on the way', async (t) => {
  const { dom0, five } = three()
  dom0.ask('MKDIR', ['/d'])
  dom0.ask('SET_PERMS', ['/d', 'n0', 'b5', 'r6'])
  five.write('/d/e/f', '')
  t.equal(dom0.ask('GET_PERMS', ['/d/e']), 'n5\0b5\0r6')
  t.equal(dom0.ask('GET_PERMS', ['/d/e/f']), 'n5\0b5\0r6')
  dom0.write('/d/e/g', '')
  t.equal(dom0.ask('GET_PERMS', ['/d/e/g']), 'n5\0b5\0r6', 'dom0 leaves the owner')
})

t.test('only the owner and dom0 change permissions, only dom0 gives a node away', async (t) => {
  const { dom0, five, six } = three()
  dom0.write('/p', '')
  dom0.ask('SET_PERMS', ['/p', 'n5', 'b6'])
  t.equal(six.ask('SET_PERMS', ['/p', 'n5', 'r6']), 'EACCES')
  t.equal(five.ask('SET_PERMS', ['/p', 'b5']), 'OK')
  t.equal(five.ask('SET_PERMS', ['/p', 'b6']), 'EPERM')
  t.equal(dom0.ask('SET_PERMS', ['/p', 'n6']), 'OK')
  t.equal(five.ask('GET_PERMS', ['/p']), 'EACCES')
  for (const bad of [[], ['q5'], ['n'], ['n-1'], ['n65536'], ['n5x'], ['r5', '']]) {
    t.equal(dom0.ask('SET_PERMS', ['/p', ...bad]), 'EINVAL', bad.join(' '))
  }
})

t.test('a domain with a target may do what the target may', async (t) => {
  const { dom0, five, six } = three()
  dom0.write('/p', 'v')
  dom0.ask('SET_PERMS', ['/p', 'n6'])
  t.equal(five.read('/p'), 'EACCES')
  dom0.ask('SET_TARGET', ['5', '6'])
  t.equal(five.read('/p'), 'v')
  t.equal(five.ask('SET_PERMS', ['/p', 'n6', 'r5']), 'OK')
  t.equal(six.ask('GET_PERMS', ['/p']), 'n6\0r5')
})

t.test(
  'the next domain of an id inherits nothing: nodes of a released one go, its entries too',
  async (t) => {
    const { store, dom0, five } = three()
    dom0.write('/p/q', '')
    dom0.ask('SET_PERMS', ['/p', 'n0', 'b5', 'r6'])
    five.write('/p/own', '')
    dom0.ask('WATCH', ['/', 't'])
    dom0.told()
    dom0.ask('RELEASE', ['5'])
    t.same(dom0.told(), ['/p/own t'])
    t.equal(dom0.ask('GET_PERMS', ['/p']), 'n0\0r6')
    t.equal(dom0.read('/p/own'), 'ENOENT')
    t.equal(WireClient.guest(store, 5).read('/p'), 'EACCES')
  },
)

t.test('permission lists survive writing and parsing', async (t) => {
  const perm = fc.record({ letter: fc.constantFrom('n', 'r', 'w', 'b' as const), domid: fc.nat(0xffff) })
  fc.assert(
    fc.property(fc.array(perm, { minLength: 1, maxLength: 6 }), fc.nat(0xffff), (list, domid) => {
      const perms = parsePerms(list.map((each) => `${each.letter}${each.domid}`))!
      return (
        formatPerms(perms).join() === list.map((each) => `${each.letter}${each.domid}`).join() &&
        (rights({ domid }, perms) === 7) === (domid === 0 || domid === list[0]!.domid)
      )
    }),
  )
  t.pass()
})

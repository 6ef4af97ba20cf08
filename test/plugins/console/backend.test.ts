import fc from 'fast-check'
import t from 'tap'
import { gref } from '../../../src/base/brand.ts'
import { createLog } from '../../../src/base/log.ts'
import { ConsoleBackend } from '../../../src/plugins/console/backend.ts'
import { FakeGuest, guestEnd } from './fake-guest.ts'

async function connected(guest = new FakeGuest()) {
  const printed: Uint8Array[] = []
  const lines: string[] = []
  let rooms = 0
  const sink = {
    output: (bytes: Uint8Array) => printed.push(bytes.slice()),
    inputRoom: () => rooms++,
  }
  const log = createLog((_level, line) => lines.push(line))
  const backend = new ConsoleBackend(guest.xenhost, guestEnd, gref(0), sink, log)
  await backend.connect()
  const text = () => Buffer.concat(printed).toString('latin1')
  return { backend, guest, text, lines, rooms: () => rooms }
}

t.test('what the guest printed before the backend was there is not lost', async (t) => {
  const guest = new FakeGuest()
  guest.pipe.write(Buffer.from('early words'))
  const { text } = await connected(guest)
  t.equal(text(), 'early words')
  t.ok(guest.notified > 0, 'the guest is told that there is room')
})

t.test('any output arrives whole and in order, whatever the size of its pieces', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 6000 }), { maxLength: 8 }), async (pieces) => {
      const { guest, text } = await connected()
      for (const piece of pieces) guest.print(piece)
      return text() === Buffer.concat(pieces).toString('latin1')
    }),
    { numRuns: 30 },
  )
})

t.test(
  'typed bytes reach the guest; what does not fit is left to the caller until there is room',
  async (t) => {
    const { backend, guest, rooms } = await connected()
    t.equal(backend.input(new Uint8Array(1500).fill(0x61)), 1024)
    t.equal(backend.input(Buffer.from('more')), 0)
    const before = rooms()
    t.equal(guest.typed(), 'a'.repeat(1024))
    t.ok(rooms() > before, 'room was announced')
    t.equal(backend.input(Buffer.from('more')), 4)
    t.equal(guest.typed(), 'more')
  },
)

for (const [name, prod] of [
  ['producer index', 0xc0c],
  ['consumer index', 0xc08],
] as const) {
  t.test(`an impossible ${name} of the output ring disconnects the console and nothing else`, async (t) => {
    const { backend, guest, lines, text } = await connected()
    guest.print('fine')
    Atomics.store(guest.i32, (guest.base + prod) >> 2, 0x7fff0000)
    guest.event()
    t.equal(text(), 'fine')
    t.match(lines, [/impossible indices/])
    t.same([guest.mapped.length, guest.bound.length], [0, 0], 'page and port were given back')
    t.equal(backend.input(Buffer.from('x')), 0)
    await backend.disconnect()
  })
}

t.test('an impossible index of the input ring disconnects on the next key', async (t) => {
  const { backend, guest, lines } = await connected()
  Atomics.store(guest.i32, (guest.base + 0xc00) >> 2, 5000)
  t.equal(backend.input(Buffer.from('x')), 0)
  t.match(lines, [/impossible indices/])
})

t.test("disconnecting takes the guest's last words and gives page and port back", async (t) => {
  const { backend, guest, text } = await connected()
  guest.pipe.write(Buffer.from('reboot: Power down'))
  await backend.disconnect()
  t.equal(text(), 'reboot: Power down')
  t.same([guest.mapped.length, guest.bound.length], [0, 0])
})

t.test('after a reset it connects to the new port', async (t) => {
  const { backend, guest, text } = await connected()
  await backend.disconnect()
  guest.nodes.set('/local/domain/7/console/port', '5')
  guest.pipe.reset()
  await backend.connect()
  t.same(guest.bound, [5])
  guest.print('second life')
  t.equal(text(), 'second life')
})

t.test('a port node without a number is named in the error', async (t) => {
  const guest = new FakeGuest()
  guest.nodes.set('/local/domain/7/console/port', 'two')
  await t.rejects(connected(guest), { code: 'XT_CONSOLE_NODE', message: /console\/port .* "two"/ })
})

t.test('a secondary console finds its page by the ring-ref of its frontend', async (t) => {
  const guest = new FakeGuest()
  guest.nodes.set('/local/domain/7/console/ring-ref', '33')
  const sink = { output: () => {}, inputRoom: () => {} }
  const backend = new ConsoleBackend(
    guest.xenhost,
    guestEnd,
    'ring-ref',
    sink,
    createLog(() => {}),
  )
  await backend.connect()
  t.same(guest.mapped, [33])
  await backend[Symbol.asyncDispose]()
  t.same(guest.mapped, [])
})

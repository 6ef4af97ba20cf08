import fc from 'fast-check'
import t from 'tap'
import { isChecksumRight } from '../../../src/plugins/vif/checksum.ts'
import { readHeaders, viewOf } from '../../../src/plugins/vif/packet.ts'
import type { RxFrame } from '../../../src/plugins/vif/rx-frame.ts'
import { NETRXF, NETTXF, netif_extra_info, XEN_NETIF_EXTRA_TYPE } from '../../../src/xen/abi/io/netif.ts'
import { GuestSide } from './guest-side.ts'
import { packet, pattern } from './packets.ts'

const { csum_blank, data_validated, more_data, extra_info } = NETTXF
const BLANK = csum_blank | data_validated
const hex = (frames: readonly Uint8Array[]) => frames.map((frame) => Buffer.from(frame).toString('hex'))

t.test('packets of any size in any slots arrive whole and in order, and each slot is answered', async () => {
  const packets = fc.array(
    fc.record({ size: fc.integer({ min: 14, max: 20_000 }), share: fc.integer({ min: 1200, max: 4096 }) }),
    { minLength: 1, maxLength: 12 },
  )
  fc.assert(
    fc.property(packets, fc.constantFrom(0, -5), (list, startAt) => {
      const guest = new GuestSide({ startAt })
      const sent = list.map(({ size }, n) => pattern(size, n))
      let slots = 0
      for (const [n, frame] of sent.entries())
        for (const slot of guest.place(frame, n * 20, list[n]!.share)) {
          guest.put(slot)
          slots++
        }
      const statuses = guest.kick()
      return (
        statuses.length === slots &&
        statuses.every((status) => status === 0) &&
        guest.cable.sent.length === sent.length &&
        sent.every((frame, n) => Buffer.compare(frame, guest.cable.sent[n]!) === 0)
      )
    }),
    { numRuns: 60 },
  )
})

t.test(
  'a blank checksum is filled in, also of a packet of many segments that goes on as it is',
  async (t) => {
    for (const version of [4, 6] as const) {
      const guest = new GuestSide()
      const large = packet(pattern(40_000), { version, checksum: 'blank' })
      const [first, ...others] = guest.place(large, 1, 4096, BLANK | extra_info)
      guest.put(first!)
      guest.putExtra({ type: XEN_NETIF_EXTRA_TYPE.GSO, gso_size: 1448, gso_type: version === 4 ? 1 : 2 })
      for (const slot of others) guest.put(slot)
      for (const slot of guest.place(
        packet(pattern(50), { version, protocol: 'udp', checksum: 'blank' }),
        50,
        4096,
        BLANK,
      ))
        guest.put(slot)
      t.same(guest.kick(), [0, null, ...others.map(() => 0), 0])
      t.equal(guest.cable.sent.length, 2)
      for (const frame of guest.cable.sent) t.ok(isChecksumRight(viewOf(frame), readHeaders(viewOf(frame))!))
      t.equal(guest.cable.sent[0]!.length, large.length)
    }
  },
)

t.test('a packet of many segments is cut for a host side that takes small frames only', async (t) => {
  const guest = new GuestSide({ headroom: 2, maxFrameBytes: 1518 })
  const before = packet(pattern(60))
  const large = packet(pattern(10_000), { checksum: 'blank' })
  guest.put(guest.place(before, 1)[0]!)
  const [first, ...others] = guest.place(large, 10, 4096, BLANK | extra_info)
  guest.put(first!)
  guest.putExtra({ type: XEN_NETIF_EXTRA_TYPE.GSO, gso_size: 1448, gso_type: 1 })
  for (const slot of others) guest.put(slot)
  guest.put(guest.place(before, 20)[0]!)
  t.same(guest.kick(), [0, 0, null, 0, 0, 0])
  const { sent } = guest.cable
  t.equal(sent.length, 1 + Math.ceil(10_000 / 1448) + 1)
  t.same(hex([sent[0]!, sent.at(-1)!]), hex([before, before]))
  const data = Buffer.concat(sent.slice(1, -1).map((frame) => frame.subarray(54)))
  t.equal(Buffer.compare(data, pattern(10_000)), 0)
})

t.test('what cannot be sent is dropped, and answered as sent', async (t) => {
  const guest = new GuestSide({ maxFrameBytes: 1518 })
  const blank = pattern(100)
  guest.put(guest.place(blank, 1, 4096, BLANK)[0]!)
  guest.put(guest.place(pattern(2000), 2)[0]!)
  t.same(guest.kick(), [0, 0])
  t.same(guest.cable.sent, [])
})

t.test('segments that would multiply a packet are not made', async (t) => {
  const guest = new GuestSide({ maxFrameBytes: 1518 })
  guest.put(guest.place(packet(pattern(3000), { checksum: 'blank' }), 1, 4096, BLANK | extra_info)[0]!)
  guest.putExtra({ type: XEN_NETIF_EXTRA_TYPE.GSO, gso_size: 1, gso_type: 1 })
  t.same(guest.kick(), [0, null])
  t.same(guest.cable.sent, [])
})

t.test('a packet whose page is not granted is an error, those beside it are sent', async (t) => {
  const guest = new GuestSide()
  const good = packet(pattern(60))
  guest.put(guest.place(good, 1)[0]!)
  guest.put({ ref: 99, size: 60 })
  const [first, second] = guest.place(packet(pattern(5000)), 2)
  guest.put(first!)
  guest.put({ ...second!, ref: 98 })
  guest.put(guest.place(good, 5)[0]!)
  t.same(guest.kick(), [0, -1, -1, -1, 0])
  t.same(hex(guest.cable.sent), hex([good, good]))
  t.same(guest.broken, [])
})

t.test('mistakes of one packet cost that packet', async (t) => {
  const guest = new GuestSide()
  guest.pages.set(1, new Uint8Array(4096))
  guest.put({ ref: 1, size: 13 })
  guest.put({ ref: 1, size: 100, flags: more_data })
  guest.put({ ref: 1, size: 200 })
  for (let n = 0; n < 20; n++) guest.put({ ref: 1, size: n === 0 ? 2000 : 10, flags: n < 19 ? more_data : 0 })
  guest.put({ ref: 1, size: 60 })
  t.same(guest.kick(), [-1, -1, -1, ...Array(20).fill(-1), 0])
  t.same([guest.broken, guest.cable.sent.length], [[], 1])
})

const FATAL: readonly (readonly [string, RegExp, (guest: GuestSide) => void])[] = [
  [
    'a packet that goes on where the ring ends',
    /goes on/,
    (g) => g.put({ ref: 1, size: 100, flags: more_data }),
  ],
  [
    'more than 20 slots',
    /more than 20/,
    (g) => {
      for (let n = 0; n < 25; n++) g.put({ ref: 1, size: 2000, flags: more_data })
    },
  ],
  ['bytes beyond the first page', /bytes 4000 to 4097/, (g) => g.put({ ref: 1, offset: 4000, size: 97 })],
  [
    'bytes beyond a later page',
    /bytes 4090 to 4100/,
    (g) => {
      g.put({ ref: 1, size: 100, flags: more_data })
      g.put({ ref: 1, offset: 4090, size: 10 })
    },
  ],
  ['an extra slot that is missing', /missing/, (g) => g.put({ ref: 1, size: 100, flags: extra_info })],
  [
    'an extra slot of no type',
    /type 0/,
    (g) => {
      g.put({ ref: 1, size: 100, flags: extra_info })
      g.putExtra({ type: 0 })
    },
  ],
  [
    'segments of no size',
    /segments of 0/,
    (g) => {
      g.put({ ref: 1, size: 100, flags: extra_info })
      g.putExtra({ type: 1, gso_size: 0, gso_type: 1 })
    },
  ],
  [
    'segments of no protocol',
    /type 3/,
    (g) => {
      g.put({ ref: 1, size: 100, flags: extra_info })
      g.putExtra({ type: 1, gso_size: 1000, gso_type: 3 })
    },
  ],
  [
    'more requests than the ring holds',
    /more requests/,
    (g) => {
      new Int32Array(g.txPage.buffer)[0] = 10_000
      g.tx.service()
    },
  ],
]
for (const [what, said, put] of FATAL) {
  t.test(`${what} ends the service of the ring`, async (t) => {
    const guest = new GuestSide()
    guest.pages.set(1, new Uint8Array(4096))
    put(guest)
    if (!what.startsWith('more requests')) guest.kick()
    t.match(guest.broken, [said])
    t.same(guest.cable.sent, [])
    guest.tx.service()
    guest.settle()
    t.equal(guest.broken.length, 1)
  })
}

t.test('groups are joined and left by packets without data', async (t) => {
  const guest = new GuestSide()
  const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 9)
  for (const type of [
    XEN_NETIF_EXTRA_TYPE.MCAST_ADD,
    XEN_NETIF_EXTRA_TYPE.MCAST_DEL,
    XEN_NETIF_EXTRA_TYPE.MCAST_ADD,
  ]) {
    guest.put({ size: 14, flags: extra_info })
    guest.putGroup(type, group)
  }
  t.same(guest.kick(), [0, null, 0, null, -1, null])
  t.same(guest.joined, ['+01005e000009', '-01005e000009', '+01005e000009'])
})

t.test('a guest with a rate is held back, and everything arrives in the end', async (t) => {
  const guest = new GuestSide({ rate: [10_000, 50_000] })
  for (let n = 0; n < 100; n++) guest.put(guest.place(pattern(1000, n), n)[0]!)
  let answered = guest.kick().length
  t.equal(answered, 10)
  while (guest.wait()) answered += guest.settle().length
  t.equal(answered, 100)
  t.equal(guest.nowUs, 9 * 50_000)
  t.same(hex(guest.cable.sent), hex(Array.from({ length: 100 }, (_, n) => pattern(1000, n))))
})

t.test('a host side that has enough is given no more until it has drained', async (t) => {
  const guest = new GuestSide()
  guest.cable.isFull = true
  for (let n = 0; n < 200; n++) guest.put(guest.place(pattern(100, n), n)[0]!)
  const answered = guest.kick().length
  t.ok(answered < 200)
  t.equal(guest.kick().length, 0)
  guest.cable.isFull = false
  guest.tx.resume()
  t.equal(answered + guest.settle().length, 200)
})

t.test('nothing is taken while the machine is paused', async (t) => {
  const guest = new GuestSide()
  guest.tx.isHeld = true
  guest.put(guest.place(pattern(100), 1)[0]!)
  t.same(guest.kick(), [])
  guest.tx.isHeld = false
  t.same(guest.kick(), [0])
})

const plain = (bytes: Uint8Array): RxFrame => ({ bytes, checksum: 'unknown' })

/** The frames that responses make. */
function frames(guest: GuestSide): Uint8Array[] {
  const out: Uint8Array[] = []
  let parts: Uint8Array[] = []
  for (const { id, offset, flags, status } of guest.received()) {
    parts.push(guest.pages.get(1000 + id)!.slice(offset, offset + status))
    if ((flags & NETRXF.more_data) !== 0) continue
    out.push(Buffer.concat(parts))
    parts = []
  }
  return out
}

t.test('frames of any size reach the guest whole and in order, when it has room for all of one', async () => {
  const sizes = fc.array(fc.integer({ min: 14, max: 30_000 }), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 20 }), (list, step) => {
      const guest = new GuestSide()
      const sent = list.map((size, n) => pattern(size, n))
      for (const frame of sent) guest.rx.add(plain(frame))
      guest.rx.service()
      const got: Uint8Array[] = []
      for (let posted = 0; posted < 200; posted += step) {
        guest.post(step)
        got.push(...frames(guest))
      }
      return got.length === sent.length && sent.every((frame, n) => Buffer.compare(frame, got[n]!) === 0)
    }),
    { numRuns: 60 },
  )
})

t.test('a packet of many segments says so in an extra slot behind its first', async (t) => {
  const guest = new GuestSide({ xdpHeadroom: 256 })
  guest.post(10)
  guest.rx.add({ bytes: pattern(9000), checksum: 'blank', gso: { size: 1448, version: 6 } })
  guest.rx.service()
  const [first, gso, xdp, second, third, none] = guest.received()
  t.match(first, {
    id: 0,
    offset: 256,
    status: 3840,
    flags: NETRXF.csum_blank | NETRXF.data_validated | NETRXF.more_data | NETRXF.extra_info,
  })
  t.match(netif_extra_info.copy(viewOf(gso!.raw)), { type: 1, flags: 1, gso_size: 1448, gso_type: 2 })
  t.match(netif_extra_info.copy(viewOf(xdp!.raw)), { type: 5, flags: 0, gso_size: 256 })
  t.match(second, { id: 3, offset: 0, status: 4096, flags: NETRXF.more_data })
  t.match(third, { id: 4, offset: 0, status: 9000 - 3840 - 4096, flags: 0 })
  t.equal(none, undefined)
})

t.test('a page that is not granted is an error of its slot alone', async (t) => {
  const guest = new GuestSide()
  guest.post(3)
  guest.pages.delete(1001)
  for (let n = 0; n < 3; n++) guest.rx.add(plain(pattern(60, n)))
  guest.rx.service()
  t.same(
    guest.received().map(({ status }) => status),
    [60, -1, 60],
  )
})

t.test('a guest without scatter and gather gets frames of one page, others are lost', async (t) => {
  const guest = new GuestSide({ scatterGather: false })
  guest.post(4)
  guest.rx.add(plain(pattern(4097)))
  guest.rx.add(plain(pattern(4096)))
  guest.rx.service()
  t.same(
    guest.received().map(({ status }) => status),
    [4096],
  )
  t.equal(guest.rx.dropped, 1)
})

t.test('what waits for a guest that posts nothing is bounded', async (t) => {
  const guest = new GuestSide()
  for (let n = 0; n < 10_000; n++) guest.rx.add(plain(new Uint8Array(1500)))
  t.ok(guest.rx.hasEnough)
  t.ok(guest.rx.dropped > 5000)
  guest.post(256)
  t.equal(guest.received().length, 256)
})

import fc from 'fast-check'
import t from 'tap'
import { fold, isChecksumRight, sumOf } from '../../../src/plugins/vif/checksum.ts'
import { acknowledgement } from '../../../src/plugins/vif/handshake.ts'
import { isMulticast, readHeaders, viewOf } from '../../../src/plugins/vif/packet.ts'
import { coalesce } from '../../../src/plugins/vif/rx-frame.ts'
import { segmentTcp } from '../../../src/plugins/vif/segment.ts'
import { packet, pattern } from './packets.ts'

const versions = fc.constantFrom(4 as const, 6 as const)
const data = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength })

t.test('a sum is that of the plain definition', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (bytes, from) => {
      const start = Math.min(from, bytes.length)
      let sum = 0
      for (let at = start; at < bytes.length; at += 2) sum += bytes[at]! | ((bytes[at + 1] ?? 0) << 8)
      return fold(sumOf(viewOf(bytes), start, bytes.length)) === fold(sum)
    }),
  )
})

t.test('a sum of 64 KiB of ones does not overflow', async (t) => {
  t.equal(fold(sumOf(viewOf(new Uint8Array(65536).fill(0xff)), 0, 65536)), 0xffff)
})

t.test('a packet with a right checksum is told from one with a wrong byte', async () => {
  const protocols = fc.constantFrom('tcp' as const, 'udp' as const)
  fc.assert(
    fc.property(data(200), versions, protocols, fc.boolean(), (bytes, version, protocol, vlan) => {
      const right = viewOf(packet(bytes, { version, protocol, vlan }))
      const wrong = viewOf(packet(bytes, { version, protocol, vlan, checksum: 'wrong' }))
      return isChecksumRight(right, readHeaders(right)!) && !isChecksumRight(wrong, readHeaders(wrong)!)
    }),
  )
})

t.test('a frame cut anywhere, or of any bytes, is judged without a look beyond its end', async (t) => {
  const whole = packet(pattern(10), { version: 6 })
  for (let length = 0; length < whole.length; length++)
    t.equal(readHeaders(viewOf(whole.slice(0, length))), undefined)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), versions, fc.boolean(), (bytes, version, asIp) => {
      if (asIp && bytes.length > 15) bytes.set([...(version === 4 ? [8, 0, 0x45] : [0x86, 0xdd, 0x60])], 12)
      const headers = readHeaders(viewOf(bytes))
      return headers === undefined || (headers.data <= headers.end && headers.end <= bytes.length)
    }),
    { numRuns: 2000 },
  )
})

t.test('IPv6 options before TCP are passed over', async (t) => {
  const plain = packet(pattern(20), { version: 6 })
  const frame = new Uint8Array(plain.length + 16)
  frame.set(plain.subarray(0, 54))
  frame.set([6, 1], 54)
  frame.set(plain.subarray(54), 70)
  frame[14 + 6] = 60
  viewOf(frame).setUint16(14 + 4, plain.length - 54 + 16)
  t.match(readHeaders(viewOf(frame)), { transport: 70, protocol: 6 })
  t.ok(isChecksumRight(viewOf(frame), readHeaders(viewOf(frame))!))
})

t.test('fragments and other protocols are no packets for offloads', async (t) => {
  const fragment = packet(pattern(20))
  fragment[14 + 6] = 0x20
  t.equal(readHeaders(viewOf(fragment)), undefined)
  const icmp = packet(pattern(20))
  icmp[14 + 9] = 1
  t.equal(readHeaders(viewOf(icmp)), undefined)
})

t.test('segments have the data in order, right headers and checksums, and room before each', async () => {
  fc.assert(
    fc.property(
      data(5000),
      versions,
      fc.integer({ min: 48, max: 1500 }),
      fc.constantFrom(0, 2, 4),
      fc.integer({ min: 0, max: 0xffffffff }),
      (bytes, version, size, headroom, sequence) => {
        const flags = 0x80 | 0x10 | 0x08 | 0x01
        const whole = packet(bytes, { version, sequence, flags, checksum: 'blank', options: 12 })
        const { frames, bytes: buffer } = segmentTcp(whole, readHeaders(viewOf(whole))!, size, headroom)
        let at = 0
        let place = 0
        for (const [n, frame] of frames.entries()) {
          const view = viewOf(frame)
          const headers = readHeaders(view)!
          const own = frame.subarray(headers.data, headers.end)
          const isLast = n === frames.length - 1
          const wanted = 0x10 | (n === 0 ? 0x80 : 0) | (isLast ? 0x09 : 0)
          if (
            !isChecksumRight(view, headers) ||
            headers.end !== frame.length ||
            (!isLast && own.length !== size) ||
            view.getUint32(headers.transport + 4) !== (sequence + at) >>> 0 ||
            frame[headers.transport + 13] !== wanted ||
            Buffer.compare(own, bytes.subarray(at, at + own.length)) !== 0 ||
            (version === 4 && fold(sumOf(view, headers.ip, headers.transport)) !== 0xffff) ||
            frame.byteOffset - buffer.byteOffset !== place + headroom
          )
            return false
          at += own.length
          place += headroom + frame.length
        }
        return at === bytes.length && place === buffer.length
      },
    ),
  )
})

const both = { v4: true, v6: true }

t.test('segments of a packet are put together to what they were cut from', async () => {
  fc.assert(
    fc.property(
      data(9000),
      versions,
      fc.integer({ min: 500, max: 1460 }),
      fc.boolean(),
      (bytes, version, size, isVerified) => {
        const whole = packet(bytes, { version, flags: 0x18, checksum: 'blank' })
        const { frames } = segmentTcp(whole, readHeaders(viewOf(whole))!, size, 0)
        const joined = coalesce(frames, { gso: both, isVerified })
        if (joined.length !== 1) return false
        const [{ bytes: got, checksum, gso }] = joined as [(typeof joined)[0]]
        if (frames.length === 1) return checksum === (isVerified ? 'right' : 'unknown') && gso === undefined
        // The checksum is of the pseudo header, as it was in the packet.
        return (
          checksum === 'blank' &&
          gso?.size === size &&
          gso.version === version &&
          Buffer.compare(got, whole) === 0
        )
      },
    ),
  )
})

t.test('what does not follow, or is not alike, stays alone and in order', async (t) => {
  const one = packet(pattern(100), { sequence: 0 })
  const next = (options: Parameters<typeof packet>[1]) =>
    packet(pattern(100, 1), { sequence: 100, ...options })
  const alone = (...frames: Uint8Array[]) => {
    const out = coalesce(frames, { gso: both, isVerified: false })
    t.same(
      out.map(({ bytes }) => Buffer.from(bytes).toString('hex')),
      frames.map((frame) => Buffer.from(frame).toString('hex')),
    )
  }
  alone(one, next({ sequence: 101 }))
  alone(one, next({ ports: [40001, 80] }))
  alone(one, next({ checksum: 'wrong' }))
  alone(one, next({ flags: 0x11 }))
  alone(one, next({ options: 4 }))
  alone(one, next({ version: 6 }))
  alone(one, next({ protocol: 'udp' }))
  alone(one, packet(pattern(200), { sequence: 100 }))
  alone(packet(pattern(100), { sequence: 0, flags: 0x18 }), next({}))
  alone(packet(pattern(0)), packet(pattern(0)))
  const padded = new Uint8Array(120)
  padded.set(next({}).subarray(0, 100))
  alone(one, padded)
})

t.test('a guest that takes no large packets gets the segments', async (t) => {
  const frames = [packet(pattern(100), { sequence: 0 }), packet(pattern(100), { sequence: 100 })]
  t.equal(coalesce(frames, { gso: { v4: false, v6: true }, isVerified: true }).length, 2)
  t.equal(coalesce(frames, { gso: { v4: true, v6: false }, isVerified: true }).length, 1)
})

t.test('a packet never grows beyond what an IP packet holds', async (t) => {
  const frames = Array.from({ length: 60 }, (_, n) => packet(pattern(1460), { sequence: n * 1460 }))
  const out = coalesce(frames, { gso: both, isVerified: true })
  t.equal(out.length, 2)
  t.ok(out.every(({ bytes }) => bytes.length <= 65535))
})

t.test('groups are multicast, all stations are not', async (t) => {
  t.ok(isMulticast(Uint8Array.of(1, 0, 0x5e, 0, 0, 1)))
  t.notOk(isMulticast(new Uint8Array(14).fill(0xff)))
  t.notOk(isMulticast(Uint8Array.of(0, 0x16, 0x3e, 0, 0, 1)))
})

t.test(
  'a SYN,ACK is acknowledged as its receiver would do it, whatever it has before and behind its header',
  async (t) => {
    fc.assert(
      fc.property(
        versions,
        fc.boolean(),
        fc.nat(10),
        fc.nat(0xffffffff),
        (version, vlan, options, sequence) => {
          const frame = packet(new Uint8Array(0), {
            version,
            vlan,
            sequence,
            flags: 0x12,
            ports: [25, 40001],
            options: options * 4,
          })
          const answer = acknowledgement(frame)!
          // Whoever turns it round again has the sender's addresses.
          const back = acknowledgement(flagged(answer, 0x12))!
          const [view, original] = [viewOf(answer), viewOf(frame)]
          const headers = readHeaders(view)!
          const { transport, data, end, ip } = headers
          t.same(back.subarray(0, 12), frame.subarray(0, 12))
          t.same(back.subarray(ip + 12, ip + 20), frame.subarray(ip + 12, ip + 20))
          t.same([view.getUint16(transport), view.getUint16(transport + 2)], [40001, 25])
          t.equal(view.getUint32(transport + 4), original.getUint32(transport + 8))
          t.equal(view.getUint32(transport + 8), (sequence + 1) >>> 0)
          t.same([answer[transport + 13], data, end], [0x10, answer.length, answer.length])
          t.ok(isChecksumRight(view, headers))
          if (version === 4) t.equal(fold(sumOf(view, ip, ip + 20)), 0xffff)
        },
      ),
      { numRuns: 50 },
    )
  },
)
const flagged = (frame: Uint8Array, flags: number): Uint8Array => {
  const copy = frame.slice()
  copy[readHeaders(viewOf(frame))!.transport + 13] = flags
  return copy
}

t.test('no other frame is acknowledged', async (t) => {
  for (const flags of [0x02, 0x10, 0x18, 0x11, 0x04, 0x14, 0x16])
    t.equal(acknowledgement(packet(pattern(5), { flags })), undefined)
  t.equal(acknowledgement(packet(pattern(5), { protocol: 'udp' })), undefined)
  t.equal(acknowledgement(packet(pattern(5), { flags: 0x12 }).subarray(0, 50)), undefined)
})

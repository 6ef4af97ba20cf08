import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  encodePacket,
  HEADER_BYTES,
  latin1,
  latin1Bytes,
  oneString,
  PAYLOAD_MAX,
  PacketReader,
  strings,
  stringsPayload,
} from '../../../src/xen/xenstore/wire.ts'

const u32 = fc.nat(0xffffffff)
const packet = fc.record({ type: u32, reqId: u32, txId: u32, payload: fc.uint8Array({ maxLength: 300 }) })

t.test('packets come out of a stream as they went in, however it is cut', async (t) => {
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 100 })),
      (packets, cuts) => {
        const stream = Buffer.concat(packets.map(encodePacket))
        const reader = new PacketReader()
        const got = []
        for (let at = 0, i = 0; at < stream.length; i++) {
          const length = cuts[i] ?? 1000
          got.push(...reader.push(stream.subarray(at, at + length)))
          at += length
        }
        assert.deepEqual(got.map(encodePacket), packets.map(encodePacket))
        return reader.pending === 0 && !reader.broken
      },
    ),
    { numRuns: 100 },
  )
  t.pass()
})

t.test(
  'a payload of 4096 bytes is taken, one of 4097 breaks the stream before any of it is kept',
  async (t) => {
    const header = (length: number) => {
      const bytes = new Uint8Array(HEADER_BYTES)
      new DataView(bytes.buffer).setUint32(12, length, true)
      return bytes
    }
    const good = new PacketReader()
    t.equal([...good.push(header(PAYLOAD_MAX)), ...good.push(new Uint8Array(PAYLOAD_MAX))].length, 1)
    const bad = new PacketReader()
    t.same([...bad.push(header(PAYLOAD_MAX + 1))], [])
    t.ok(bad.broken)
    t.same([...bad.push(encodePacket({ type: 1, reqId: 1, txId: 0, payload: new Uint8Array(1) }))], [])
  },
)

t.test('random bytes never throw and never hold back more than one packet', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
      const reader = new PacketReader()
      for (const { payload } of reader.push(bytes)) if (payload.length > PAYLOAD_MAX) return false
      return reader.pending <= HEADER_BYTES + PAYLOAD_MAX
    }),
    { numRuns: 200 },
  )
  t.pass()
})

t.test('strings are cut at NULs, what follows the last one is left out', async (t) => {
  t.same(strings(latin1Bytes('a\0\0bc\0rest')), ['a', '', 'bc'])
  t.same(strings(latin1Bytes('rest')), [])
  t.same(strings(stringsPayload(['x', 'y'])), ['x', 'y'])
})

t.test('one string is one NUL at the very end', async (t) => {
  t.equal(oneString(latin1Bytes('/a\0')), '/a')
  t.equal(oneString(latin1Bytes('/a')), undefined)
  t.equal(oneString(latin1Bytes('/a\0b\0')), undefined)
  t.equal(oneString(latin1Bytes('')), undefined)
})

t.test('latin-1 text and bytes are one to one', async (t) => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i)
  t.same(latin1Bytes(latin1(all)), all)
})

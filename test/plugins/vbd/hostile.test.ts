/** What a guest must not be able to do with a ring: hurt the backend, another page, another sector. */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { GTF } from '../../../src/xen/abi/grant_table.ts'
import { BLKIF_OP, BLKIF_RSP } from '../../../src/xen/abi/io/blkif.ts'
import { DATA_GFN, DATA_REF, Frontend, RING_GFN, settle } from './frontend.ts'

const { READ, WRITE } = BLKIF_OP
const TABLE = { ref: 30, gfn: 0x280 }

async function connected(t: Test): Promise<Frontend> {
  const frontend = new Frontend()
  t.teardown(() => frontend[Symbol.dispose]())
  frontend.dataPages(4)
  await frontend.backend.connect()
  return frontend
}

const whole = [[DATA_REF, 0, 7]] as const
const cases: Record<string, (f: Frontend) => Uint8Array> = {
  'sectors behind the end': (f) => f.transfer(READ, 1n, 249n, whole),
  'a sector number whose sum wraps': (f) => f.transfer(WRITE, 1n, 0xffff_ffff_ffff_fff8n, whole),
  'no segments': (f) => f.transfer(READ, 1n, 0n, []),
  'more segments than fit': (f) => {
    const request = f.transfer(READ, 1n, 0n, whole)
    request[1] = 12
    return request
  },
  'a segment that ends before it begins': (f) => f.transfer(READ, 1n, 0n, [[DATA_REF, 5, 4]]),
  'a segment that leaves its page': (f) => f.transfer(READ, 1n, 0n, [[DATA_REF, 0, 8]]),
  'a page that is not granted': (f) => f.transfer(WRITE, 1n, 0n, [...whole, [500, 0, 0]]),
  'a reference outside the table': (f) => f.transfer(WRITE, 1n, 0n, [[0xffff_ffff, 0, 0]]),
  'a page that may only be read, to be filled': (f) => {
    f.grant(DATA_REF, DATA_GFN, GTF.permit_access | GTF.readonly)
    return f.transfer(READ, 1n, 0n, whole)
  },
  'a revoked grant': (f) => {
    f.grant(DATA_REF, DATA_GFN, 0)
    return f.transfer(READ, 1n, 0n, whole)
  },
  'an indirect request without segments': (f) => f.indirect(READ, 1n, 0n, [], TABLE),
  'more indirect segments than were offered': (f) =>
    f.indirect(
      READ,
      1n,
      0n,
      Array.from({ length: 257 }, () => [DATA_REF, 0, 0] as const),
      TABLE,
    ),
  'an indirect page that is not granted': (f) => {
    const request = f.indirect(READ, 1n, 0n, whole, TABLE)
    f.grant(TABLE.ref, TABLE.gfn, 0)
    return request
  },
  'an indirect request inside an indirect one': (f) => f.indirect(BLKIF_OP.INDIRECT, 1n, 0n, whole, TABLE),
  'a discard behind the end': (f) => f.discard(1n, 255n, 2n),
  'a discard of nothing': (f) => f.discard(1n, 0n, 0n),
  'a discard whose end wraps': (f) => f.discard(1n, 0xffff_ffff_ffff_ffffn, 0xffff_ffff_ffff_ffffn),
}

for (const [name, request] of Object.entries(cases)) {
  t.test(`${name}: an error for the guest, and the disk goes on`, async (t) => {
    const f = await connected(t)
    const disk = f.disk.bytes.slice()
    const page = f.page(DATA_GFN).slice()
    const answers = await f.ask(request(f))
    t.match(answers, [{ id: 1n, status: BLKIF_RSP.ERROR }])
    t.same(f.disk.done, [])
    t.equal(Buffer.compare(f.disk.bytes, disk), 0)
    t.equal(Buffer.compare(f.page(DATA_GFN), page), 0)
    t.equal(f.lines.length, 1)
    await f.ask(request(f))
    t.equal(f.lines.length, 1, 'a mistake is logged once')
    f.grant(DATA_REF, DATA_GFN)
    t.match(await f.ask(f.transfer(READ, 3n, 0n, whole)), [{ id: 3n, status: BLKIF_RSP.OKAY }])
    await f.backend.disconnect()
    t.same(f.local.leftovers(), [])
  })
}

t.test('an operation that does not exist is not supported', async (t) => {
  const f = await connected(t)
  t.match(await f.ask(f.transfer(77, 1n, 0n, whole)), [
    { id: 1n, operation: 77, status: BLKIF_RSP.EOPNOTSUPP },
  ])
})

t.test('a producer index beyond the ring stops the disk until it reconnects', async (t) => {
  const f = await connected(t)
  const words = new Int32Array(f.ringPages[0]!.buffer, f.ringPages[0]!.byteOffset, 16)
  Atomics.store(words, 0, 33)
  f.event()
  await settle()
  t.same([f.disk.done, words[2]], [[], 0])
  t.match(f.lines, [/more requests than its ring holds/])
  Atomics.store(words, 0, 1)
  f.event()
  t.same(f.disk.done, [])
  await f.backend.disconnect()
  t.same(f.local.leftovers(), [])
  Atomics.store(words, 0, 0)
  await f.backend.connect()
  t.match(await f.ask(f.transfer(READ, 3n, 0n, whole)), [{ id: 3n, status: BLKIF_RSP.OKAY }])
})

t.test('a guest that fills the ring without end leaves the thread to others', async (t) => {
  const f = await connected(t)
  let turns = 0
  const other = setImmediate(function again() {
    turns++
    if (turns < 5) setImmediate(again)
  })
  t.teardown(() => clearImmediate(other))
  let asked = 0n
  // Each answered batch is followed by as many new requests.
  for (let round = 0; round < 8; round++) {
    while (f.ring.free() > 0) f.ring.putRequest(f.transfer(READ, asked++, 0n, whole))
    if (f.ring.pushRequests()) f.event()
    await settle()
    f.answers()
  }
  t.equal(turns, 5)
  t.equal(f.disk.done.length, Number(asked))
})

const word = fc.oneof(fc.constantFrom(0, 1, 4, 7, 8, 255, 256, 257, 0xffff), fc.nat(0xffff))
const anyRequest = fc.record({
  operation: fc.oneof(fc.nat(7), fc.nat(255)),
  second: fc.oneof(fc.nat(12), fc.nat(255)),
  id: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
  sector: fc.oneof(
    fc.bigInt({ min: 0n, max: 260n }),
    fc.bigInt({ min: 0xffff_ffff_ffff_ff00n, max: 0xffff_ffff_ffff_ffffn }),
  ),
  tail: fc.array(
    fc.record({
      ref: fc.oneof(fc.integer({ min: 28, max: 50 }), fc.nat(0xffffffff)),
      first: word,
      last: word,
    }),
    { maxLength: 11 },
  ),
})

t.test(
  'any requests: each is answered once, and only granted pages and the disk itself change',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRequest, { minLength: 1, maxLength: 12 }), async (requests) => {
        using f = new Frontend()
        f.dataPages(4)
        f.grant(DATA_REF + 2, DATA_GFN + 2, GTF.permit_access | GTF.readonly)
        f.grant(TABLE.ref, TABLE.gfn)
        await f.backend.connect()
        const { memory } = f.domain
        const mayChange = new Set([RING_GFN, DATA_GFN, DATA_GFN + 1, DATA_GFN + 3, TABLE.gfn])
        const ram = memory.u8.subarray(memory.layout.ram, memory.layout.ram + memory.ramBytes)
        for (let i = 0; i < 4096; i++) f.page(TABLE.gfn)[i] = (i * 31) & 7
        const before = ram.slice()
        const entries = requests.map(({ operation, second, id, sector, tail }) => {
          const bytes = f.transfer(operation, id, sector, [])
          bytes[1] = second
          const view = new DataView(bytes.buffer)
          for (const [n, { ref, first, last }] of tail.entries()) {
            view.setUint32(24 + n * 8, ref, true)
            view.setUint8(28 + n * 8, first)
            view.setUint8(29 + n * 8, last)
          }
          return bytes
        })
        const answers = await f.ask(...entries)
        const ids = (list: readonly { readonly id: bigint }[]) => list.map(({ id }) => id).sort()
        if (String(ids(answers)) !== String(ids(requests))) return false
        for (let gfn = 0; gfn < memory.ramBytes / 4096; gfn++) {
          if (mayChange.has(gfn)) continue
          const part = (bytes: Uint8Array) => bytes.subarray(gfn * 4096, (gfn + 1) * 4096)
          if (Buffer.compare(part(before), part(ram)) !== 0) return false
        }
        await f.backend.disconnect()
        return f.local.leftovers().length === 0 && f.flags(DATA_REF) === GTF.permit_access
      }),
      { numRuns: 60 },
    )
    t.pass()
  },
)

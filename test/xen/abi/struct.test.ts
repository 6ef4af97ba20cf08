import fc from 'fast-check'
import t from 'tap'
import {
  array,
  bytes,
  constants,
  dump,
  type Field,
  handle,
  i8,
  i16,
  i32,
  struct,
  u8,
  u16,
  u32,
  u64,
  ulong,
  union,
} from '../../../src/xen/abi/struct.ts'

const pair = struct('pair', 'x.h', { small: u8('first'), wide: u64('second') })
const outer = struct('outer', 'x.h', {
  tag: u16(),
  inner: pair.in('nested'),
  list: array(u32(), 3),
  word: ulong(),
})

t.test('fields are aligned naturally, and to 4 bytes at most for a 32-bit guest', async (t) => {
  t.strictSame(pair.x64.offsets, { small: 0, wide: 8 })
  t.equal(pair.x64.size, 16)
  t.strictSame(pair.x32.offsets, { small: 0, wide: 4 })
  t.equal(pair.x32.size, 12)
  t.strictSame(outer.x64.offsets, { tag: 0, inner: 8, list: 24, word: 40 })
  t.strictSame(outer.x32.offsets, { tag: 0, inner: 4, list: 16, word: 28 })
})

t.test('a view reads and writes memory, a copy does not follow it', async (t) => {
  const view = new DataView(new ArrayBuffer(64))
  const live = outer.on(view, 8)
  const copy = outer.copy(view, 8)
  live.tag = 7
  live.inner.wide = 0x1122334455667788n
  live.list.set(2, 9)
  t.equal(view.getUint16(8, true), 7)
  t.equal(view.getBigUint64(8 + 16, true), 0x1122334455667788n)
  t.equal(live.list.get(2), 9)
  t.equal(live.list.length, 3)
  t.strictSame(copy, { tag: 0, inner: { small: 0, wide: 0n }, list: [0, 0, 0], word: 0n })
  t.throws(() => live.list.get(3), RangeError)
})

t.test('writing some fields leaves the others', async (t) => {
  const view = new DataView(new ArrayBuffer(16).transfer())
  pair.x64.write(view, 0, { small: 1, wide: 2n })
  pair.x64.write(view, 0, { wide: 3n })
  t.strictSame(pair.copy(view), { small: 1, wide: 3n })
})

t.test('every field of a union lies at its start', async (t) => {
  const u = union('u', '', { a: u32(), b: u16(), c: handle() })
  t.strictSame(u.x64.offsets, { a: 0, b: 0, c: 0 })
  t.equal(u.size, 8)
  t.equal(u.x32.size, 4)
})

t.test('an array may be longer for one ABI', async (t) => {
  const s = struct('s', '', { words: array(ulong(), { 64: 1, 32: 5 }) })
  t.equal(s.x64.size, 8)
  t.equal(s.x32.size, 20)
})

t.test('a byte field is the memory itself in a view and a private slice in a copy', async (t) => {
  const s = struct('s', '', { pad: u8(), text: bytes(4) })
  const view = new DataView(new ArrayBuffer(8))
  const copy = s.copy(view)
  s.on(view).text[0] = 65
  t.equal(view.getUint8(1), 65)
  t.equal(copy.text[0], 0)
})

t.test('rows name nested fields by their path in C', async (t) => {
  t.strictSame(
    outer.rows().map((r) => [r.path, r.offset64, r.offset32]),
    [
      ['tag', 0, 0],
      ['inner', 8, 4],
      ['inner.small', 8, 4],
      ['inner.wide', 16, 8],
      ['list', 24, 16],
      ['word', 40, 28],
    ],
  )
})

t.test('whatever is written is read back, by any mix of fields, for both ABIs', async (t) => {
  const kinds: readonly (readonly [Field<number> | Field<bigint>, fc.Arbitrary<unknown>])[] = [
    [u8(), fc.integer({ min: 0, max: 255 })],
    [i8(), fc.integer({ min: -128, max: 127 })],
    [u16(), fc.integer({ min: 0, max: 65535 })],
    [i16(), fc.integer({ min: -32768, max: 32767 })],
    [u32(), fc.nat(0xffffffff)],
    [i32(), fc.integer()],
    [u64(), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })],
    [ulong(), fc.bigInt({ min: 0n, max: (1n << 32n) - 1n })],
  ]
  const field = fc
    .nat(kinds.length - 1)
    .chain((n) => kinds[n]![1].map((value) => ({ type: kinds[n]![0], value })))
  fc.assert(
    fc.property(
      fc.array(field, { minLength: 1, maxLength: 12 }),
      fc.constantFrom(64 as const, 32 as const),
      (list, abi) => {
        const fields = Object.fromEntries(list.map(({ type }, i) => [`f${i}`, type]))
        const values = Object.fromEntries(list.map(({ value }, i) => [`f${i}`, value]))
        const layout = struct('any', '', fields).for(abi)
        const image = layout.bytes(values as never)
        t.strictSame(layout.copy(new DataView(image.buffer)), values)
        let end = 0
        for (const [name, type] of Object.entries(fields)) {
          const at = layout.offsets[name]!
          if (at < end || at % type.align(abi) !== 0) return false
          end = at + type.size(abi)
        }
        return layout.size >= end && layout.size % layout.align === 0
      },
    ),
  )
})

t.test('a dump shows names and values, constants their C names', async (t) => {
  t.equal(dump('pair', { small: 1, wide: 16n, list: [2] }), 'pair {small=0x1 wide=0x10 list=[0x2]}')
  const OP = constants('OP', { read: 0, write: 1 })
  t.equal(OP.nameOf(OP.write), 'OP_write')
  t.equal(OP.nameOf(9), 'OP 0x9')
})

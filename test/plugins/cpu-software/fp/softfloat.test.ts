import fc from 'fast-check'
import t from 'tap'
import {
  convert,
  fromBcd,
  fromInteger,
  toBcd,
  toInteger,
} from '../../../../src/plugins/cpu-software/fp/convert.ts'
import {
  bitLength,
  DOWN,
  type FpContext,
  f32,
  f64,
  f80,
  IE,
  NEAREST,
  OE,
  PE,
  type Rounding,
  sseContext,
  TO_ZERO,
  UE,
  UP,
  x87Context,
  ZE,
} from '../../../../src/plugins/cpu-software/fp/format.ts'
import {
  add,
  compare,
  div,
  extract,
  integerSqrt,
  mul,
  remainder,
  roundToIntegral,
  scale,
  sqrt,
  sub,
} from '../../../../src/plugins/cpu-software/fp/softfloat.ts'

const MASKED = 0x1f80
const words = new DataView(new ArrayBuffer(8))

function bits64(value: number): bigint {
  words.setFloat64(0, value)
  return words.getBigUint64(0)
}

function number64(bits: bigint): number {
  words.setBigUint64(0, bits)
  return words.getFloat64(0)
}

function bits32(value: number): bigint {
  words.setFloat32(0, value)
  return BigInt(words.getUint32(0))
}

const nearest = (): FpContext => sseContext(MASKED)
const rounding = (mode: Rounding): FpContext => sseContext(MASKED | (mode << 13))

/** Doubles of every kind, denormals, infinities and signed zeros included; NaNs are told apart elsewhere. */
const double = fc.oneof(fc.double({ noNaN: true }), fc.double({ noNaN: true, min: -1e-307, max: 1e-307 }))
const single = double.map(Math.fround)

/** Sets whether a is the double b; NaN stands for any NaN. */
const isDouble = (a: bigint, b: number): boolean =>
  Number.isNaN(b) ? Number.isNaN(number64(a)) : a === bits64(b)

t.test('f64 add, sub, mul, div and sqrt equal JavaScript arithmetic', async (t) => {
  fc.assert(
    fc.property(double, double, (a, b) => {
      const [x, y] = [bits64(a), bits64(b)]
      return (
        isDouble(add(nearest(), f64, x, y), a + b) &&
        isDouble(sub(nearest(), f64, x, y), a - b) &&
        isDouble(mul(nearest(), f64, x, y), a * b) &&
        isDouble(div(nearest(), f64, x, y), a / b) &&
        isDouble(sqrt(nearest(), f64, x), Math.sqrt(a))
      )
    }),
    { numRuns: 3000 },
  )
  t.pass('3000 pairs')
})

t.test('f32 arithmetic equals JavaScript arithmetic rounded once, by Math.fround', async (t) => {
  fc.assert(
    fc.property(single, single, (a, b) => {
      const [x, y] = [bits32(a), bits32(b)]
      const expected = [a + b, a - b, a * b, a / b].map((v) => bits32(Math.fround(v)))
      const ours = [add, sub, mul, div].map((op) => op(nearest(), f32, x, y))
      return ours.every((v, i) => v === expected[i] || Number.isNaN([a + b, a - b, a * b, a / b][i]))
    }),
    { numRuns: 3000 },
  )
  t.pass('3000 pairs')
})

t.test('f64 to f32 equals Math.fround', async (t) => {
  fc.assert(fc.property(double, (a) => convert(nearest(), f64, f32, bits64(a)) === bits32(Math.fround(a))))
  t.pass()
})

t.test('rounding down and up enclose the nearest result, and differ exactly when PE is raised', async (t) => {
  fc.assert(
    fc.property(double, double, (a, b) => {
      const product = a * b
      fc.pre(Number.isFinite(product))
      const [x, y] = [bits64(a), bits64(b)]
      const c = nearest()
      mul(c, f64, x, y)
      const low = number64(mul(rounding(DOWN), f64, x, y))
      const high = number64(mul(rounding(UP), f64, x, y))
      return low <= product && product <= high && ((c.flags & PE) !== 0) === (low !== high)
    }),
  )
  t.pass()
})

t.test('rounding to zero never enlarges', async (t) => {
  fc.assert(
    fc.property(double, double, (a, b) => {
      const sum = a + b
      fc.pre(Number.isFinite(sum))
      return Math.abs(number64(add(rounding(TO_ZERO), f64, bits64(a), bits64(b)))) <= Math.abs(sum)
    }),
  )
  t.pass()
})

t.test('rounding to integers equals Math.floor, Math.ceil and Math.trunc', async (t) => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, min: -1e17, max: 1e17 }), (a) => {
      const at = (mode: Rounding): bigint => roundToIntegral(nearest(), f64, bits64(a), mode)
      return (
        isDouble(at(DOWN), Math.floor(a)) &&
        isDouble(at(UP), Math.ceil(a)) &&
        isDouble(at(TO_ZERO), Math.trunc(a))
      )
    }),
  )
  t.pass()
})

t.test('truncating remainders equal the % operator, however many steps they take', async (t) => {
  const wide = (a: number): bigint => convert(nearest(), f64, f80, bits64(a))
  fc.assert(
    fc.property(double, double, (a, b) => {
      fc.pre(Number.isFinite(a) && b !== 0)
      let r = remainder(nearest(), f80, wide(a), wide(b), TO_ZERO)
      while (r.incomplete) r = remainder(nearest(), f80, r.value, wide(b), TO_ZERO)
      return r.value === wide(a % b)
    }),
  )
  t.pass()
})

t.test('64-bit integers survive the way through f80, and doubles equal Number()', async (t) => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), (n) => {
      const c = nearest()
      const back = toInteger(c, f80, fromInteger(c, f80, n), 64)
      return (
        BigInt.asIntN(64, back) === n && c.flags === 0 && isDouble(fromInteger(nearest(), f64, n), Number(n))
      )
    }),
  )
  t.pass()
})

t.test('integers out of range give the indefinite value and IE alone', async (t) => {
  const c = nearest()
  t.equal(toInteger(c, f64, bits64(2147483647.5), 32), 0x8000_0000n)
  t.equal(c.flags, IE)
  const fits = nearest()
  t.equal(toInteger(fits, f64, bits64(-2147483648.5), 32, TO_ZERO), 0x8000_0000n)
  t.equal(fits.flags, PE)
})

t.test('18-digit decimals survive FBLD and FBSTP; 10^18 does not fit', async (t) => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), (n) => {
      const magnitude = n < 0n ? -n : n
      const packed = BigInt(`0x${magnitude}`) | (n < 0n ? 1n << 79n : 0n)
      return toBcd(nearest(), fromBcd(packed)) === packed
    }),
  )
  const c = nearest()
  t.equal(toBcd(c, fromInteger(nearest(), f80, 10n ** 18n)), 0xffff_c000_0000_0000_0000n)
  t.equal(c.flags, IE)
})

t.test('comparison equals <, > and ===; NaNs are unordered', async (t) => {
  fc.assert(
    fc.property(fc.double(), fc.double(), (a, b) => {
      const relation = compare(nearest(), f64, bits64(a), bits64(b), false)
      const expected = a < b ? 'less' : a > b ? 'greater' : a === b ? 'equal' : 'unordered'
      return relation === expected
    }),
  )
  t.pass()
})

t.test('precision control 24 makes x87 results floats of the wide exponent range', async (t) => {
  const third = div(x87Context(0x07f), f80, 0x3fff_8000_0000_0000_0000n, 0x4000_c000_0000_0000_0000n)
  t.equal(third, 0x3ffd_aaaa_ab00_0000_0000n)
})

t.test('two NaNs: SSE keeps the first, the x87 the larger significand', async (t) => {
  const small = 0x7fff_c000_0000_0000_0001n
  const large = 0xffff_c000_0000_0000_0002n
  t.equal(add(sseContext(MASKED), f80, small, large), small)
  t.equal(add(x87Context(0x37f), f80, small, large), large)
})

t.test(
  'unnormals, pseudo-infinities and pseudo-NaNs are invalid; a pseudo-denormal is the number it looks like',
  async (t) => {
    const one = 0x3fff_8000_0000_0000_0000n
    for (const bad of [
      0x3fff_4000_0000_0000_0000n,
      0x7fff_0000_0000_0000_0000n,
      0x7fff_4000_0000_0000_0000n,
    ]) {
      const c = x87Context(0x37f)
      t.equal(add(c, f80, bad, one), f80.defaultNaN)
      t.equal(c.flags, IE)
    }
    t.equal(add(x87Context(0x37f), f80, 0x0000_8000_0000_0000_0000n, 0n), 0x0001_8000_0000_0000_0000n)
  },
)

t.test(
  'tininess is judged after rounding: a product that rounds up to the smallest normal raises no UE',
  async (t) => {
    const c = nearest()
    // (1 + 2^-52) * (2^-1022 - 2^-1074), a hair under 2^-1022.
    const product = mul(c, f64, 0x3ff0_0000_0000_0001n, 0x000f_ffff_ffff_ffffn)
    t.equal(product, 0x0010_0000_0000_0000n)
    t.equal(c.flags & UE, 0)
  },
)

t.test('flush-to-zero and denormals-are-zero', async (t) => {
  const ftz = sseContext(MASKED | 0x8000)
  t.equal(mul(ftz, f64, 0x8010_0000_0000_0000n, bits64(0.5)), 0x8000_0000_0000_0000n)
  t.equal(ftz.flags, UE | PE)
  const daz = sseContext(MASKED | 0x40)
  t.equal(add(daz, f64, 1n, 1n), 0n)
  t.equal(daz.flags, 0)
})

t.test('an unmasked overflow on the x87 delivers the result with its exponent 24576 lower', async (t) => {
  const c = x87Context(0x37f & ~OE)
  const huge = 0x7ffe_8000_0000_0000_0000n
  t.equal(mul(c, f80, huge, huge), ((0x7ffen + 0x7ffen - 0x3fffn - 24576n) << 64n) | f80.leadingBit)
  t.equal(c.flags, OE)
})

t.test('FSCALE undoes FXTRACT', async (t) => {
  fc.assert(
    fc.property(double, (a) => {
      fc.pre(a !== 0 && Number.isFinite(a))
      const x = convert(nearest(), f64, f80, bits64(a))
      const parts = extract(nearest(), f80, x)
      return scale(nearest(), f80, parts.significand, parts.exponent) === x
    }),
  )
  const c = nearest()
  t.equal(extract(c, f80, 0n).exponent, f80.signBit | f80.infinity)
  t.equal(c.flags, ZE)
})

t.test('bit lengths and integer roots of large integers', async (t) => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 1n << 2100n }), (n) => {
      const length = bitLength(n)
      const root = integerSqrt(n)
      return n >> BigInt(length - 1) === 1n && root * root <= n && (root + 1n) * (root + 1n) > n
    }),
  )
  t.pass()
})

t.test('rounding mode 0 is to nearest even', async (t) => {
  const at = (a: number): bigint => roundToIntegral(nearest(), f64, bits64(a), NEAREST)
  t.same(
    [0.5, 1.5, 2.5, -0.5].map((a) => number64(at(a))),
    [0, 2, 2, -0],
  )
})

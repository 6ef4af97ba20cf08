import fc from 'fast-check'
import t from 'tap'
import { convert } from '../../../../src/plugins/cpu-software/fp/convert.ts'
import {
  FRACTION,
  LN2,
  LOG2_10,
  LOG2_E,
  LOG10_2,
  PI,
} from '../../../../src/plugins/cpu-software/fp/fixed-point.ts'
import { DOWN, f64, f80, sseContext, UP, x87Context } from '../../../../src/plugins/cpu-software/fp/format.ts'
import {
  atan2,
  constant,
  constants,
  cos,
  exp2m1,
  sin,
  tan,
  yLog2x,
  yLog2xPlus1,
} from '../../../../src/plugins/cpu-software/fp/transcendental.ts'

const c = () => x87Context(0x37f)
const words = new DataView(new ArrayBuffer(8))

function wide(value: number): bigint {
  words.setFloat64(0, value)
  return convert(sseContext(0x1f80), f64, f80, words.getBigUint64(0))
}

function narrow(value: bigint | undefined): number {
  words.setBigUint64(0, convert(sseContext(0x1f80), f80, f64, value ?? f80.defaultNaN))
  return words.getFloat64(0)
}

/** JavaScript's functions are good to about one unit in the last place of a double. */
const close = (a: number, b: number): boolean => Object.is(a, b) || Math.abs(a - b) <= 4e-16 * Math.abs(b)

const decimals = (value: bigint): string => ((value * 10n ** 40n) >> BigInt(FRACTION)).toString()

t.test('the constants have their published decimals', async (t) => {
  t.equal(decimals(PI), '31415926535897932384626433832795028841971')
  t.equal(decimals(LN2), '6931471805599453094172321214581765680755')
  t.equal(decimals(LOG2_E), '14426950408889634073599246810018921374266')
  t.equal(decimals(LOG2_10), '33219280948873623478703194294893901758648')
  t.equal(decimals(LOG10_2), '3010299956639811952137388947244930267681')
})

t.test('FLDPI obeys rounding control: its last bit is 4 downwards and 5 otherwise', async (t) => {
  const at = (rc: number): bigint => constant(x87Context(0x37f | (rc << 10)), constants.FLDPI)
  t.equal(at(DOWN), 0x4000_c90f_daa2_2168_c234n)
  t.equal(at(0), 0x4000_c90f_daa2_2168_c235n)
  t.equal(at(UP), 0x4000_c90f_daa2_2168_c235n)
})

t.test('sine, cosine and tangent agree with JavaScript between -1000 and 1000', async (t) => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, min: -1000, max: 1000 }), (x) => {
      return (
        close(narrow(sin(c(), wide(x))), Math.sin(x)) &&
        close(narrow(cos(c(), wide(x))), Math.cos(x)) &&
        close(narrow(tan(c(), wide(x))), Math.tan(x))
      )
    }),
  )
  t.pass()
})

t.test('angles of 2^63 and more are left to the program: no result', async (t) => {
  t.equal(sin(c(), wide(2 ** 63)), undefined)
  t.not(sin(c(), wide(2 ** 63 - 1024)), undefined)
})

t.test('arctangents agree with Math.atan2 in all quadrants and for all exponents', async (t) => {
  const any = fc.double({ noNaN: true })
  fc.assert(fc.property(any, any, (y, x) => close(narrow(atan2(c(), wide(x), wide(y))), Math.atan2(y, x))))
  t.pass()
})

t.test('powers and logarithms agree with JavaScript', async (t) => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, min: -1, max: 1 }),
      fc.double({ noNaN: true, min: 1e-300 }),
      (x, p) => {
        return (
          Math.abs(narrow(exp2m1(c(), wide(x))) - Math.expm1(x * Math.LN2)) <= 1e-15 * Math.abs(x) &&
          close(narrow(yLog2x(c(), wide(p), wide(1))), Math.log2(p)) &&
          Math.abs(narrow(yLog2xPlus1(c(), wide(x / 4), wide(1))) - Math.log1p(x / 4) / Math.LN2) <=
            1e-15 * Math.abs(x)
        )
      },
    ),
  )
  t.pass()
})

t.test('the sine of a tiny angle is that angle, one step smaller when rounding down', async (t) => {
  const tiny = 0x2000_8000_0000_0000_0001n
  t.equal(sin(c(), tiny), tiny)
  t.equal(sin(x87Context(0x37f | (DOWN << 10)), tiny), tiny - 1n)
})

/**
 * FSIN FCOS FPTAN FPATAN F2XM1 FYL2X FYL2XP1 and the FLD constants on f80 values, correctly rounded but for the
 * rarest ties. Intel SDM volume 1, section 8.3.8 and the tables of special operands in volume 2.
 * Angles are reduced by the pi of 66 bits that the manual gives, as the processors do.
 * Precision control does not apply to these instructions.
 */

import {
  atanhOverArgument,
  atanOverArgument,
  cosine,
  expm1OverArgument,
  FRACTION,
  LN2,
  LOG2_10,
  LOG2_E,
  LOG10_2,
  ONE,
  PI,
  REDUCTION_EXTRA,
  REDUCTION_PI,
  sinOverArgument,
} from './fixed-point.ts'
import {
  bitLength,
  denormalEnds,
  FINITE,
  type FpContext,
  f80,
  hasNoValue,
  INFINITE,
  infinity,
  invalid,
  PE,
  propagateNaN,
  roundPack,
  type Unpacked,
  unpack,
  ZE,
  ZERO,
  zero,
} from './format.ts'
import { integerSqrt } from './softfloat.ts'

const F = BigInt(FRACTION)

/** Rounds sig * 2^exp, where a sign belongs to sig; the result counts as inexact in any case. */
function deliver(c: FpContext, exp: number, sig: bigint): bigint {
  const wide: FpContext = { ...c, precision: 64, flags: 0 }
  // Two sticky bits below: the true value is never exactly what the series gave.
  const value =
    sig < 0n
      ? roundPack(wide, f80, 1, exp - 2, (-sig << 2n) | 1n)
      : roundPack(wide, f80, 0, exp - 2, (sig << 2n) | 1n)
  c.flags |= wide.flags | PE
  c.roundedUp = wide.roundedUp
  return value
}

const signed = (x: Unpacked, value: bigint): bigint => (x.sign === 0 ? value : -value)
/** Exponent of the leading bit. */
const topOf = (x: Unpacked): number => x.exp + bitLength(x.sig) - 1

/** A finite value as fixed point; bits below the fraction are lost. */
function fixed(x: Unpacked): bigint {
  const shift = x.exp + FRACTION
  return signed(x, shift >= 0 ? x.sig << BigInt(shift) : x.sig >> BigInt(-shift))
}

/** Constants of FLD1 and kin as fixed-point values. */
export const constants = {
  FLD1: ONE,
  FLDL2T: LOG2_10,
  FLDL2E: LOG2_E,
  FLDPI: PI,
  FLDLG2: LOG10_2,
  FLDLN2: LN2,
  FLDZ: 0n,
} as const

/** The constant rounded by the context's rounding control; raises nothing. */
export function constant(c: FpContext, value: bigint): bigint {
  return value === 0n ? 0n : roundPack({ ...c, precision: 64, flags: 0 }, f80, 0, -FRACTION, value)
}

/** An angle as its quadrant and sine and cosine of the rest (|rest| <= pi/4); the sine as sig * 2^exp. */
interface Angle {
  readonly quadrant: number
  readonly sinSig: bigint
  readonly sinExp: number
  readonly cos: bigint
}

/** Below 2^-34 the angle itself is kept, for its sine must keep all significant bits. */
const SMALL = -34

function angle(x: Unpacked): Angle {
  if (topOf(x) < SMALL) {
    const r = fixed(x)
    const squared = (r * r) >> F
    const sinSig = signed(x, x.sig * sinOverArgument(squared))
    return { quadrant: 0, sinSig, sinExp: x.exp - FRACTION, cos: cosine(squared) }
  }
  // GUEST: |x| < 2^63 was checked by the caller, so this is below 2^400.
  const wide = fixed(x) << BigInt(REDUCTION_EXTRA)
  // The nearest multiple of pi/2: floor(2x/pi + 1/2).
  const numerator = 2n * wide + REDUCTION_PI / 2n
  const quadrant = numerator / REDUCTION_PI - (numerator < 0n ? 1n : 0n)
  const r = (wide - (quadrant * REDUCTION_PI) / 2n) >> BigInt(REDUCTION_EXTRA)
  const squared = (r * r) >> F
  return {
    quadrant: Number(BigInt.asUintN(2, quadrant)),
    sinSig: r * sinOverArgument(squared),
    sinExp: -2 * FRACTION,
    cos: cosine(squared),
  }
}

/** sin at this quarter turn further. */
function sineAt(c: FpContext, a: Angle, turn: number): bigint {
  const quadrant = (a.quadrant + turn) & 3
  const negative = quadrant >= 2
  const [sig, exp] = (quadrant & 1) === 0 ? [a.sinSig, a.sinExp] : [a.cos, -FRACTION]
  return deliver(c, exp, negative ? -sig : sig)
}

/** Result of a function of an angle; undefined where the operand is out of range (C2 = 1, nothing changes). */
function ofAngle(c: FpContext, x: Unpacked, atZero: bigint, of: (a: Angle) => bigint): bigint | undefined {
  if (hasNoValue(x)) return propagateNaN(c, f80, x)
  if (x.kind === INFINITE) return invalid(c, f80)
  if (x.kind === ZERO) return atZero
  if (topOf(x) >= 63) return undefined
  if (denormalEnds(c, x)) return 0n
  return of(angle(x))
}

/** 1.0 */
export const F80_ONE = 0x3fff_8000_0000_0000_0000n

export function sin(c: FpContext, a: bigint): bigint | undefined {
  return ofAngle(c, unpack(c, f80, a), a, (angle) => sineAt(c, angle, 0))
}

export function cos(c: FpContext, a: bigint): bigint | undefined {
  return ofAngle(c, unpack(c, f80, a), F80_ONE, (angle) => sineAt(c, angle, 1))
}

export function tan(c: FpContext, a: bigint): bigint | undefined {
  return ofAngle(c, unpack(c, f80, a), a, (angle) => {
    if ((angle.quadrant & 1) === 0) return deliver(c, angle.sinExp, (angle.sinSig << F) / angle.cos)
    // Quadrants 1 and 3: tan = -cos/sin, and sin is not small-angle here, so its exponent is fixed.
    return deliver(c, -FRACTION, -((angle.cos << (2n * F)) / angle.sinSig))
  })
}

/** F2XM1: 2^a - 1 for -1 <= a <= 1; beyond that the manual promises nothing and a is left as it is. */
export function exp2m1(c: FpContext, a: bigint): bigint {
  const x = unpack(c, f80, a)
  if (hasNoValue(x)) return propagateNaN(c, f80, x)
  if (x.kind === INFINITE) return x.sign === 0 ? a : F80_ONE | f80.signBit
  if (x.kind === ZERO) return a
  if (denormalEnds(c, x)) return 0n
  const top = topOf(x)
  if (top >= 0) {
    const isOne = top === 0 && x.sig === f80.leadingBit
    c.flags |= PE
    return isOne && x.sign === 1 ? 0xbffe_8000_0000_0000_0000n : a
  }
  const y = (fixed(x) * LN2) >> F
  return deliver(c, x.exp - 2 * FRACTION, signed(x, x.sig * LN2 * expm1OverArgument(y)))
}

/** A binary logarithm, sig * 2^exp. */
interface Log {
  readonly sig: bigint
  readonly exp: number
  readonly exact: boolean
}

/** 2 atanh(num/den) / ln 2, all significant bits kept however small the quotient is. */
function log2OfRatio(num: bigint, den: bigint): Log {
  const negative = num < 0n
  const magnitude = negative ? -num : num
  const extra = FRACTION + Math.max(0, bitLength(den) - bitLength(magnitude))
  const z = (magnitude << BigInt(extra)) / den
  const zFixed = z >> BigInt(extra - FRACTION)
  const sig = z * 2n * atanhOverArgument((zFixed * zFixed) >> F) * LOG2_E
  return { sig: negative ? -sig : sig, exp: -extra - 2 * FRACTION, exact: false }
}

/** log2 of a positive finite value. */
function log2(x: Unpacked): Log {
  const length = bitLength(x.sig)
  // m in [sqrt(1/2), sqrt(2)), so that z = (m-1)/(m+1) is small; 181/256 is close enough to sqrt(1/2).
  const high = x.sig * 256n >= 362n << BigInt(length - 1)
  const unit = 1n << BigInt(high ? length : length - 1)
  const e = x.exp + (high ? length : length - 1)
  if (x.sig === unit) return { sig: BigInt(e), exp: 0, exact: true }
  const part = log2OfRatio(x.sig - unit, x.sig + unit)
  if (e === 0) return part
  // part.exp <= -3 * FRACTION: enough bits below the integer e.
  return { sig: part.sig + (BigInt(e) << BigInt(-part.exp)), exp: part.exp, exact: false }
}

/** y times a logarithm. */
function timesLog(c: FpContext, y: Unpacked, log: Log): bigint {
  const sig = signed(y, y.sig) * log.sig
  const exp = y.exp + log.exp
  if (!log.exact) return deliver(c, exp, sig)
  const wide: FpContext = { ...c, precision: 64, flags: 0 }
  const value = roundPack(wide, f80, sig < 0n ? 1 : 0, exp, sig < 0n ? -sig : sig)
  // Exact or not, the processor calls it inexact.
  c.flags |= wide.flags | PE
  c.roundedUp = wide.roundedUp
  return value
}

const flip = (sign: 0 | 1, by: boolean): 0 | 1 => (by ? ((sign ^ 1) as 0 | 1) : sign)

/** FYL2X: b * log2(a), a = ST(0), b = ST(1). */
export function yLog2x(c: FpContext, a: bigint, b: bigint): bigint {
  const x = unpack(c, f80, a)
  const y = unpack(c, f80, b)
  if (hasNoValue(x) || hasNoValue(y)) return propagateNaN(c, f80, x, y)
  if (x.kind === ZERO) {
    if (y.kind === ZERO) return invalid(c, f80)
    if (y.kind === FINITE) c.flags |= ZE
    return infinity(f80, flip(y.sign, true))
  }
  if (x.sign === 1) return invalid(c, f80)
  if (x.kind === INFINITE) {
    if (y.kind === ZERO) return invalid(c, f80)
    return denormalEnds(c, y) ? 0n : infinity(f80, y.sign)
  }
  const isOne = a === F80_ONE
  if (isOne && y.kind === INFINITE) return invalid(c, f80)
  if (denormalEnds(c, x, y)) return 0n
  const negative = topOf(x) < 0
  if (isOne || y.kind === ZERO) return zero(f80, flip(y.sign, negative))
  if (y.kind === INFINITE) return infinity(f80, flip(y.sign, negative))
  return timesLog(c, y, log2(x))
}

/**
 * FYL2XP1: b * log2(a + 1). The manual defines it for |a| < 1 - sqrt(1/2); here it is right for all a > -1, and
 * from -1 down the answer is a, as seen on processors.
 */
export function yLog2xPlus1(c: FpContext, a: bigint, b: bigint): bigint {
  const x = unpack(c, f80, a)
  const y = unpack(c, f80, b)
  if (hasNoValue(x) || hasNoValue(y)) return propagateNaN(c, f80, x, y)
  const sign = (x.sign ^ y.sign) as 0 | 1
  if (x.kind === ZERO)
    return y.kind === INFINITE ? invalid(c, f80) : denormalEnds(c, y) ? 0n : zero(f80, sign)
  if (x.sign === 1 && x.kind === INFINITE) return invalid(c, f80)
  if (x.kind === INFINITE && y.kind === ZERO) return invalid(c, f80)
  if (denormalEnds(c, x, y)) return 0n
  if (y.kind === ZERO) return zero(f80, sign)
  if (x.kind === INFINITE || y.kind === INFINITE) return infinity(f80, sign)
  const top = topOf(x)
  if (x.sign === 1 && top >= 0) {
    c.flags |= PE
    return a
  }
  // Far below 1, log2(1+x) is x/ln2 * (1 - x/2 ...): the correction is under every bit that is kept.
  if (top < -200)
    return timesLog(c, y, { sig: signed(x, x.sig) * LOG2_E, exp: x.exp - FRACTION, exact: false })
  // Far above 1, adding 1 changes nothing that is kept.
  if (top > 200) return timesLog(c, y, log2(x))
  const scale = BigInt(Math.max(0, x.exp))
  const [numerator, unit] = [signed(x, x.sig << scale), 1n << BigInt(Math.max(0, -x.exp))]
  if (top < -2) return timesLog(c, y, log2OfRatio(numerator, numerator + 2n * unit))
  const sum: Unpacked = { ...x, sign: 0, sig: numerator + unit, exp: Math.min(0, x.exp) }
  return timesLog(c, y, log2(sum))
}

/** FPATAN: the angle of the point (x = a = ST(0), y = b = ST(1)), in (-pi, pi]. */
export function atan2(c: FpContext, a: bigint, b: bigint): bigint {
  const x = unpack(c, f80, a)
  const y = unpack(c, f80, b)
  if (hasNoValue(x) || hasNoValue(y)) return propagateNaN(c, f80, x, y)
  if (denormalEnds(c, x, y)) return 0n
  const result = (fraction: bigint): bigint => deliver(c, -FRACTION, signed(y, fraction))
  if (x.kind === INFINITE && y.kind === INFINITE) return result(x.sign === 0 ? PI / 4n : (3n * PI) / 4n)
  if (y.kind === ZERO || x.kind === INFINITE) return x.sign === 0 ? zero(f80, y.sign) : result(PI)
  if (x.kind === ZERO || y.kind === INFINITE) return result(PI / 2n)
  const distance = topOf(y) - topOf(x)
  if (distance < -128) {
    if (x.sign === 1) return result(PI)
    const extra = 192
    return deliver(c, y.exp - x.exp - extra, signed(y, (y.sig << BigInt(extra)) / x.sig))
  }
  if (distance > 128) return result(PI / 2n)
  // GUEST: exponents differ by less than 2^8 here, so the shifts stay small.
  const exp = Math.min(x.exp, y.exp)
  const acute = acuteAngle(x.sig << BigInt(x.exp - exp), y.sig << BigInt(y.exp - exp))
  if (x.sign === 1) return result(PI - acute)
  if (distance < -2) {
    // Small: keep the quotient's own significant bits.
    const extra = FRACTION + 128
    const t = ((y.sig << BigInt(y.exp - exp)) << BigInt(extra)) / (x.sig << BigInt(x.exp - exp))
    const tFixed = t >> 128n
    return deliver(c, -extra - FRACTION, signed(y, t * atanOverArgument((tFixed * tFixed) >> F)))
  }
  return result(acute)
}

/** Angle of a point in the first quadrant, fixed point. */
function acuteAngle(x: bigint, y: bigint): bigint {
  if (y > x) return PI / 2n - acuteAngle(y, x)
  let t = (y << F) / x
  // Each halving: tan(a/2) = t / (1 + sqrt(1 + t^2)); four bring t below 0.05.
  const halvings = 4
  for (let i = 0; i < halvings; i++) t = (t << F) / (ONE + integerSqrt((ONE << F) + t * t))
  return ((t * atanOverArgument((t * t) >> F)) >> F) << BigInt(halvings)
}

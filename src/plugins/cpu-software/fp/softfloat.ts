/**
 * Arithmetic on encoded x86 floating-point values of any format, exact before one rounding: the meaning of the
 * SSE and x87 instructions wherever native arithmetic does not give the flags, the rounding or the precision.
 * Intel SDM volume 1, chapters 4.8, 4.9 and 8.5; IEEE 754. Conversions: convert.ts; FSIN and the like:
 * transcendental.ts. Left out: fused multiply-add (FMA3 is not advertised).
 */

import {
  bitLength,
  DOWN,
  denormalEnds,
  FINITE,
  type Format,
  type FpContext,
  hasNoValue,
  IE,
  INFINITE,
  infinity,
  invalid,
  NEAREST,
  PE,
  propagateNaN,
  type Rounding,
  roundPack,
  roundShift,
  SNAN,
  type Unpacked,
  unpack,
  ZE,
  ZERO,
  zero,
} from './format.ts'

export const add = (c: FpContext, f: Format, a: bigint, b: bigint): bigint =>
  addSigned(c, f, unpack(c, f, a), unpack(c, f, b), 0)

/** a - b */
export const sub = (c: FpContext, f: Format, a: bigint, b: bigint): bigint =>
  addSigned(c, f, unpack(c, f, a), unpack(c, f, b), 1)

/** Exponent distance from which the smaller addend only shows as a sticky bit, and the room that bit needs. */
const FAR_APART = 80
const STICKY_ROOM = 8

function addSigned(c: FpContext, f: Format, x: Unpacked, y: Unpacked, negate: 0 | 1): bigint {
  if (hasNoValue(x) || hasNoValue(y)) return propagateNaN(c, f, x, y)
  const ySign = (y.sign ^ negate) as 0 | 1
  if (x.kind === INFINITE && y.kind === INFINITE && x.sign !== ySign) return invalid(c, f)
  if (denormalEnds(c, x, y)) return 0n
  if (x.kind === INFINITE) return infinity(f, x.sign)
  if (y.kind === INFINITE) return infinity(f, ySign)
  if (x.kind === ZERO && y.kind === ZERO) return zero(f, x.sign === ySign ? x.sign : signOfExactZero(c))
  if (y.kind === ZERO) return roundPack(c, f, x.sign, x.exp, x.sig)
  if (x.kind === ZERO) return roundPack(c, f, ySign, y.exp, y.sig)

  const [exp, xs, ys] = align(x, y)
  const sum = (x.sign === 0 ? xs : -xs) + (ySign === 0 ? ys : -ys)
  if (sum === 0n) return zero(f, signOfExactZero(c))
  return sum > 0n ? roundPack(c, f, 0, exp, sum) : roundPack(c, f, 1, exp, -sum)
}

const signOfExactZero = (c: FpContext): 0 | 1 => (c.rounding === DOWN ? 1 : 0)

/** Both significands over one exponent; one that is too small to matter exactly is replaced by a sticky 1. */
function align(x: Unpacked, y: Unpacked): [exp: number, xs: bigint, ys: bigint] {
  const d = x.exp - y.exp
  if (d > FAR_APART) return [x.exp - STICKY_ROOM, x.sig << BigInt(STICKY_ROOM), 1n]
  if (d < -FAR_APART) return [y.exp - STICKY_ROOM, 1n, y.sig << BigInt(STICKY_ROOM)]
  return d >= 0 ? [y.exp, x.sig << BigInt(d), y.sig] : [x.exp, x.sig, y.sig << BigInt(-d)]
}

export function mul(c: FpContext, f: Format, a: bigint, b: bigint): bigint {
  const x = unpack(c, f, a)
  const y = unpack(c, f, b)
  if (hasNoValue(x) || hasNoValue(y)) return propagateNaN(c, f, x, y)
  const sign = (x.sign ^ y.sign) as 0 | 1
  const infinite = x.kind === INFINITE || y.kind === INFINITE
  const isZero = x.kind === ZERO || y.kind === ZERO
  if (infinite && isZero) return invalid(c, f)
  if (denormalEnds(c, x, y)) return 0n
  if (infinite) return infinity(f, sign)
  if (isZero) return zero(f, sign)
  return roundPack(c, f, sign, x.exp + y.exp, x.sig * y.sig)
}

/** a / b */
export function div(c: FpContext, f: Format, a: bigint, b: bigint): bigint {
  const x = unpack(c, f, a)
  const y = unpack(c, f, b)
  if (hasNoValue(x) || hasNoValue(y)) return propagateNaN(c, f, x, y)
  const sign = (x.sign ^ y.sign) as 0 | 1
  if (x.kind === y.kind && x.kind !== FINITE) return invalid(c, f)
  if (y.kind === ZERO && x.kind === FINITE) {
    c.flags |= ZE
    return infinity(f, sign)
  }
  if (denormalEnds(c, x, y)) return 0n
  if (x.kind === INFINITE || y.kind === ZERO) return infinity(f, sign)
  if (x.kind === ZERO || y.kind === INFINITE) return zero(f, sign)
  const extra = f.precision + 2 + Math.max(0, bitLength(y.sig) - bitLength(x.sig))
  const dividend = x.sig << BigInt(extra)
  const q = dividend / y.sig
  const sticky = q * y.sig === dividend ? 0n : 1n
  return roundPack(c, f, sign, x.exp - y.exp - extra - 1, (q << 1n) | sticky)
}

export function sqrt(c: FpContext, f: Format, a: bigint): bigint {
  const x = unpack(c, f, a)
  if (hasNoValue(x)) return propagateNaN(c, f, x)
  if (x.kind === ZERO) return zero(f, x.sign)
  if (x.sign === 1) return invalid(c, f)
  if (denormalEnds(c, x)) return 0n
  if (x.kind === INFINITE) return infinity(f, 0)
  // Enough bits for precision + 2 in the root, and an even exponent.
  let shift = Math.max(0, 2 * (f.precision + 2) - bitLength(x.sig))
  if (((x.exp - shift) & 1) !== 0) shift++
  const n = x.sig << BigInt(shift)
  const root = integerSqrt(n)
  const sticky = root * root === n ? 0n : 1n
  return roundPack(c, f, 0, (x.exp - shift) / 2 - 1, (root << 1n) | sticky)
}

/** Largest r with r*r <= n. */
export function integerSqrt(n: bigint): bigint {
  if (n < 1n << 52n) return BigInt(Math.floor(Math.sqrt(Number(n))))
  // Newton from above: the start must not be too small.
  let r = 1n << BigInt((bitLength(n) + 1) >> 1)
  if (bitLength(n) < 1000) {
    const estimate = BigInt(Math.floor(Math.sqrt(Number(n)) * (1 + 2 ** -50))) + 1n
    if (estimate < r) r = estimate
  }
  for (;;) {
    const next = (r + n / r) >> 1n
    if (next >= r) return r
    r = next
  }
}

export type Relation = 'less' | 'equal' | 'greater' | 'unordered'

/** Compares; NaNs are unordered and raise IE, quiet ones only if `quietSignals` (COMISD, FCOM; not UCOMISD). */
export function compare(c: FpContext, f: Format, a: bigint, b: bigint, quietSignals: boolean): Relation {
  const x = unpack(c, f, a)
  const y = unpack(c, f, b)
  if (hasNoValue(x) || hasNoValue(y)) {
    if (quietSignals || x.kind >= SNAN || y.kind >= SNAN) c.flags |= IE
    return 'unordered'
  }
  denormalEnds(c, x, y)
  return relation(x, y)
}

/** Order of two values that are no NaNs. */
export function relation(x: Unpacked, y: Unpacked): Exclude<Relation, 'unordered'> {
  if (x.kind === ZERO && y.kind === ZERO) return 'equal'
  const xSign = x.kind === ZERO ? y.sign ^ 1 : x.sign
  const ySign = y.kind === ZERO ? x.sign ^ 1 : y.sign
  if (xSign !== ySign) return xSign === 1 ? 'less' : 'greater'
  const order = compareMagnitude(x, y)
  if (order === 0) return 'equal'
  return order < 0 === (x.sign === 0) ? 'less' : 'greater'
}

/** Sign of |x| - |y| for values of which none is zero or NaN. */
function compareMagnitude(x: Unpacked, y: Unpacked): number {
  if (x.kind === INFINITE || y.kind === INFINITE) return x.kind - y.kind
  const xTop = x.exp + bitLength(x.sig)
  const yTop = y.exp + bitLength(y.sig)
  if (xTop !== yTop) return xTop - yTop
  const [, xs, ys] = align(x, y)
  return xs < ys ? -1 : xs > ys ? 1 : 0
}

/** Rounds to an integral value of the same format; PE is left out where `quietly` (ROUNDSD with imm8 bit 3). */
export function roundToIntegral(
  c: FpContext,
  f: Format,
  a: bigint,
  rounding: Rounding = c.rounding,
  quietly = false,
): bigint {
  const x = unpack(c, f, a)
  if (hasNoValue(x)) return propagateNaN(c, f, x)
  if (x.kind === ZERO) return zero(f, x.sign)
  if (x.kind === INFINITE || x.exp >= 0) return a
  const q = roundShift(rounding, x.sign, x.sig, -x.exp)
  const back = q << BigInt(-x.exp)
  if (back !== x.sig && !quietly) c.flags |= PE
  c.roundedUp = back > x.sig
  // Integers of at most `precision` bits: packing is exact, whatever the rounding.
  return q === 0n ? zero(f, x.sign) : roundPack({ ...c, precision: f.precision, flags: 0 }, f, x.sign, 0, q)
}

export interface Remainder {
  readonly value: bigint
  /** Low three bits of the quotient, 0 while incomplete; none if the answer is a NaN. */
  readonly quotient: number | undefined
  /** The exponents were too far apart: the value is a partial remainder (C2). */
  readonly incomplete: boolean
}

/**
 * FPREM (`TO_ZERO`) and FPREM1 (`NEAREST`): a - b * q. At exponent distances of 64 and more one call takes
 * 32 to 63 of them off, as the processor does.
 */
export function remainder(
  c: FpContext,
  f: Format,
  a: bigint,
  b: bigint,
  rounding: typeof NEAREST | 3,
): Remainder {
  const x = unpack(c, f, a)
  const y = unpack(c, f, b)
  const done = (value: bigint): Remainder => ({ value, quotient: 0, incomplete: false })
  const nan = (value: bigint): Remainder => ({ value, quotient: undefined, incomplete: false })
  if (hasNoValue(x) || hasNoValue(y)) return nan(propagateNaN(c, f, x, y))
  if (x.kind === INFINITE || y.kind === ZERO) return nan(invalid(c, f))
  if (denormalEnds(c, x, y)) return done(0n)
  if (x.kind === ZERO) return done(zero(f, x.sign))
  const wide: FpContext = { ...c, precision: f.precision }
  const exact = (sign: 0 | 1, exp: number, sig: bigint): bigint => {
    const value = sig === 0n ? zero(f, x.sign) : roundPack(wide, f, sign, exp, sig)
    c.flags |= wide.flags
    return value
  }
  if (y.kind === INFINITE) return done(exact(x.sign, x.exp, x.sig))
  const distance = x.exp + bitLength(x.sig) - y.exp - bitLength(y.sig)
  if (distance < -1) return done(exact(x.sign, x.exp, x.sig))
  if (distance >= 64) {
    const step = distance - ((distance & 31) | 32)
    // GUEST: `step` is below 2^15 by the exponent range, so the shifts below stay small.
    const exp = y.exp + step
    const xs = x.sig << BigInt(Math.max(0, x.exp - exp))
    const ys = y.sig << BigInt(Math.max(0, exp - x.exp))
    return {
      value: exact(x.sign, Math.min(x.exp, exp), xs % ys),
      quotient: 0,
      incomplete: true,
    }
  }
  const exp = Math.min(x.exp, y.exp)
  const xs = x.sig << BigInt(x.exp - exp)
  const ys = y.sig << BigInt(y.exp - exp)
  let q = xs / ys
  let rest = xs - q * ys
  let sign = x.sign
  if (rounding === NEAREST) {
    const twice = rest << 1n
    if (twice > ys || (twice === ys && (q & 1n) === 1n)) {
      q++
      rest = ys - rest
      sign = (sign ^ 1) as 0 | 1
    }
  }
  return { value: exact(sign, exp, rest), quotient: Number(q & 7n), incomplete: false }
}

/** FSCALE: a * 2^trunc(b). */
export function scale(c: FpContext, f: Format, a: bigint, b: bigint): bigint {
  const x = unpack(c, f, a)
  const y = unpack(c, f, b)
  if (hasNoValue(x) || hasNoValue(y)) return propagateNaN(c, f, x, y)
  if (y.kind === INFINITE) {
    if (x.kind === (y.sign === 0 ? ZERO : INFINITE)) return invalid(c, f)
    if (denormalEnds(c, x)) return 0n
    return y.sign === 0 ? infinity(f, x.sign) : zero(f, x.sign)
  }
  if (denormalEnds(c, x, y)) return 0n
  if (x.kind !== FINITE) return x.kind === ZERO ? zero(f, x.sign) : infinity(f, x.sign)
  const wide: FpContext = { ...c, precision: f.precision }
  // GUEST: beyond +-2^17 every f80 overflows or underflows alike, so larger scales are cut to that.
  const limit = 1 << 17
  const magnitude =
    y.kind === ZERO
      ? 0
      : y.exp + bitLength(y.sig) > 17
        ? limit
        : Number(y.exp >= 0 ? y.sig << BigInt(y.exp) : y.sig >> BigInt(-y.exp))
  const value = roundPack(wide, f, x.sign, x.exp + (y.sign === 0 ? magnitude : -magnitude), x.sig)
  c.flags |= wide.flags
  c.roundedUp = wide.roundedUp
  return value
}

export interface Extracted {
  readonly exponent: bigint
  readonly significand: bigint
}

/** FXTRACT: the unbiased exponent and the significand (1 <= |s| < 2), both as values of the format. */
export function extract(c: FpContext, f: Format, a: bigint): Extracted {
  const x = unpack(c, f, a)
  if (hasNoValue(x)) {
    const nan = propagateNaN(c, f, x)
    return { exponent: nan, significand: nan }
  }
  if (x.kind === INFINITE) return { exponent: infinity(f, 0), significand: a }
  if (x.kind === ZERO) {
    c.flags |= ZE
    return { exponent: infinity(f, 1), significand: a }
  }
  denormalEnds(c, x)
  const length = bitLength(x.sig)
  const e = x.exp + length - 1
  const exact: FpContext = { ...c, precision: f.precision, flags: 0 }
  const exponent = e === 0 ? 0n : roundPack(exact, f, e < 0 ? 1 : 0, 0, BigInt(Math.abs(e)))
  return { exponent, significand: roundPack(exact, f, x.sign, 1 - length, x.sig) }
}

/**
 * Conversions between floating-point formats, integers and packed BCD (SSE CVT*, x87 FLD FST FILD FIST FBLD
 * FBSTP). Intel SDM volume 1, sections 4.8.4, 4.9.1 and 8.5; table 4-4 for the indefinite values.
 */

import {
  DE,
  denormalEnds,
  type Format,
  type FpContext,
  f80,
  hasNoValue,
  IE,
  INFINITE,
  infinity,
  NEAREST,
  PE,
  propagateNaN,
  type Rounding,
  roundPack,
  roundShift,
  UNSUPPORTED,
  type Unpacked,
  unpack,
  ZERO,
  zero,
} from './format.ts'

/** Rounds a value of one format into another; signals denormal operands and signalling NaNs. */
export function convert(c: FpContext, from: Format, to: Format, a: bigint): bigint {
  const x = unpack(c, from, a)
  if (hasNoValue(x)) {
    if (x.kind === UNSUPPORTED) return propagateNaN(c, to, x)
    return propagateNaN(c, to, { ...x, bits: moveNaN(from, to, x) })
  }
  if (denormalEnds(c, x)) return 0n
  return convertFinite(c, to, x)
}

/** FST to memory: as `convert`, but a denormal register is no exception of its own. */
export function narrow(c: FpContext, to: Format, a: bigint): bigint {
  const before = c.flags
  const quiet: FpContext = { ...c, unmasked: c.unmasked & ~DE, flags: 0 }
  const value = convert(quiet, f80, to, a)
  c.flags = before | (quiet.flags & ~DE)
  c.roundedUp = quiet.roundedUp
  return value
}

/** Widens without any judgement: a signalling NaN stays one, a denormal is still told by `wasDenormal`. */
export function widen(from: Format, a: bigint): { readonly value: bigint; readonly wasDenormal: boolean } {
  const c = exactContext()
  const x = unpack(c, from, a)
  if (hasNoValue(x)) return { value: moveNaN(from, f80, x), wasDenormal: false }
  return { value: convertFinite(c, f80, x), wasDenormal: x.denormal }
}

function convertFinite(c: FpContext, to: Format, x: Unpacked): bigint {
  if (x.kind === ZERO) return zero(to, x.sign)
  if (x.kind === INFINITE) return infinity(to, x.sign)
  return roundPack(to === f80 ? { ...c, precision: 64 } : c, to, x.sign, x.exp, x.sig)
}

/** A NaN's sign and the leading part of its payload in another format. Its quiet bit stays as it is. */
function moveNaN(from: Format, to: Format, x: Unpacked): bigint {
  const by = BigInt(to.precision - from.precision)
  const field = by >= 0n ? x.sig << by : x.sig >> -by
  return zero(to, x.sign) | to.infinity | (field & to.fieldMask)
}

const exactContext = (): FpContext => ({
  rounding: NEAREST,
  precision: 64,
  daz: false,
  ftz: false,
  nanRule: 'first',
  unmasked: 0,
  flags: 0,
  roundedUp: false,
})

/** "Integer indefinite": 100...0, the answer for what does not fit. */
export const integerIndefinite = (bits: number): bigint => 1n << BigInt(bits - 1)

/** Signed integer of `bits` bits, two's complement; IE and the indefinite where it does not fit. */
export function toInteger(
  c: FpContext,
  f: Format,
  a: bigint,
  bits: 16 | 32 | 64,
  rounding: Rounding = c.rounding,
): bigint {
  const n = toBigInt(c, f, a, rounding, 1n << BigInt(bits - 1))
  return n === undefined ? integerIndefinite(bits) : BigInt.asUintN(bits, n)
}

/** Rounded integer in [-limit, limit), or undefined with IE. */
function toBigInt(c: FpContext, f: Format, a: bigint, rounding: Rounding, limit: bigint): bigint | undefined {
  const x = unpack(c, f, a)
  if (x.kind === ZERO) return 0n
  // GUEST: exponents from 64 up are out of every integer's range, so the left shift stays below 64 bits.
  if (x.kind >= INFINITE || x.exp >= 64) {
    c.flags |= IE
    return undefined
  }
  const magnitude = roundShift(rounding, x.sign, x.sig, -x.exp)
  const n = x.sign === 0 ? magnitude : -magnitude
  if (n >= limit || n < -limit) {
    c.flags |= IE
    return undefined
  }
  if (x.exp < 0) {
    const back = magnitude << BigInt(-x.exp)
    if (back !== x.sig) c.flags |= PE
    c.roundedUp = back > x.sig
  }
  return n
}

/** Rounds a signed integer into a format. */
export function fromInteger(c: FpContext, f: Format, n: bigint): bigint {
  if (n === 0n) return 0n
  const wide: FpContext = f === f80 ? { ...c, precision: 64 } : c
  return n < 0n ? roundPack(wide, f, 1, 0, -n) : roundPack(wide, f, 0, 0, n)
}

const BCD_DIGITS = 18
const BCD_LIMIT = 10n ** BigInt(BCD_DIGITS)
/** "Packed BCD indefinite". */
export const BCD_INDEFINITE = 0xffff_c000_0000_0000_0000n

/** FBSTP: 18 decimal digits and a sign in 80 bits. */
export function toBcd(c: FpContext, a: bigint): bigint {
  const before = c.flags
  const n = toBigInt(c, f80, a, c.rounding, 1n << 63n)
  if (n === undefined) return BCD_INDEFINITE
  const magnitude = n < 0n ? -n : n
  if (magnitude >= BCD_LIMIT) {
    c.flags = before | IE
    c.roundedUp = false
    return BCD_INDEFINITE
  }
  return (a & f80.signBit) | BigInt(`0x${magnitude}`)
}

/** FBLD: digits above 9 give some value, as the manual says nothing of them; here each counts its own weight. */
export function fromBcd(packed: bigint): bigint {
  let n = 0n
  for (let digit = BCD_DIGITS - 1; digit >= 0; digit--) {
    n = n * 10n + ((packed >> BigInt(4 * digit)) & 15n)
  }
  return (packed & f80.signBit) | fromInteger(exactContext(), f80, n)
}

/**
 * What one lane of an SSE floating-point instruction does: operations on encoded f32 and f64 values under a
 * context made from MXCSR. Intel SDM volume 2 per instruction; volume 1, section 11.5 for the exceptions.
 */

import { fromInteger, toInteger } from './convert.ts'
import {
  denormalEnds,
  type Format,
  type FpContext,
  f32,
  hasNoValue,
  IE,
  INFINITE,
  infinity,
  invalid,
  propagateNaN,
  type Rounding,
  TO_ZERO,
  unpack,
  ZERO,
  zero,
} from './format.ts'
import { add, compare, div, mul, relation, roundToIntegral, sqrt, sub } from './softfloat.ts'

/** a: destination operand, b: source operand, imm: the immediate byte (0 where there is none). */
export type LaneOp = (c: FpContext, f: Format, a: bigint, b: bigint, imm: number) => bigint

/** MINPS and MAXPS: any NaN, and two zeros, give the source operand unchanged; any NaN is invalid. */
function pick(wanted: 'less' | 'greater'): LaneOp {
  return (c, f, a, b) => {
    const x = unpack(c, f, a)
    const y = unpack(c, f, b)
    const unordered = hasNoValue(x) || hasNoValue(y)
    if (unordered) c.flags |= IE
    else denormalEnds(c, x, y)
    const chosen = !unordered && relation(x, y) === wanted ? x : y
    // A denormal that counts as zero comes out as one.
    return chosen.kind === ZERO ? zero(f, chosen.sign) : chosen.bits
  }
}

/** CMPPS predicates by imm8 bits 1:0; bit 2 negates. LT and LE signal quiet NaNs too. */
const cmp: LaneOp = (c, f, a, b, imm) => {
  const predicate = imm & 3
  const r = compare(c, f, a, b, predicate === 1 || predicate === 2)
  const holds = [r === 'equal', r === 'less', r === 'less' || r === 'equal', r === 'unordered'][predicate]
  return holds === ((imm & 4) === 0) ? (f.signBit << 1n) - 1n : 0n
}

/** ROUNDPS: imm8 bits 1:0 rounding, bit 2 takes MXCSR's instead, bit 3 keeps PE clear. */
const round: LaneOp = (c, f, _a, b, imm) =>
  roundToIntegral(c, f, b, (imm & 4) !== 0 ? c.rounding : ((imm & 3) as Rounding), (imm & 8) !== 0)

const words = new DataView(new ArrayBuffer(8))

/** Value of an f32 as a JavaScript number. */
function numberOf(bits: bigint): number {
  words.setUint32(0, Number(bits))
  return words.getFloat32(0)
}

/** Significant bits of RCPPS and RSQRTPS results: relative error at most 2^-13, the architecture allows 1.5 * 2^-12. */
const APPROXIMATE_BITS = 12

/** The f32 nearest to a positive number with 12 significant bits; too small ones are zero. */
function approximate(value: number): bigint {
  words.setFloat64(0, value)
  const rounded = words.getBigUint64(0) + (1n << BigInt(52 - APPROXIMATE_BITS))
  words.setBigUint64(0, rounded & -(1n << BigInt(53 - APPROXIMATE_BITS)))
  const result = words.getFloat64(0)
  if (result < 2 ** -126) return 0n
  words.setFloat32(0, result)
  return BigInt(words.getUint32(0))
}

/** RCPPS and RSQRTPS: no exceptions, no rounding control; denormals count as zero on both sides. */
function reciprocal(of: (magnitude: number) => number, negativeIsInvalid: boolean): LaneOp {
  return (c, f, _a, b) => {
    const quiet: FpContext = { ...c, daz: true, flags: 0 }
    const x = unpack(quiet, f, b)
    if (hasNoValue(x)) return propagateNaN(quiet, f, x)
    if (x.kind === ZERO) return infinity(f, x.sign)
    if (x.sign === 1 && negativeIsInvalid) return invalid(quiet, f)
    if (x.kind === INFINITE) return zero(f, x.sign)
    return zero(f, x.sign) | approximate(of(numberOf(b & ~f32.signBit)))
  }
}

export const laneOps = {
  add,
  sub,
  mul,
  div,
  sqrt: (c, f, _a, b) => sqrt(c, f, b),
  min: pick('less'),
  max: pick('greater'),
  cmp,
  round,
  rcp: reciprocal((x) => 1 / x, false),
  rsqrt: reciprocal((x) => 1 / Math.sqrt(x), true),
} as const satisfies Record<string, LaneOp>

/** Conversions of one lane: value in, value out. */
export type LaneConversion = (c: FpContext, a: bigint) => bigint

export const floatToInt =
  (f: Format, bits: 32 | 64, truncate: boolean): LaneConversion =>
  (c, a) =>
    toInteger(c, f, a, bits, truncate ? TO_ZERO : c.rounding)

export const intToFloat =
  (bits: 32 | 64, f: Format): LaneConversion =>
  (c, a) =>
    fromInteger(c, f, BigInt.asIntN(bits, a))

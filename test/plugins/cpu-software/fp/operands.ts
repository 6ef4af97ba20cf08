/**
 * Operands for the floating-point tests: a seeded generator that mixes edge values, values near each other and
 * random bits, so that specials, ties, cancellations and tiny results all come up often.
 */

import { type Format, f32, f64, f80 } from '../../../../src/plugins/cpu-software/fp/format.ts'

export interface Source {
  /** Uniform integer below n (n up to 2^32). */
  below(n: number): number
  bits(count: number): bigint
  pick<T>(from: readonly T[]): T
}

export function source(seed: number): Source {
  let state = seed >>> 0
  // Mulberry32.
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return (x ^ (x >>> 14)) >>> 0
  }
  return {
    below: (n) => next() % n,
    bits: (count) => {
      let value = 0n
      for (let have = 0; have < count; have += 32) value = (value << 32n) | BigInt(next())
      return BigInt.asUintN(count, value)
    },
    pick: (from) => from[next() % from.length]!,
  }
}

/** Biased exponents worth meeting: both ends, around one, around the integer ranges. */
function exponent(s: Source, f: Format): number {
  const one = f.emax
  const near = [0, 0, 1, 1, 2, one - 1, one, one + 1, one + f.precision - 1, one + f.precision]
  const range = [one + 15, one + 16, one + 31, one + 32, one + 62, one + 63, one + 64]
  const top = [f.exponentMask - 1, f.exponentMask - 2, f.exponentMask, f.exponentMask]
  const around = one + s.below(8) - 4
  return s.pick([
    s.pick([...near, ...range, ...top]),
    around,
    s.below(f.exponentMask + 1),
    f.precision + s.below(8) - 4,
    s.pick([one >> 1, (one * 3) >> 1]) + s.below(64) - 32,
  ])
}

function field(s: Source, f: Format): bigint {
  const width = f.precision - 1
  const random = s.bits(width)
  const ones = (1n << BigInt(width)) - 1n
  const sparse = (1n << BigInt(s.below(width))) ^ (s.below(2) === 0 ? 0n : ones)
  const short = (random >> BigInt(width - 12)) << BigInt(width - 12)
  return s.pick([
    0n,
    1n,
    ones,
    ones - 1n,
    1n << BigInt(width - 1),
    sparse,
    sparse,
    short,
    random,
    random,
    random,
  ])
}

/** Any encoding of the format; of f80 one in sixteen has the leading bit "wrong". */
export function operand(s: Source, f: Format): bigint {
  const biased = Math.min(exponent(s, f), f.exponentMask)
  const sign = s.below(2) === 0 ? 0n : f.signBit
  if (!f.explicit) return sign | (BigInt(biased) << f.fieldBits) | field(s, f)
  const usual = biased !== 0
  const leading = (s.below(16) === 0) !== usual ? f.leadingBit : 0n
  return sign | (BigInt(biased) << f.fieldBits) | leading | field(s, f)
}

/** Two operands, in a third of the cases close to each other. */
export function operandPair(s: Source, f: Format): [bigint, bigint] {
  const a = operand(s, f)
  switch (s.below(6)) {
    case 0:
      return [a, a ^ s.bits(3)]
    case 1:
      return [a, a ^ f.signBit ^ s.bits(2)]
    default:
      return [a, operand(s, f)]
  }
}

/** 128 bits of lanes of this format. */
export function vectorPair(s: Source, f: Format): [bigint, bigint] {
  let a = 0n
  let b = 0n
  for (let i = 0; i < 128 / f.bits; i++) {
    const [x, y] = operandPair(s, f)
    a = (a << BigInt(f.bits)) | x
    b = (b << BigInt(f.bits)) | y
  }
  return [a, b]
}

/** MXCSR: every rounding, DAZ and FTZ one time in four each, old flags, half of the time all masked. */
export function mxcsr(s: Source): number {
  const masks = s.below(2) === 0 ? 0x1f80 : s.below(64) << 7
  const daz = s.below(4) === 0 ? 0x40 : 0
  const ftz = s.below(4) === 0 ? 0x8000 : 0
  return masks | daz | ftz | (s.below(4) << 13) | (s.below(4) === 0 ? s.below(64) : 0)
}

export const formats = { f32, f64, f80 }

/**
 * Fixed-point series behind the x87's transcendental functions and constants: a value v is the bigint
 * v * 2^FRACTION. With 256 fraction bits, errors stay far below half a unit of a 64-bit significand.
 */

/** Fraction bits of every fixed-point value here. */
export const FRACTION = 256
const F = BigInt(FRACTION)
export const ONE = 1n << F

/** atan(1/n) with `bits` fraction bits. */
function atanInverse(n: bigint, bits: number): bigint {
  let power = (1n << BigInt(bits)) / n
  let sum = 0n
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += (k & 2n) === 0n ? power / k : -(power / k)
    power /= n * n
  }
  return sum
}

/** atanh(1/n) with FRACTION bits. */
function atanhInverse(n: bigint): bigint {
  let power = ONE / n
  let sum = 0n
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += power / k
    power /= n * n
  }
  return sum
}

/** Machin: pi = 16 atan(1/5) - 4 atan(1/239); 16 spare bits swallow the truncations of the series. */
export const PI = (16n * atanInverse(5n, FRACTION + 16) - 4n * atanInverse(239n, FRACTION + 16)) >> 16n

/** Fraction bits that `REDUCTION_PI` has beside FRACTION, so that arguments below 2^63 lose none of those. */
export const REDUCTION_EXTRA = 80
/** The pi of 66 significant bits by which processors reduce angles (Intel SDM volume 1, section 8.3.8). */
export const REDUCTION_PI = 0xc90f_daa2_2168_c234_cn << BigInt(FRACTION + REDUCTION_EXTRA - 66)

export const LN2 = 2n * atanhInverse(3n)
const LN10 = 3n * LN2 + 2n * atanhInverse(9n)
export const LOG2_E = (ONE << F) / LN2
export const LOG2_10 = (LN10 << F) / LN2
export const LOG10_2 = (LN2 << F) / LN10

/** Sum of terms, each made from the one before by `next`, until they vanish. */
function series(first: bigint, next: (term: bigint, k: bigint) => bigint): bigint {
  let sum = 0n
  let term = first
  for (let k = 1n; term !== 0n; k++) {
    sum += term
    term = next(term, k)
  }
  return sum
}

/** sin(r) / r, from r squared. Never quite 1, so that a directed rounding sees the deficit. */
export function sinOverArgument(squared: bigint): bigint {
  const value = series(ONE, (term, k) => -((term * squared) >> F) / (2n * k * (2n * k + 1n)))
  return value < ONE ? value : ONE - 1n
}

/** cos(r), from r squared; below 1 in the same way. */
export function cosine(squared: bigint): bigint {
  const value = series(ONE, (term, k) => -((term * squared) >> F) / (2n * k * (2n * k - 1n)))
  return value < ONE ? value : ONE - 1n
}

/** (e^y - 1) / y. */
export function expm1OverArgument(y: bigint): bigint {
  return series(ONE, (term, k) => (term * y) / (ONE * (k + 1n)))
}

/** atanh(z) / z, from z squared (at most 0.03 in use). */
export function atanhOverArgument(squared: bigint): bigint {
  let sum = 0n
  let power = ONE
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += power / k
    power = (power * squared) >> F
  }
  return sum
}

/** atan(t) / t, from t squared (below 0.01 in use). */
export function atanOverArgument(squared: bigint): bigint {
  let sum = 0n
  let power = ONE
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += power / k
    power = -((power * squared) >> F)
  }
  return sum < ONE ? sum : ONE - 1n
}

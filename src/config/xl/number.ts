/**
 * Numbers in text, read as C's strtol and its kin read them on a machine with 64-bit longs: blanks and a sign
 * before, as many digits as there are, whatever behind. Base 0 knows 0x and leading-zero octal.
 */

export type NumberFault = 'not a number' | 'out of range'

export interface NumberPrefix {
  /** The mathematical value, not yet cut to any width. */
  readonly value: bigint
  /** Characters taken, blanks and sign included; 0 if there is no number. */
  readonly length: number
}

const BLANKS_AND_SIGN = /^[ \t\n\v\f\r]*([+-]?)/
const DIGITS = {
  0: /^(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/,
  10: /^[0-9]+/,
  16: /^(?:0[xX](?=[0-9a-fA-F]))?[0-9a-fA-F]+/,
} as const
/** More digits than any 64-bit number has in octal: no need to convert hostile lengths. */
const MOST_DIGITS = 24
const BEYOND = 1n << 72n
const LONG_MIN = -(2n ** 63n)
const LONG_MAX = 2n ** 63n - 1n
export const ULONG_MAX = 2n ** 64n - 1n

export function numberPrefix(text: string, base: 0 | 10 | 16): NumberPrefix {
  const [lead, sign] = BLANKS_AND_SIGN.exec(text)!
  const digits = DIGITS[base].exec(text.slice(lead!.length))?.[0]
  if (digits === undefined) return { value: 0n, length: 0 }
  const magnitude = digits.replace(/^(?:0[xX])?0*/, '').length > MOST_DIGITS ? BEYOND : convert(digits, base)
  return { value: sign === '-' ? -magnitude : magnitude, length: lead!.length + digits.length }
}

function convert(digits: string, base: 0 | 10 | 16): bigint {
  if (/^0[xX]/.test(digits)) return BigInt(digits)
  if (base === 16) return BigInt(`0x${digits}`)
  // BigInt takes leading zeros as decimal.
  return base === 0 && /^0[0-7]/.test(digits) ? BigInt(`0o${digits}`) : BigInt(digits)
}

/** A whole atom as a number: strtol with base 0, as all of xl's number keys are read. */
export function readNumber(text: string): bigint | NumberFault {
  const { value, length } = numberPrefix(text, 0)
  if (length === 0) return 'not a number'
  // XEN: the range is judged before the rest of the text.
  if (value < LONG_MIN || value > LONG_MAX) return 'out of range'
  return length === text.length ? value : 'not a number'
}

/** C's strtoul: saturates, and a minus sign wraps around. `length` 0: no number. */
export function unsignedLong(text: string, base: 0 | 10 | 16): NumberPrefix {
  const { value, length } = numberPrefix(text, base)
  if (value > ULONG_MAX || value < -ULONG_MAX) return { value: ULONG_MAX, length }
  return { value: BigInt.asUintN(64, value), length }
}

/** C's atoi, and strtoul put into an int: what is no number is 0. */
export function toInt(text: string, base: 0 | 10 = 10): number {
  const { value } = numberPrefix(text, base)
  return Number(BigInt.asIntN(32, value))
}

/**
 * Atoms read as numbers: C's strtol with base 0 on a machine with 64-bit longs, as all of xl's number keys are
 * read. Blanks before are fine, anything behind is not.
 */

export type NumberFault = 'not a number' | 'out of range'

const LEAST = -(2n ** 63n)
const MOST = 2n ** 63n - 1n
const INTEGER = /^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/

export function readNumber(text: string): bigint | NumberFault {
  const match = INTEGER.exec(text)
  if (match === null) return 'not a number'
  const digits = match[2]!
  // Beyond 64 bits in any base: not worth a conversion.
  if (digits.replace(/^0[xX]?0*/, '').length > 22) return 'out of range'
  const magnitude = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits}` : digits)
  const value = match[1] === '-' ? -magnitude : magnitude
  // XEN: the range is judged before the rest of the text, as strtol does it.
  if (value < LEAST || value > MOST) return 'out of range'
  return match[0].length === text.length ? value : 'not a number'
}

/** Sizes of mem-set and mem-max: a decimal number with one letter b, k, m, g or t behind it; MiB without. */

const SHIFT: ReadonlyMap<string, bigint> = new Map([
  ['b', -10n],
  ['k', 0n],
  ['m', 10n],
  ['', 10n],
  ['g', 20n],
  ['t', 30n],
])

import { numberPrefix } from '../xl/number.ts'

/** The size in KiB, or undefined for text that is no size. Cut to 64 bits, as xl does. No digits at all are 0. */
export function parseMemorySize(text: string): bigint | undefined {
  const { value, length } = numberPrefix(text, 10)
  const shift = SHIFT.get(text.slice(length).toLowerCase())
  if (shift === undefined) return undefined
  const limit = 2n ** 63n - 1n
  const number = value > limit ? limit : value < -limit ? -limit - 1n : value
  const kib = BigInt.asIntN(64, shift < 0n ? number >> -shift : number << shift)
  return kib === -1n ? undefined : kib
}

/**
 * The few terms of ACPI Machine Language that our DSDT needs (ACPI 6.4, chapter 20). Each function returns the
 * encoded term; names are single segments of four characters.
 */

export type Aml = readonly number[]

const ascii = (text: string): number[] => Array.from(text, (c) => c.charCodeAt(0))

/** Section 20.2.4: the length counts itself; one byte up to 63, else 4 bits and up to three more bytes. */
function packaged(content: Aml): number[] {
  if (content.length + 1 < 64) return [content.length + 1, ...content]
  for (let extra = 1; extra <= 3; extra++) {
    const length = content.length + 1 + extra
    if (length >= 1 << (4 + 8 * extra)) continue
    const bytes = [(extra << 6) | (length & 15)]
    for (let i = 0; i < extra; i++) bytes.push((length >> (4 + 8 * i)) & 255)
    return [...bytes, ...content]
  }
  throw new RangeError('an AML package holds at most 2^28 bytes')
}

/** An integer below 2^32. */
export function integer(value: number): Aml {
  if (value <= 1) return [value]
  if (value < 0x100) return [0x0a, value]
  if (value < 0x10000) return [0x0b, value & 255, value >> 8]
  return [0x0c, value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24]
}

export const string = (text: string): Aml => [0x0d, ...ascii(text), 0]
export const buffer = (bytes: readonly number[]): Aml => [
  0x11,
  ...packaged([...integer(bytes.length), ...bytes]),
]
/** Name (`segment`, `value`) */
export const name = (segment: string, value: Aml): Aml => [0x08, ...ascii(segment), ...value]
/** Scope (\`segment`) { ... } */
export const scope = (segment: string, terms: readonly Aml[]): Aml => [
  0x10,
  ...packaged([0x5c, ...ascii(segment), ...terms.flat()]),
]
/** Device (`segment`) { ... } */
export const device = (segment: string, terms: readonly Aml[]): Aml => [
  0x5b,
  0x82,
  ...packaged([...ascii(segment), ...terms.flat()]),
]

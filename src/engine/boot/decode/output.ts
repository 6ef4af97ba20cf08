/**
 * Where the decoders write: a byte buffer that grows up to a limit, and the two ways in which decoding can fail.
 * Inside the decoders these are ordinary exceptions; decompress.ts turns them into XtErrors.
 */

/** The packed data contradicts its format; `message` says where. */
export class CorruptData extends Error {}
/** The data unpack to more than the caller allows. */
export class OutputLimit extends Error {}

const LEAST = 65536

export class Output {
  /** Valid up to `length`. Replaced when it grows: read it anew after `reserve`. */
  bytes: Uint8Array
  length = 0
  readonly #limit: number

  /** `expected` is a hint (it may come from hostile data), `limit` is never exceeded. Both in bytes. */
  constructor(limit: number, expected = 0) {
    this.#limit = limit
    this.bytes = new Uint8Array(Math.min(Math.max(expected, LEAST), limit))
  }

  /** Makes room for `count` more bytes. @throws OutputLimit */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    if (needed > this.#limit) throw new OutputLimit()
    const grown = new Uint8Array(Math.min(Math.max(needed, this.bytes.length * 2), this.#limit))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** Repeats what was written `distance` bytes ago; source and target may overlap. The caller has checked `distance`. */
  copyBack(distance: number, count: number): void {
    this.reserve(count)
    const { bytes, length } = this
    if (distance >= count && count > 32) {
      bytes.copyWithin(length, length - distance, length - distance + count)
    } else {
      for (let to = length, end = length + count; to < end; to++) bytes[to] = bytes[to - distance]!
    }
    this.length = length + count
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }
}

/**
 * What a guest printed, as far as it is kept: a byte stream of which only the newest part is remembered.
 *
 * Positions count bytes since the beginning of the stream. A reader is nothing but a position: it costs no
 * memory, cannot hold up the guest, and learns how much it missed when it was too slow.
 */

export interface Piece {
  /** Bytes between the asked position and the first one still kept. */
  readonly skipped: number
  /** A copy; empty at the end of the stream. */
  readonly bytes: Uint8Array
  /** Position to go on from. */
  readonly next: number
}

export class Scrollback {
  readonly #ring: Uint8Array
  #end = 0

  /** `capacity`: bytes kept at most. */
  constructor(capacity: number) {
    this.#ring = new Uint8Array(capacity)
  }

  /** Position after the newest byte: how many bytes there ever were. */
  get end(): number {
    return this.#end
  }

  /** Position of the oldest byte kept. */
  get start(): number {
    return Math.max(0, this.#end - this.#ring.length)
  }

  /** Copies the bytes in, over the oldest ones. */
  append(bytes: Uint8Array): void {
    const kept = bytes.subarray(Math.max(0, bytes.length - this.#ring.length))
    const at = (this.#end + bytes.length - kept.length) % this.#ring.length
    const first = Math.min(kept.length, this.#ring.length - at)
    this.#ring.set(kept.subarray(0, first), at)
    this.#ring.set(kept.subarray(first), 0)
    this.#end += bytes.length
  }

  /** Up to `most` bytes from a position on (or from the oldest one kept, if that is later). */
  read(position: number, most: number): Piece {
    const from = Math.min(Math.max(position, this.start), this.#end)
    const count = Math.min(most, this.#end - from)
    const at = from % this.#ring.length
    const bytes = new Uint8Array(count)
    const first = Math.min(count, this.#ring.length - at)
    bytes.set(this.#ring.subarray(at, at + first))
    bytes.set(this.#ring.subarray(0, count - first), first)
    return { skipped: Math.max(0, from - position), bytes, next: from + count }
  }
}

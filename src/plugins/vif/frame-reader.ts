/** Cuts a byte stream into frames: each has its length before it, big-endian, in 2 or 4 bytes. Pure. */
import { viewOf } from './packet.ts'

const NOTHING = new Uint8Array(0)

export class FrameReader {
  readonly #lengthBytes: 2 | 4
  readonly #maxBytes: number
  #rest: Uint8Array = NOTHING

  constructor(lengthBytes: 2 | 4, maxBytes: number) {
    this.#lengthBytes = lengthBytes
    this.#maxBytes = maxBytes
  }

  /**
   * The frames that a further piece of the stream completes: views of the piece where that can be. The piece belongs
   * to the reader. Undefined: a length that cannot be; the stream is of no use any more.
   */
  push(piece: Uint8Array): readonly Uint8Array[] | undefined {
    const bytes = this.#rest.length === 0 ? piece : concat(this.#rest, piece)
    const view = viewOf(bytes)
    const frames: Uint8Array[] = []
    let at = 0
    while (bytes.length - at >= this.#lengthBytes) {
      const length = this.#lengthBytes === 2 ? view.getUint16(at) : view.getUint32(at)
      if (length > this.#maxBytes) return undefined
      const from = at + this.#lengthBytes
      if (from + length > bytes.length) break
      frames.push(bytes.subarray(from, from + length))
      at = from + length
    }
    this.#rest = at === bytes.length ? NOTHING : bytes.subarray(at)
    return frames
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

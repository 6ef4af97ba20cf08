/**
 * Byte rings: a page that two ends share as two one-way streams of bytes (io/xs_wire.h, struct
 * xenstore_domain_interface; io/console.h, struct xencons_interface).
 *
 * There is one pipe over a layout; the other end is the same pipe with the directions exchanged, so a
 * test's frontend is `new BytePipe(memory, base, layout, 'frontend')`. Indices run freely modulo 2^32 and
 * touch shared memory only here, through Atomics. Telling the other end (event channel) is the caller's part.
 */

/** One direction. All numbers are byte offsets from the start of the page; `size` is a power of two. */
export interface StreamLayout {
  readonly data: number
  readonly size: number
  /** Index of the next byte to read: written by the reader only. */
  readonly cons: number
  /** Index of the next byte to write: written by the writer only. */
  readonly prod: number
}

/** A page with two streams; the frontend is the guest. */
export interface ByteRingLayout {
  readonly toBackend: StreamLayout
  readonly toFrontend: StreamLayout
}

/** struct xenstore_domain_interface: req goes to the store, rsp to the guest. */
export const XENSTORE_RING: ByteRingLayout = {
  toBackend: { data: 0, size: 1024, cons: 0x800, prod: 0x804 },
  toFrontend: { data: 0x400, size: 1024, cons: 0x808, prod: 0x80c },
}

/** struct xencons_interface: `in` goes to the guest, `out` comes from it. */
export const CONSOLE_RING: ByteRingLayout = {
  toFrontend: { data: 0, size: 1024, cons: 0xc00, prod: 0xc04 },
  toBackend: { data: 0x400, size: 2048, cons: 0xc08, prod: 0xc0c },
}

export type RingEnd = 'frontend' | 'backend'

/** What every call answers while the indices claim more than the ring holds. Nothing was moved then. */
export const BROKEN = -1

/** Views of one shared buffer: GuestMemory fits. */
export interface SharedBytes {
  readonly u8: Uint8Array<SharedArrayBuffer>
  readonly i32: Int32Array<SharedArrayBuffer>
}

/** One direction, seen by either side. */
class Stream {
  readonly #memory: SharedBytes
  readonly #data: number
  readonly #size: number
  readonly #cons: number
  readonly #prod: number

  constructor(memory: SharedBytes, base: number, layout: StreamLayout) {
    this.#memory = memory
    this.#data = base + layout.data
    this.#size = layout.size
    this.#cons = (base + layout.cons) >> 2
    this.#prod = (base + layout.prod) >> 2
  }

  /** Bytes written and not yet read, 0..size, or BROKEN. */
  filled(): number {
    const cons = Atomics.load(this.#memory.i32, this.#cons)
    const count = (Atomics.load(this.#memory.i32, this.#prod) - cons) >>> 0
    return count > this.#size ? BROKEN : count
  }

  /** Bytes that can be written now, 0..size, or BROKEN. */
  room(): number {
    const filled = this.filled()
    return filled === BROKEN ? BROKEN : this.#size - filled
  }

  /** Moves up to `into.length` bytes out of the ring; answers how many, or BROKEN. */
  take(into: Uint8Array): number {
    const { u8, i32 } = this.#memory
    const cons = Atomics.load(i32, this.#cons)
    // ORDER: prod is read before the bytes that it covers (the writer stores it after them).
    const filled = (Atomics.load(i32, this.#prod) - cons) >>> 0
    // GUEST: both indices are the guest's to scribble on; a distance over the size is the only lie possible.
    if (filled > this.#size) return BROKEN
    const count = Math.min(filled, into.length)
    const at = cons & (this.#size - 1)
    const first = Math.min(count, this.#size - at)
    into.set(u8.subarray(this.#data + at, this.#data + at + first))
    into.set(u8.subarray(this.#data, this.#data + count - first), first)
    // ORDER: the bytes are copied out before the writer may use their place again.
    if (count > 0) Atomics.store(i32, this.#cons, (cons + count) | 0)
    return count
  }

  /** Moves as much of `bytes` as fits into the ring; answers how many, or BROKEN. */
  put(bytes: Uint8Array): number {
    const { u8, i32 } = this.#memory
    const prod = Atomics.load(i32, this.#prod)
    // ORDER: cons is read before its bytes are overwritten (the reader stores it after its copy).
    const filled = (prod - Atomics.load(i32, this.#cons)) >>> 0
    // GUEST: as in take().
    if (filled > this.#size) return BROKEN
    const count = Math.min(this.#size - filled, bytes.length)
    const at = prod & (this.#size - 1)
    const first = Math.min(count, this.#size - at)
    u8.set(bytes.subarray(0, first), this.#data + at)
    u8.set(bytes.subarray(first, count), this.#data)
    // ORDER: the bytes are in place before prod says so.
    if (count > 0) Atomics.store(i32, this.#prod, (prod + count) | 0)
    return count
  }

  empty(): void {
    Atomics.store(this.#memory.i32, this.#cons, 0)
    Atomics.store(this.#memory.i32, this.#prod, 0)
  }
}

/** One end of a byte ring page. Never throws for anything that the other end wrote. */
export class BytePipe {
  readonly #in: Stream
  readonly #out: Stream

  /** `base` is the byte offset of the page in the shared buffer, a multiple of 4. */
  constructor(memory: SharedBytes, base: number, layout: ByteRingLayout, end: RingEnd = 'backend') {
    const toBackend = new Stream(memory, base, layout.toBackend)
    const toFrontend = new Stream(memory, base, layout.toFrontend)
    this.#in = end === 'backend' ? toBackend : toFrontend
    this.#out = end === 'backend' ? toFrontend : toBackend
  }

  /** Bytes that `read` would deliver, or BROKEN. */
  readable(): number {
    return this.#in.filled()
  }

  /** Bytes that `write` would accept, or BROKEN. */
  writable(): number {
    return this.#out.room()
  }

  /** Bytes written by this end that the other has not read yet, or BROKEN. */
  unread(): number {
    return this.#out.filled()
  }

  /** Reads into private memory: how many bytes (0 = the ring is empty), or BROKEN. Notify the other end if > 0. */
  read(into: Uint8Array): number {
    return this.#in.take(into)
  }

  /** Writes what fits: how many bytes (0 = the ring is full), or BROKEN. Notify the other end if > 0. */
  write(bytes: Uint8Array): number {
    return this.#out.put(bytes)
  }

  /** Both directions empty, indices 0: for a new connection, while the other end does not use the page. */
  reset(): void {
    this.#in.empty()
    this.#out.empty()
  }
}

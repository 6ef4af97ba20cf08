/**
 * Flexible rings (io/ring.h, DEFINE_XEN_FLEX_RING; io/9pfs.h, io/pvcalls.h): an index page and a data area whose
 * first half carries bytes to the frontend (`in`), the second half bytes to the backend (`out`).
 *
 * One pipe over the layout; `end` turns it round for tests. Differences of indices are taken modulo 2^32.
 */
import { BROKEN, type RingEnd } from './byte-ring.ts'
import { SharedPages } from './shared-pages.ts'

/** Offsets in the index page. */
const IN_CONS = 0
const IN_PROD = 4
const IN_ERROR = 8
const OUT_CONS = 64
const OUT_PROD = 68
const OUT_ERROR = 72
const RING_ORDER = 128
const REFS = 132

/** Grant references of the data area that fit into the index page. */
export const MAX_FLEX_ORDER = 9

/** What the frontend published in the index page: copied, bounded. */
export interface FlexRingRefs {
  readonly order: number
  readonly refs: readonly number[]
}

/** Reads order and references. GUEST: undefined if the order is larger than allowed. */
export function readFlexRefs(
  indexPage: Uint8Array<SharedArrayBuffer>,
  maxOrder = MAX_FLEX_ORDER,
): FlexRingRefs | undefined {
  const view = new DataView(indexPage.buffer, indexPage.byteOffset, indexPage.length)
  const order = view.getUint32(RING_ORDER, true)
  if (order > Math.min(maxOrder, MAX_FLEX_ORDER)) return undefined
  return { order, refs: Array.from({ length: 1 << order }, (_, n) => view.getUint32(REFS + 4 * n, true)) }
}

/** The frontend's part: writes order and references. */
export function writeFlexRefs(indexPage: Uint8Array<SharedArrayBuffer>, { order, refs }: FlexRingRefs): void {
  const view = new DataView(indexPage.buffer, indexPage.byteOffset, indexPage.length)
  view.setUint32(RING_ORDER, order, true)
  for (const [n, ref] of refs.entries()) view.setUint32(REFS + 4 * n, ref, true)
}

interface Direction {
  readonly cons: number
  readonly prod: number
  readonly error: number
  /** Start in the data area. */
  readonly base: number
}

/** One end of a flexible ring. Never throws for anything that the other end wrote. */
export class FlexRing {
  /** Bytes of each direction. */
  readonly size: number
  readonly #index: SharedPages
  readonly #data: SharedPages
  readonly #in: Direction
  readonly #out: Direction

  constructor(
    indexPage: Uint8Array<SharedArrayBuffer>,
    dataPages: readonly Uint8Array<SharedArrayBuffer>[],
    end: RingEnd = 'backend',
  ) {
    this.#index = new SharedPages([indexPage])
    this.#data = new SharedPages(dataPages)
    this.size = this.#data.size / 2
    const toFrontend = { cons: IN_CONS, prod: IN_PROD, error: IN_ERROR, base: 0 }
    const toBackend = { cons: OUT_CONS, prod: OUT_PROD, error: OUT_ERROR, base: this.size }
    this.#in = end === 'backend' ? toBackend : toFrontend
    this.#out = end === 'backend' ? toFrontend : toBackend
  }

  #filled({ cons, prod }: Direction): number {
    const filled = (this.#index.load(prod) - this.#index.load(cons)) >>> 0
    // GUEST: both indices are the other end's to scribble on; a distance over the size is the only lie possible.
    return filled > this.size ? BROKEN : filled
  }

  /** Bytes that can be read, or BROKEN. */
  readable(): number {
    return this.#filled(this.#in)
  }

  /** Bytes that can be written, or BROKEN. */
  writable(): number {
    const filled = this.#filled(this.#out)
    return filled === BROKEN ? BROKEN : this.size - filled
  }

  /** Copies up to `into.length` bytes without consuming them: how many, or BROKEN. */
  peek(into: Uint8Array): number {
    const count = Math.min(this.readable(), into.length)
    if (count <= 0) return count
    const at = (this.#index.load(this.#in.cons) >>> 0) % this.size
    const first = Math.min(count, this.size - at)
    this.#data.read(this.#in.base + at, into.subarray(0, first))
    this.#data.read(this.#in.base, into.subarray(first, count))
    return count
  }

  /** Consumes bytes that were peeked at. */
  skip(count: number): void {
    // ORDER: after the copy: the writer may use their place again.
    this.#index.store(this.#in.cons, (this.#index.load(this.#in.cons) + count) | 0)
  }

  /** Reads into private memory: how many bytes, or BROKEN. */
  read(into: Uint8Array): number {
    const count = this.peek(into)
    if (count > 0) this.skip(count)
    return count
  }

  /** Writes what fits: how many bytes, or BROKEN. */
  write(bytes: Uint8Array): number {
    const count = Math.min(this.writable(), bytes.length)
    if (count <= 0) return count
    const prod = this.#index.load(this.#out.prod)
    const at = (prod >>> 0) % this.size
    const first = Math.min(count, this.size - at)
    this.#data.write(this.#out.base + at, bytes.subarray(0, first))
    this.#data.write(this.#out.base, bytes.subarray(first, count))
    // ORDER: the bytes are in place before the index says so.
    this.#index.store(this.#out.prod, (prod + count) | 0)
    return count
  }

  /** pvcalls: the error each direction ended with (negative errno), 0 for none. */
  get inError(): number {
    return this.#index.load(IN_ERROR)
  }
  set inError(errno: number) {
    this.#index.store(IN_ERROR, errno)
  }
  get outError(): number {
    return this.#index.load(OUT_ERROR)
  }
  set outError(errno: number) {
    this.#index.store(OUT_ERROR, errno)
  }
}

/**
 * Request/response rings (io/ring.h): the two ends, with ring.h's names for the indices.
 *
 * Indices run freely modulo 2^32 and touch shared memory only here. Entries are copied out before anybody judges
 * them. BackRing is a backend's end; FrontRing is the same ring turned round, for tests and for frontends of ours.
 */
import { SharedPages } from './shared-pages.ts'

/** Offsets in the shared page (struct sring). */
const REQ_PROD = 0
const REQ_EVENT = 4
const RSP_PROD = 8
const RSP_EVENT = 12
const ENTRIES = 64

export interface RingShape {
  /** Size of union sring_entry: the larger of request and response. */
  readonly entryBytes: number
}

/** How many entries fit: a power of two (__RING_SIZE). */
export function ringSize(pages: number, entryBytes: number): number {
  return 2 ** Math.floor(Math.log2((pages * 4096 - ENTRIES) / entryBytes))
}

/** What the two ends have in common. */
class Sring {
  readonly size: number
  readonly shared: SharedPages
  readonly #entryBytes: number

  constructor(pages: readonly Uint8Array<SharedArrayBuffer>[], { entryBytes }: RingShape) {
    this.shared = new SharedPages(pages)
    this.size = ringSize(pages.length, entryBytes)
    this.#entryBytes = entryBytes
  }

  at(index: number): number {
    return ENTRIES + ((index >>> 0) % this.size) * this.#entryBytes
  }
  copyEntry(index: number): DataView {
    const bytes = new Uint8Array(this.#entryBytes)
    this.shared.read(this.at(index), bytes)
    return new DataView(bytes.buffer)
  }
  /** Publishes a producer index; true if the other end asked to be told. */
  push(prodOffset: number, eventOffset: number, prod: number): boolean {
    const before = this.shared.load(prodOffset)
    // ORDER: entries are in place before the index says so; the event index is read after it was published.
    this.shared.store(prodOffset, prod)
    return (prod - this.shared.load(eventOffset)) >>> 0 < (prod - before) >>> 0
  }
}

/** A backend's end. */
export class BackRing {
  readonly #ring: Sring
  #reqCons: number
  #rspProd: number

  /** Goes on where the frontend stands: 0 for a fresh ring (BACK_RING_ATTACH with the indices given). */
  constructor(pages: readonly Uint8Array<SharedArrayBuffer>[], shape: RingShape, startAt = 0) {
    this.#ring = new Sring(pages, shape)
    this.#reqCons = startAt
    this.#rspProd = startAt
  }

  /** Entries of the ring. */
  get size(): number {
    return this.#ring.size
  }

  /** True if the frontend claims more requests than the ring holds: disconnect it, touch nothing. */
  isBroken(): boolean {
    return (this.#ring.shared.load(REQ_PROD) - this.#rspProd) >>> 0 > this.#ring.size
  }

  /** Requests that can be taken now. GUEST: never more than the ring holds beside unanswered ones; 0 when broken. */
  unconsumed(): number {
    const waiting = (this.#ring.shared.load(REQ_PROD) - this.#reqCons) >>> 0
    const room = this.#ring.size - ((this.#reqCons - this.#rspProd) >>> 0)
    return this.isBroken() ? 0 : Math.min(waiting, room)
  }

  /** A private copy of the next request, undefined if there is none. */
  takeRequest(): DataView<ArrayBuffer> | undefined {
    if (this.unconsumed() === 0) return undefined
    const request = this.#ring.copyEntry(this.#reqCons)
    this.#reqCons = (this.#reqCons + 1) | 0
    return request as DataView<ArrayBuffer>
  }

  /** Puts a response behind those not yet pushed. There is always room: one for each request taken. */
  putResponse(response: Uint8Array): void {
    this.#ring.shared.write(this.#ring.at(this.#rspProd), response)
    this.#rspProd = (this.#rspProd + 1) | 0
  }

  /** Shows the responses to the frontend. True: notify it (RING_PUSH_RESPONSES_AND_CHECK_NOTIFY). */
  pushResponses(): boolean {
    return this.#ring.push(RSP_PROD, RSP_EVENT, this.#rspProd)
  }

  /** To be asked before going to sleep: true if more requests have come (RING_FINAL_CHECK_FOR_REQUESTS). */
  finalCheck(): boolean {
    if (this.unconsumed() > 0) return true
    // ORDER: ask for an event first, then look again; the frontend publishes first and then looks at what we asked.
    this.#ring.shared.store(REQ_EVENT, (this.#reqCons + 1) | 0)
    return this.unconsumed() > 0
  }
}

/** A frontend's end. */
export class FrontRing {
  readonly #ring: Sring
  #reqProd = 0
  #rspCons = 0

  /** Initialises the shared page (SHARED_RING_INIT); another start than 0 is for tests of the wrap. */
  constructor(pages: readonly Uint8Array<SharedArrayBuffer>[], shape: RingShape, startAt = 0) {
    this.#ring = new Sring(pages, shape)
    this.#reqProd = startAt
    this.#rspCons = startAt
    const { shared } = this.#ring
    for (const offset of [REQ_PROD, RSP_PROD]) shared.store(offset, startAt)
    for (const offset of [REQ_EVENT, RSP_EVENT]) shared.store(offset, (startAt + 1) | 0)
  }

  get size(): number {
    return this.#ring.size
  }

  /** Requests that still fit. */
  free(): number {
    return this.#ring.size - ((this.#reqProd - this.#rspCons) >>> 0)
  }

  /** False if the ring is full. */
  putRequest(request: Uint8Array): boolean {
    if (this.free() === 0) return false
    this.#ring.shared.write(this.#ring.at(this.#reqProd), request)
    this.#reqProd = (this.#reqProd + 1) | 0
    return true
  }

  /** True: notify the backend. */
  pushRequests(): boolean {
    return this.#ring.push(REQ_PROD, REQ_EVENT, this.#reqProd)
  }

  takeResponse(): DataView | undefined {
    if (this.#ring.shared.load(RSP_PROD) === this.#rspCons) return undefined
    const response = this.#ring.copyEntry(this.#rspCons)
    this.#rspCons = (this.#rspCons + 1) | 0
    return response
  }

  /** True if more responses have come. */
  finalCheck(): boolean {
    if (this.#ring.shared.load(RSP_PROD) !== this.#rspCons) return true
    this.#ring.shared.store(RSP_EVENT, (this.#rspCons + 1) | 0)
    return this.#ring.shared.load(RSP_PROD) !== this.#rspCons
  }
}

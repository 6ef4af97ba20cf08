/**
 * One connection to the store: a tool of dom0 on the socket, or a guest on its ring. Holds its watches, its open
 * transactions and what waits to be sent; what requests mean is elsewhere (requests.ts).
 */
import type { Who } from './perms.ts'
import { exceeds, type Limits } from './quota.ts'
import type { Transaction } from './tx.ts'
import { Watches } from './watch.ts'
import { encodePacket, stringsPayload, XS } from './wire.ts'

interface Message {
  readonly bytes: Uint8Array
  /** Set for events: equal ones that wait are told once. */
  readonly event?: string
}

/** Bytes that may wait for a tool of dom0 that does not read. */
const PRIVILEGED_BACKLOG = 64 << 20

export class Connection {
  readonly domid: number
  readonly watches = new Watches()
  readonly transactions = new Map<number, Transaction>()
  /** Called when there is something to take that was not there before. */
  onOutput: () => void = () => {}
  /** Called once when the store ends the connection. */
  onClose: (why: string) => void = () => {}
  #target: number | undefined
  readonly #limits: () => Readonly<Limits>
  #queue: Message[] = []
  #waiting = new Set<string>()
  #eventBytes = 0
  #replies = 0
  #nextTx = 1
  #closed = false

  /** `limits` is asked each time: they may be changed while the connection lives. */
  constructor(domid: number, limits: () => Readonly<Limits>) {
    this.domid = domid
    this.#limits = limits
  }

  get who(): Who {
    return { domid: this.domid, target: this.#target }
  }

  get limits(): Readonly<Limits> {
    return this.#limits()
  }

  get closed(): boolean {
    return this.#closed
  }

  setTarget(domid: number | undefined): void {
    this.#target = domid
  }

  /** False while so many replies wait that no more requests should be read from this connection. */
  get wantsRequests(): boolean {
    const limit = this.limits.outstanding
    return !this.#closed && this.#replies < (limit > 0 ? limit : 1000)
  }

  /** The next message to send, or undefined. */
  take(): Uint8Array | undefined {
    const message = this.#queue.shift()
    if (message === undefined) return undefined
    if (message.event === undefined) this.#replies--
    else {
      this.#waiting.delete(message.event)
      this.#eventBytes -= message.bytes.length
    }
    return message.bytes
  }

  reply(type: number, reqId: number, txId: number, payload: Uint8Array): void {
    this.#replies++
    this.#send({ bytes: encodePacket({ type, reqId, txId, payload }) })
  }

  /** Tells a watch. An event that cannot be kept because nobody reads is dropped, as Xen does. */
  event(path: string, token: string): void {
    const key = `${path}\0${token}`
    if (this.#closed || this.#waiting.has(key)) return
    const bytes = encodePacket({
      type: XS.WATCH_EVENT,
      reqId: 0,
      txId: 0,
      payload: stringsPayload([path, token]),
    })
    const waiting = this.#eventBytes + bytes.length
    // GUEST: what waits for a guest that does not read its ring is bounded by its memory limit.
    if (exceeds(this.limits, 'memory', waiting)) return
    if (this.domid === 0 && waiting > PRIVILEGED_BACKLOG) {
      this.close('does not read its events')
      return
    }
    this.#waiting.add(key)
    this.#eventBytes = waiting
    this.#send({ bytes, event: key })
  }

  /** Registers a transaction and gives it an id that is not in use. */
  begin(tx: Transaction): number {
    while (this.#nextTx === 0 || this.transactions.has(this.#nextTx)) this.#nextTx = (this.#nextTx + 1) >>> 0
    const id = this.#nextTx
    this.#nextTx = (id + 1) >>> 0
    this.transactions.set(id, tx)
    return id
  }

  /** Forgets watches and transactions; the connection goes on. */
  reset(): void {
    this.watches.clear()
    this.transactions.clear()
  }

  /** Ends the connection from the store's side. */
  close(why: string): void {
    if (this.#closed) return
    this.#closed = true
    this.reset()
    this.#queue = []
    this.#waiting.clear()
    this.onClose(why)
  }

  #send(message: Message): void {
    if (this.#closed) return
    this.#queue.push(message)
    this.onOutput()
  }
}

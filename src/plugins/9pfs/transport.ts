/**
 * One ring of a shared folder: takes whole messages out, hands them to the session, puts its replies in. Pure.
 *
 * A reply goes into the ring whole, when there is room for all of it. Until then no further request is taken: so a guest
 * that does not read cannot make us keep more than the replies of what waits for the disk.
 */
import type { Log } from '../../base/log.ts'
import { BROKEN } from '../../xen/ring/byte-ring.ts'
import type { FlexRing } from '../../xen/ring/flex-ring.ts'
import type { DeviceTrace } from '../../xen/xenhost.ts'
import { HEADER_BYTES, nameOf, readHeader } from './protocol.ts'
import type { Session } from './session.ts'

/** Work of one turn; others in the thread have theirs between. */
const TURN_REQUESTS = 32
const TURN_BYTES = 1 << 20
/** Requests of a ring that may wait for the disk at a time. */
const MAX_WAITING = 64

export interface TransportOptions {
  readonly ring: FlexRing
  readonly session: Session
  readonly maxMessage: number
  readonly notify: () => void
  readonly defer: (task: () => void) => void
  readonly log: Log
  readonly trace: DeviceTrace | undefined
}

export class Transport {
  readonly #options: TransportOptions
  readonly #header = new Uint8Array(HEADER_BYTES)
  readonly #request: Uint8Array
  readonly #reply: Uint8Array
  /** Replies that found no room, in order. */
  readonly #unsent: Uint8Array[] = []
  #waiting = 0
  #deferred = false
  #stopped = false
  readonly #idle: (() => void)[] = []

  constructor(options: TransportOptions) {
    this.#options = options
    this.#request = new Uint8Array(options.maxMessage)
    this.#reply = new Uint8Array(options.maxMessage)
  }

  /** Does what there is to do; called at each event. */
  service(): void {
    if (this.#stopped) return
    let requests = 0
    let bytes = 0
    this.#flush()
    while (!this.#stopped && this.#unsent.length === 0 && this.#waiting < MAX_WAITING) {
      if (requests === TURN_REQUESTS || bytes >= TURN_BYTES) {
        this.#later()
        break
      }
      const request = this.#take()
      if (request === undefined) break
      requests++
      bytes += request.length
      bytes += this.#serve(request)
    }
    if (requests > 0) this.#options.notify()
  }

  /** Bytes of the reply, 0 if it comes later. */
  #serve(request: Uint8Array): number {
    let length = 0
    let isLater = false
    this.#options.trace?.request(() => describe(request))
    this.#waiting++
    this.#options.session.serve(request, this.#reply, (reply) => {
      this.#waiting--
      length = reply.length
      this.#send(reply)
      if (isLater) this.#later()
      this.#tellIdle()
    })
    isLater = true
    return length
  }

  #later(): void {
    if (this.#deferred) return
    this.#deferred = true
    this.#options.defer(() => {
      this.#deferred = false
      this.service()
      this.#tellIdle()
    })
  }

  /** Settles when nothing is left to do until the guest moves again. */
  settled(): Promise<void> {
    // ORDER: an event may be on its way to us.
    this.service()
    return new Promise((settle) => {
      this.#idle.push(settle)
      this.#tellIdle()
    })
  }
  #tellIdle(): void {
    if (!this.#stopped && (this.#deferred || this.#waiting > 0)) return
    for (const settle of this.#idle.splice(0)) settle()
  }

  /** The next whole request, in private memory until the next call. */
  #take(): Uint8Array | undefined {
    const { ring, session } = this.#options
    const count = ring.peek(this.#header)
    if (count === BROKEN) return this.#broken('impossible indices')
    if (count < HEADER_BYTES) return undefined
    const { size } = readHeader(this.#header)
    // GUEST: a message is no longer than was agreed, so it fits into the ring and into our buffer.
    if (size < HEADER_BYTES || size > session.maxMessage) return this.#broken(`a message of ${size} bytes`)
    const readable = ring.readable()
    if (readable === BROKEN) return this.#broken('impossible indices')
    if (readable < size) return undefined
    const request = this.#request.subarray(0, size)
    if (ring.read(request) !== size) return this.#broken('indices that run backwards')
    // GUEST: the size may have been changed since it was looked at.
    request.set(this.#header)
    return request
  }

  #send(reply: Uint8Array): void {
    if (this.#stopped) return
    this.#unsent.push(reply)
    this.#flush()
    // What is left is in a buffer that the next reply will use.
    const last = this.#unsent.length - 1
    if (last >= 0) this.#unsent[last] = reply.slice()
  }

  #flush(): void {
    const { ring, notify } = this.#options
    let sent = 0
    for (let reply = this.#unsent[0]; reply !== undefined; reply = this.#unsent[0]) {
      const room = ring.writable()
      if (room === BROKEN) {
        this.#broken('impossible indices')
        return
      }
      if (room < reply.length) break
      ring.write(reply)
      this.#unsent.shift()
      sent++
    }
    if (sent > 0) notify()
  }

  /** The device rests until the guest connects anew. */
  #broken(what: string): undefined {
    this.#options.log.warn(`the guest wrote ${what} into a ring: the share is not served any more`)
    this.stop()
  }

  stop(): void {
    this.#stopped = true
    this.#unsent.length = 0
    this.#tellIdle()
  }
}

/** In one line, for `xt trace`. */
function describe(request: Uint8Array): string {
  const { tag, size, type } = readHeader(request)
  return `${nameOf({ tag, size, type }) ?? `message ${type}`}, tag ${tag}, ${size} bytes`
}

/**
 * The ring service. Everything it needs of Xen is in `xenhost`; it knows nothing of files, processes or xt, so that it
 * can be tested against a Xen in memory (test/contract.test.ts).
 */
import {
  type Backend,
  type Channel,
  type Log,
  type Mapping,
  type Otherend,
  type XenHost,
  XtError,
} from 'xt/plugin'
import { BackRing, gref, port } from 'xt/xen'
import { EINVAL, hello_request, hello_response, PAGE_BYTES, RING } from './protocol.ts'

interface Connection {
  readonly ring: BackRing
  readonly mapping: Mapping
  readonly channel: Channel
}

export class HelloBackend implements Backend {
  readonly #xenhost: XenHost
  readonly #otherend: Otherend
  readonly #greeting: Uint8Array
  readonly #log: Log
  #connection: Connection | undefined

  constructor(xenhost: XenHost, otherend: Otherend, greeting: string, log: Log) {
    this.#xenhost = xenhost
    this.#otherend = otherend
    this.#greeting = new TextEncoder().encode(greeting)
    this.#log = log
  }

  /** Published before the guest is told of the device. */
  nodes(): Record<string, string> {
    return { 'max-length': String(PAGE_BYTES) }
  }

  /** The frontend says that its ring is there. What is thrown here closes the device; the guest goes on. */
  async connect(): Promise<void> {
    const { domid } = this.#otherend
    const ringRef = await this.#number('ring-ref')
    const remotePort = await this.#number('event-channel')
    const mapping = this.#xenhost.gnttab.map(domid, [gref(ringRef)], 'rw')
    try {
      const ring = new BackRing(mapping.pages, RING)
      const channel = this.#xenhost.evtchn.bindInterdomain(domid, port(remotePort), () => this.#service())
      this.#connection = { ring, mapping, channel }
    } catch (error) {
      mapping[Symbol.dispose]()
      throw error
    }
    // The guest may have asked before the port was bound.
    this.#service()
  }

  /** GUEST: it writes what it likes; map and bind judge the number. */
  async #number(node: string): Promise<number> {
    const path = `${this.#otherend.frontendPath}/${node}`
    const text = await this.#xenhost.xenstore.read(path)
    if (!/^[0-9]{1,10}$/.test(text)) throw new XtError('HELLO_NODE', `${path} is no number: "${text}"`)
    return Number(text)
  }

  #service(): void {
    const connection = this.#connection
    if (connection === undefined) return
    const { ring, channel } = connection
    if (ring.isBroken()) {
      this.#log.warn('the guest claims more requests than its ring holds')
      return
    }
    do {
      for (let entry = ring.takeRequest(); entry !== undefined; entry = ring.takeRequest()) {
        // The entry is a private copy: the guest can no longer change what is judged here.
        const request = hello_request.x64.copy(entry)
        ring.putResponse(hello_response.x64.bytes({ id: request.id, status: this.#greet(request) }))
      }
    } while (ring.finalCheck())
    if (ring.pushResponses()) channel.notify()
  }

  #greet({ id, gref: page, room }: { id: number; gref: number; room: number }): number {
    this.#xenhost.trace?.request(() => `hello ${id} to grant ${page}`)
    if (room > PAGE_BYTES) return -EINVAL
    const [status] = this.#xenhost.gnttab.copy([
      {
        otherend: this.#otherend.domid,
        ref: gref(page),
        offset: 0,
        length: Math.min(room, this.#greeting.length),
        direction: 'to-guest',
        local: this.#greeting,
        localOffset: 0,
      },
    ])
    // A page that is not granted is the guest's mistake: it gets an answer, not an exception.
    return status === 0 ? Math.min(room, this.#greeting.length) : -EINVAL
  }

  /** The frontend closes, starts over or is gone. Called before `connect` is called again. */
  async disconnect(): Promise<void> {
    this.#connection?.channel[Symbol.dispose]()
    this.#connection?.mapping[Symbol.dispose]()
    this.#connection = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
  }
}

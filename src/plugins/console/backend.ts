/**
 * The console's ring service (io/console.h): guest output to a sink, typed bytes to the guest. Pure over
 * XenHost: it neither knows who reads nor where bytes are typed (port.ts).
 *
 * The primary console has no xenbus device: its page is granted by reference 0 and its port stands in
 * console/port (xenconsoled's way). A secondary console names both below its frontend path.
 * Left out: the connection byte (0xc10) of newer protocol versions, which Linux does not use.
 */
import { type Gref, port } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import type { Backend, Otherend } from '../../engine/plugin.ts'
import { BROKEN, BytePipe, CONSOLE_RING } from '../../xen/ring/byte-ring.ts'
import type { Channel, Mapping, XenHost } from '../../xen/xenhost.ts'
import { consoleErrors } from './errors.ts'

/** Who gets what the guest prints. */
export interface ConsoleSink {
  /** Bytes in the order printed; the view is reused after the call. */
  output(bytes: Uint8Array): void
  /** The guest has read some of what was typed: `input` may take more. */
  inputRoom(): void
}

/** Rounds over the ring per event, so that a guest that prints without pause leaves the thread to others in between. */
const ROUNDS = 8

export class ConsoleBackend implements Backend {
  readonly #xenhost: XenHost
  readonly #otherend: Otherend
  readonly #page: Gref | 'ring-ref'
  readonly #sink: ConsoleSink
  readonly #log: Log
  readonly #scratch = new Uint8Array(CONSOLE_RING.toBackend.size)
  #connection: { readonly pipe: BytePipe; readonly mapping: Mapping; readonly channel: Channel } | undefined

  /** `page`: the reserved grant reference of the primary console, or where to read the reference from. */
  constructor(xenhost: XenHost, otherend: Otherend, page: Gref | 'ring-ref', sink: ConsoleSink, log: Log) {
    this.#xenhost = xenhost
    this.#otherend = otherend
    this.#page = page
    this.#sink = sink
    this.#log = log
  }

  async connect(): Promise<void> {
    const { domid, frontendPath } = this.#otherend
    const remotePort = await this.#number('port')
    const ref = this.#page === 'ring-ref' ? ((await this.#number('ring-ref')) as Gref) : this.#page
    const mapping = this.#xenhost.gnttab.map(domid, [ref], 'rw')
    const page = mapping.pages[0]
    if (page === undefined) throw consoleErrors.XT_CONSOLE_NODE(`${frontendPath}/ring-ref`, String(ref))
    const shared = { u8: new Uint8Array(page.buffer), i32: new Int32Array(page.buffer) }
    const pipe = new BytePipe(shared, page.byteOffset, CONSOLE_RING)
    try {
      const channel = this.#xenhost.evtchn.bindInterdomain(domid, port(remotePort), () => this.#service())
      this.#connection = { pipe, mapping, channel }
    } catch (error) {
      mapping[Symbol.dispose]()
      throw error
    }
    // ORDER: the guest may have printed before the port was bound; its event went nowhere.
    this.#service()
  }

  async #number(node: string): Promise<number> {
    const path = `${this.#otherend.frontendPath}/${node}`
    const text = await this.#xenhost.xenstore.read(path)
    // GUEST: a secondary console's frontend writes these nodes; map and bind judge the number.
    if (!/^[0-9]{1,10}$/.test(text)) throw consoleErrors.XT_CONSOLE_NODE(path, text)
    return Number(text)
  }

  /** Gives typed bytes to the guest; answers how many it took. The rest is the caller's until `inputRoom`. */
  input(bytes: Uint8Array): number {
    const connection = this.#connection
    if (connection === undefined) return 0
    const taken = connection.pipe.write(bytes)
    if (taken === BROKEN) return this.#broken()
    if (taken > 0) {
      this.#xenhost.trace?.request(() => `${taken} bytes typed`)
      connection.channel.notify()
    }
    return taken
  }

  #service(): void {
    const connection = this.#connection
    if (connection === undefined) return
    let moved = 0
    for (let round = 0; round < ROUNDS; round++) {
      const count = connection.pipe.read(this.#scratch)
      if (count === BROKEN) {
        this.#broken()
        return
      }
      if (count === 0) break
      moved += count
      this.#xenhost.trace?.request(() => `${count} bytes printed`)
      this.#sink.output(this.#scratch.subarray(0, count))
    }
    if (moved > 0) connection.channel.notify()
    if (connection.pipe.writable() > 0) this.#sink.inputRoom()
  }

  /** GUEST: indices further apart than the ring is long: the console is dropped until the guest starts anew. */
  #broken(): 0 {
    this.#log.warn('the guest wrote impossible indices into its console ring: console disconnected')
    this.#release()
    return 0
  }

  #release(): void {
    const connection = this.#connection
    this.#connection = undefined
    connection?.channel[Symbol.dispose]()
    connection?.mapping[Symbol.dispose]()
  }

  /** Takes the guest's last words out of the ring, then gives everything back. */
  async disconnect(): Promise<void> {
    this.#service()
    this.#release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
  }
}

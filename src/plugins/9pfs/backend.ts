/**
 * A shared folder on the bus: its nodes in xenstore, and the way from what the frontend published to running rings
 * (transport.ts). Pure over XenHost. Protocol: io/9pfs.h, version 1.
 */
import { type Gref, gref, port } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import type { Backend, Otherend } from '../../engine/plugin.ts'
import { FlexRing, MAX_FLEX_ORDER, readFlexRefs } from '../../xen/ring/flex-ring.ts'
import type { Channel, Mapping, XenHost } from '../../xen/xenhost.ts'
import { p9Errors } from './errors.ts'
import type { Entry } from './folder.ts'
import { Session } from './session.ts'
import { Transport } from './transport.ts'

const VERSION = '1'
/** Linux takes two. */
const MAX_RINGS = 8
/** Messages longer than this gain nothing: Linux' own limit is half of it. */
const MAX_MESSAGE = 1 << 20

export interface P9Options {
  readonly root: Entry
  readonly maxFids: number
  readonly maxOpenFiles: number
  readonly defer: (task: () => void) => void
  readonly log: Log
}

interface Ring {
  readonly mappings: readonly Mapping[]
  readonly flex: FlexRing
  readonly remotePort: number
}
interface Connection {
  readonly session: Session
  readonly rings: readonly Ring[]
  readonly channels: Channel[]
  readonly transports: Transport[]
}

export class P9Backend implements Backend {
  readonly #xenhost: XenHost
  readonly #otherend: Otherend
  readonly #options: P9Options
  #connection: Connection | undefined

  constructor(xenhost: XenHost, otherend: Otherend, options: P9Options) {
    this.#xenhost = xenhost
    this.#otherend = otherend
    this.#options = options
  }

  nodes(): Record<string, string> {
    return {
      versions: VERSION,
      'max-rings': String(MAX_RINGS),
      'max-ring-page-order': String(MAX_FLEX_ORDER),
      'hotplug-status': 'connected',
    }
  }

  async connect(): Promise<void> {
    const version = await this.#read('version')
    if (version !== VERSION) throw this.#unusable('version', version)
    const count = await this.#number('num-rings')
    if (count < 1 || count > MAX_RINGS) throw this.#unusable('num-rings', String(count))
    const rings: Ring[] = []
    try {
      for (let n = 0; n < count; n++) rings.push(await this.#ring(n))
      this.#start(rings)
    } catch (error) {
      this.#release()
      for (const { mappings } of rings) give(mappings)
      throw error
    }
  }

  #start(rings: readonly Ring[]): void {
    const { root, maxFids, maxOpenFiles, defer, log } = this.#options
    const maxMessage = Math.min(MAX_MESSAGE, ...rings.map(({ flex }) => flex.size))
    const session = new Session({ root, maxMessage, maxFids, maxOpenFiles, log })
    const connection: Connection = { session, rings, channels: [], transports: [] }
    this.#connection = connection
    for (const { flex, remotePort } of rings) {
      const transport: Transport = new Transport({
        ring: flex,
        session,
        maxMessage,
        notify: () => channel.notify(),
        defer,
        log,
        trace: this.#xenhost.trace,
      })
      const channel: Channel = this.#xenhost.evtchn.bindInterdomain(
        this.#otherend.domid,
        port(remotePort),
        () => transport.service(),
      )
      connection.channels.push(channel)
      connection.transports.push(transport)
    }
    // ORDER: the guest may have sent requests before the ports were bound; their events went nowhere.
    for (const transport of connection.transports) transport.service()
  }

  async #ring(n: number): Promise<Ring> {
    const { domid } = this.#otherend
    const { gnttab } = this.#xenhost
    const index = gref(await this.#number(`ring-ref${n}`))
    const remotePort = await this.#number(`event-channel-${n}`)
    const mappings = [gnttab.map(domid, [index], 'rw')]
    try {
      const indexPage = mappings[0]!.pages[0]!
      const refs = readFlexRefs(indexPage)
      if (refs === undefined || refs.order < 1)
        throw this.#unusable(`ring-ref${n}`, 'an impossible ring order')
      const data = gnttab.map(domid, refs.refs as readonly Gref[], 'rw')
      mappings.push(data)
      return { mappings, flex: new FlexRing(indexPage, data.pages), remotePort }
    } catch (error) {
      give(mappings)
      throw error
    }
  }

  async #number(node: string): Promise<number> {
    const text = await this.#read(node)
    // GUEST: map and bind judge the number.
    if (!/^[0-9]{1,10}$/.test(text)) throw this.#unusable(node, text)
    return Number(text)
  }
  #read(node: string): Promise<string> {
    return this.#xenhost.xenstore.read(`${this.#otherend.frontendPath}/${node}`)
  }
  #unusable(node: string, value: string): Error {
    return p9Errors.XT_9PFS_NODE(`${this.#otherend.frontendPath}/${node}`, value)
  }

  /** Settles when everything that was asked has been answered, or waits for the guest. */
  async settled(): Promise<void> {
    await Promise.all((this.#connection?.transports ?? []).map((transport) => transport.settled()))
  }

  #release(): Connection | undefined {
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined) return undefined
    for (const transport of connection.transports) transport.stop()
    for (const channel of connection.channels) channel[Symbol.dispose]()
    connection.session.close()
    return connection
  }

  async disconnect(): Promise<void> {
    const connection = this.#release()
    for (const { mappings } of connection?.rings ?? []) give(mappings)
    await connection?.session.settled()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
  }
}

function give(mappings: readonly Mapping[]): void {
  for (const mapping of mappings) mapping[Symbol.dispose]()
}

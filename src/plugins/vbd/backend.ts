/**
 * A disk on the bus: its nodes in xenstore, and the way from what the frontend published to a running ring service
 * (queue.ts). Pure over XenHost. Nodes and their moment are those of Linux' backend: the ring's limits from the start,
 * sizes and features when the frontend has its ring.
 */
import { type Gref, gref, port } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import type { Backend, Otherend } from '../../engine/plugin.ts'
import { blkif_request, blkif_response, VDISK } from '../../xen/abi/io/blkif.ts'
import type { Abi } from '../../xen/abi/struct.ts'
import { BackRing } from '../../xen/ring/ring.ts'
import type { Channel, Mapping, XenHost } from '../../xen/xenhost.ts'
import type { VbdDevice } from './device.ts'
import { vbdErrors } from './errors.ts'
import { VbdQueue } from './queue.ts'
import { MAX_INDIRECT_SEGMENTS } from './request.ts'
import type { BlockStore } from './store.ts'

/** Rings of up to 16 pages. */
const MAX_RING_ORDER = 4
/** Offset of rsp_prod in the shared page: where a frontend's ring stands. */
const RSP_PROD = 8
const ABIS: Readonly<Record<string, Abi>> = { 'x86_64-abi': 64, 'x86_32-abi': 32 }

export interface VbdOptions {
  readonly disk: VbdDevice
  readonly store: BlockStore
  /** Whether frontends are asked to keep their pages granted. */
  readonly persistentGrants: boolean
  readonly defer: (task: () => void) => void
  readonly log: Log
}

interface Connection {
  readonly queue: VbdQueue
  readonly channel: Channel
  readonly mapping: Mapping
}

export class VbdBackend implements Backend {
  readonly #xenhost: XenHost
  readonly #otherend: Otherend
  readonly #options: VbdOptions
  #connection: Connection | undefined

  constructor(xenhost: XenHost, otherend: Otherend, options: VbdOptions) {
    this.#xenhost = xenhost
    this.#otherend = otherend
    this.#options = options
  }

  nodes(): Record<string, string> {
    const { store, disk } = this.#options
    return {
      'feature-max-indirect-segments': String(MAX_INDIRECT_SEGMENTS),
      'max-ring-page-order': String(MAX_RING_ORDER),
      'multi-queue-max-queues': '1',
      // What Xen's block script leaves; a file has no device.
      'hotplug-status': 'connected',
      ...(store.device === undefined
        ? {}
        : { 'physical-device': store.device, 'physical-device-path': disk.target }),
    }
  }

  async connect(): Promise<void> {
    const { domid } = this.#otherend
    const { store, disk, defer, log } = this.#options
    const { gnttab, evtchn } = this.#xenhost
    const abi = await this.#abi()
    const queues = (await this.#number('multi-queue-num-queues')) ?? 1
    if (queues !== 1) throw this.#unusable('multi-queue-num-queues', String(queues))
    const refs = await this.#ringRefs()
    const remotePort = await this.#needed('event-channel')
    await this.#publish()

    const mapping = gnttab.map(domid, refs, 'rw')
    try {
      const [first] = mapping.pages
      const startAt = new DataView(first!.buffer, first!.byteOffset).getInt32(RSP_PROD, true)
      const entryBytes = Math.max(blkif_request.for(abi).size, blkif_response.for(abi).size)
      const queue: VbdQueue = new VbdQueue({
        ring: new BackRing(mapping.pages, { entryBytes }, startAt),
        abi,
        gnttab,
        otherend: domid,
        store,
        limits: {
          sectors: store.sectors,
          readOnly: !disk.readwrite,
          canDiscard: store.discard !== undefined,
        },
        notify: () => channel.notify(),
        defer,
        log,
      })
      const channel: Channel = evtchn.bindInterdomain(domid, port(remotePort), () => queue.service())
      this.#connection = { queue, channel, mapping }
      // ORDER: the guest may have sent requests before the port was bound; its event went nowhere.
      queue.service()
    } catch (error) {
      mapping[Symbol.dispose]()
      throw error
    }
  }

  /** The nodes that a frontend reads once we are connected. */
  async #publish(): Promise<void> {
    const { store, disk, persistentGrants } = this.#options
    const canFlush = disk.readwrite ? '1' : '0'
    const info = (disk.cdrom ? VDISK.CDROM : 0) | (disk.readwrite ? 0 : VDISK.READONLY)
    const { xenstore, domid } = this.#xenhost
    const backendPath = `/local/domain/${domid}/backend/vbd/${this.#otherend.domid}/${disk.vdevNumber}`
    const nodes = {
      'feature-flush-cache': canFlush,
      'feature-barrier': canFlush,
      ...(store.discard === undefined
        ? {}
        : {
            'discard-granularity': String(store.discard.granularity),
            'discard-alignment': '0',
            'discard-secure': '0',
            'feature-discard': '1',
          }),
      'feature-persistent': persistentGrants ? '1' : '0',
      sectors: String(store.sectors),
      info: String(info),
      'sector-size': String(store.sectorSize),
      'physical-sector-size': String(store.physicalSectorSize),
    }
    await xenstore.transaction(async (tx) => {
      for (const [name, value] of Object.entries(nodes))
        await xenstore.write(`${backendPath}/${name}`, value, tx)
    })
  }

  async #abi(): Promise<Abi> {
    const protocol = (await this.#text('protocol')) ?? 'x86_64-abi'
    const abi = ABIS[protocol]
    if (abi === undefined) throw this.#unusable('protocol', protocol)
    return abi
  }

  /** One page is `ring-ref`; several, or one by a frontend that could have more, are `ring-ref0` and so on. */
  async #ringRefs(): Promise<Gref[]> {
    const order = await this.#number('ring-page-order')
    if (order === undefined) return [gref(await this.#needed('ring-ref'))]
    if (order > MAX_RING_ORDER) throw this.#unusable('ring-page-order', String(order))
    const refs: Gref[] = []
    for (let n = 0; n < 1 << order; n++) refs.push(gref(await this.#needed(`ring-ref${n}`)))
    return refs
  }

  async #needed(node: string): Promise<number> {
    const number = await this.#number(node)
    if (number === undefined) throw this.#unusable(node, '')
    return number
  }

  /** GUEST: map and bind judge the number; here it only must be one of 32 bits. */
  async #number(node: string): Promise<number | undefined> {
    const text = await this.#text(node)
    if (text === undefined) return undefined
    const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (!(number <= 0xffffffff)) throw this.#unusable(node, text)
    return number
  }

  async #text(node: string): Promise<string | undefined> {
    try {
      return await this.#xenhost.xenstore.read(`${this.#otherend.frontendPath}/${node}`)
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return undefined
      throw error
    }
  }

  #unusable(node: string, value: string) {
    return vbdErrors.XT_VBD_NODE(`${this.#otherend.frontendPath}/${node}`, value.slice(0, 80))
  }

  /** Settles when no request is half done. */
  async settled(): Promise<void> {
    await this.#connection?.queue.settled()
  }

  async disconnect(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined) return
    this.#connection = undefined
    connection.channel[Symbol.dispose]()
    await connection.queue.close()
    connection.mapping[Symbol.dispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
  }
}

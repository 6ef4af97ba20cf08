/**
 * The rings of one disk: maps them, binds their events, and serves each as a queue (queue.ts). Knows no xenstore: what
 * a frontend published comes as RingSetup, so that this can run on another thread than the talk in xenstore.
 */
import { type Domid, type Gref, gref, port } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import { blkif_request, blkif_response } from '../../xen/abi/io/blkif.ts'
import type { Abi } from '../../xen/abi/struct.ts'
import { BackRing } from '../../xen/ring/ring.ts'
import type { Channel, Mapping, XenHost } from '../../xen/xenhost.ts'
import type { BlockStore } from './medium.ts'
import { VbdQueue } from './queue.ts'

/** What a frontend published, read and checked. Plain data: it crosses threads. */
export interface RingSetup {
  readonly otherend: Domid
  readonly abi: Abi
  readonly readOnly: boolean
  readonly queues: readonly { readonly refs: readonly number[]; readonly port: number }[]
}

/** A disk's rings, on whichever thread. */
export interface RingService {
  /** Rejects with GrantError or EvtchnError, on another thread with their message; nothing is held then. */
  connect(setup: RingSetup): Promise<void>
  /** Settles when nothing is held any more. */
  disconnect(): Promise<void>
  /** Settles when no request is half done. */
  settled(): Promise<void>
}

export interface RingsOptions {
  readonly store: BlockStore
  /** Runs a task after other events of this thread had their turn. */
  readonly defer: (task: () => void) => void
  readonly log: Log
}

interface Connected {
  readonly queue: VbdQueue
  readonly channel: Channel
  readonly mapping: Mapping
}

/** Offset of rsp_prod in the shared page: where a frontend's ring stands. */
const RSP_PROD = 8

export class DiskRings implements RingService {
  readonly #xenhost: Pick<XenHost, 'evtchn' | 'gnttab' | 'trace'>
  readonly #options: RingsOptions
  /** What the queues read from and write to; replaced when the disc is. */
  readonly #medium: { store: BlockStore }
  #connected: Connected[] = []

  constructor(xenhost: Pick<XenHost, 'evtchn' | 'gnttab' | 'trace'>, options: RingsOptions) {
    this.#xenhost = xenhost
    this.#options = options
    this.#medium = { store: options.store }
  }

  async connect(setup: RingSetup): Promise<void> {
    try {
      for (const queue of setup.queues) this.#connected.push(this.#connectQueue(setup, queue))
    } catch (error) {
      await this.disconnect()
      throw error
    }
    // ORDER: the guest may have sent requests before the port was bound; its event went nowhere.
    for (const { queue } of this.#connected) queue.service()
  }

  #connectQueue(setup: RingSetup, { refs, port: remotePort }: RingSetup['queues'][number]): Connected {
    const { otherend, abi, readOnly } = setup
    const { gnttab, evtchn, trace } = this.#xenhost
    const { defer, log } = this.#options
    const mapping = gnttab.map(otherend, refs.map(gref) as Gref[], 'rw')
    try {
      const [first] = mapping.pages
      const startAt = new DataView(first!.buffer, first!.byteOffset).getInt32(RSP_PROD, true)
      const entryBytes = Math.max(blkif_request.for(abi).size, blkif_response.for(abi).size)
      const queue: VbdQueue = new VbdQueue({
        ring: new BackRing(mapping.pages, { entryBytes }, startAt),
        abi,
        gnttab,
        otherend,
        readOnly,
        medium: this.#medium,
        notify: () => channel.notify(),
        awaitIdle: (ms) => channel.awaitIdle?.(ms),
        defer,
        log,
        trace,
      })
      const channel: Channel = evtchn.bindInterdomain(otherend, port(remotePort), () => queue.service())
      return { queue, channel, mapping }
    } catch (error) {
      mapping[Symbol.dispose]()
      throw error
    }
  }

  /** Goes on with another medium; what is under way is done with the old one first. */
  async load(store: BlockStore): Promise<void> {
    const held = this.#connected.map(({ queue }) => queue.hold())
    await Promise.all(held)
    this.#medium.store = store
    for (const { queue } of this.#connected) queue.release()
  }

  async settled(): Promise<void> {
    await Promise.all(this.#connected.map(({ queue }) => queue.settled()))
  }

  async disconnect(): Promise<void> {
    const connected = this.#connected.splice(0)
    for (const { channel } of connected) channel[Symbol.dispose]()
    await Promise.all(connected.map(({ queue }) => queue.close()))
    for (const { mapping } of connected) mapping[Symbol.dispose]()
  }
}

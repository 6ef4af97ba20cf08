/** One queue of an interface: its two rings, mapped, with their event channels or the one they share. */
import type { Domid, Gref, Port } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import { netif_rx_request, netif_tx_request } from '../../xen/abi/io/netif.ts'
import { BackRing } from '../../xen/ring/ring.ts'
import type { Channel, Mapping, XenHost } from '../../xen/xenhost.ts'
import { Credit } from './credit.ts'
import type { Vif } from './device.ts'
import type { HostPort } from './port.ts'
import { RxService } from './rx.ts'
import type { RxFrame } from './rx-frame.ts'
import { TxService } from './tx.ts'

/** Offset of rsp_prod in the shared page: where a frontend's ring stands. */
const RSP_PROD = 8

export interface QueueOptions {
  readonly vif: Vif
  readonly port: HostPort
  readonly otherend: Domid
  readonly txRef: Gref
  readonly rxRef: Gref
  readonly txPort: Port
  /** Undefined: both rings share the port of the transmit ring. */
  readonly rxPort: Port | undefined
  readonly scatterGather: boolean
  readonly xdpHeadroom: number
  readonly joinGroup: (address: Uint8Array, join: boolean) => boolean
  readonly broken: (why: string) => void
  /** The guest has taken frames: there may be room again. */
  readonly roomed: () => void
  readonly nowUs: () => number
  readonly after: (us: number, task: () => void) => () => void
  readonly defer: (task: () => void) => void
  readonly log: Log
}

export class VifQueue {
  readonly #mappings: Mapping[] = []
  readonly #channels: Channel[] = []
  readonly #tx: TxService
  readonly #rx: RxService

  /** Throws what map and bind throw; nothing is held then. */
  constructor(xenhost: XenHost, options: QueueOptions) {
    const { otherend, vif, nowUs, roomed } = options
    const { gnttab, trace } = xenhost
    const { rateBytesPerInterval: rate, rateIntervalUs = 0 } = vif
    try {
      const txRing = this.#map(xenhost, otherend, options.txRef, netif_tx_request.size)
      const rxRing = this.#map(xenhost, otherend, options.rxRef, netif_rx_request.size)
      this.#tx = new TxService({
        ...options,
        gnttab,
        trace,
        ring: txRing,
        notify: () => txChannel.notify(),
        credit: rate === undefined ? undefined : new Credit(rate, rateIntervalUs, nowUs()),
      })
      this.#rx = new RxService({ ...options, gnttab, trace, ring: rxRing, notify: () => rxChannel.notify() })
      const serveRx = () => {
        this.#rx.service()
        roomed()
      }
      const bind = (port: Port, onEvent: () => void) => {
        const channel = xenhost.evtchn.bindInterdomain(otherend, port, onEvent)
        this.#channels.push(channel)
        return channel
      }
      const { txPort, rxPort } = options
      const isShared = rxPort === undefined
      const txChannel: Channel = bind(txPort, () => {
        this.#tx.service()
        if (isShared) serveRx()
      })
      const rxChannel: Channel = isShared ? txChannel : bind(rxPort, serveRx)
    } catch (error) {
      this.#release()
      throw error
    }
  }

  #map(xenhost: XenHost, otherend: Domid, ref: Gref, entryBytes: number): BackRing {
    const mapping = xenhost.gnttab.map(otherend, [ref], 'rw')
    this.#mappings.push(mapping)
    const page = mapping.pages[0]!
    const startAt = new DataView(page.buffer, page.byteOffset).getInt32(RSP_PROD, true)
    return new BackRing(mapping.pages, { entryBytes }, startAt)
  }

  get hasEnough(): boolean {
    return this.#rx.hasEnough
  }

  /** Serves what the guest put into its rings before anybody listened. */
  service(): void {
    this.#tx.service()
    this.#rx.service()
  }

  deliver(frames: readonly RxFrame[]): void {
    for (const frame of frames) this.#rx.add(frame)
    this.#rx.service()
  }

  /** The host side takes more again. */
  resume(): void {
    this.#tx.resume()
  }

  /** Moves nothing until `release`. */
  hold(): void {
    this.#tx.isHeld = true
    this.#rx.isHeld = true
  }
  release(): void {
    this.#tx.isHeld = false
    this.#rx.isHeld = false
    this.service()
  }

  /** Serves nothing any more. */
  stop(): void {
    this.#tx.close()
    this.#rx.close()
  }

  close(): void {
    this.stop()
    this.#release()
  }

  #release(): void {
    for (const channel of this.#channels.splice(0)) channel[Symbol.dispose]()
    for (const mapping of this.#mappings.splice(0)) mapping[Symbol.dispose]()
  }
}

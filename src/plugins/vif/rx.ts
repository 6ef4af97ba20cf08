/**
 * The receive ring of a queue: puts frames from the host into the pages that the guest has posted. Pure over grants.
 *
 * A frame takes as many slots as it has pages; an extra slot says in which segments it came. Frames wait here until
 * the guest has posted enough, up to a limit.
 */
import { type Domid, gref } from '../../base/brand.ts'
import { GNTST } from '../../xen/abi/grant_table.ts'
import {
  NETIF_RSP,
  NETRXF,
  netif_extra_info,
  netif_rx_request,
  netif_rx_response,
  XEN_NETIF_EXTRA_FLAG_MORE,
  XEN_NETIF_EXTRA_TYPE,
  XEN_NETIF_GSO_TYPE,
} from '../../xen/abi/io/netif.ts'
import type { BackRing } from '../../xen/ring/ring.ts'
import type { DeviceTrace, GnttabClient, GrantCopy } from '../../xen/xenhost.ts'
import { viewOf } from './packet.ts'
import type { RxFrame } from './rx-frame.ts'

const PAGE_BYTES = 4096
/** What may wait for the guest. Above the first, the host side is asked to pause; above the second, frames are dropped. */
const ENOUGH_BYTES = 512 * 1024
const MOST_BYTES = 4 * 1024 * 1024
const MOST_FRAMES = 4096

export interface RxOptions {
  readonly ring: BackRing
  readonly gnttab: GnttabClient
  readonly otherend: Domid
  readonly notify: () => void
  /** Bytes left free before each packet, if the frontend asked for it. */
  readonly xdpHeadroom: number
  /** Whether packets may have several slots; others are of one page at most. */
  readonly scatterGather: boolean
  /** The frontend broke the ring: nothing of it is served any more. */
  readonly broken: (why: string) => void
  readonly trace?: DeviceTrace | undefined
}

interface Posted {
  readonly id: number
  readonly ref: number
}
/** A response to be put once the copies are done; `op` is the copy that it depends on. */
interface Response {
  readonly bytes: Uint8Array
  readonly op: number
}

export class RxService {
  readonly #options: RxOptions
  readonly #frames: RxFrame[] = []
  #bytes = 0
  readonly #posted: Posted[] = []
  #isClosed = false
  /** Nothing is given to the guest meanwhile. */
  isHeld = false
  /** Frames that had no room. */
  dropped = 0

  constructor(options: RxOptions) {
    this.#options = options
  }

  /** Whether the host side should bring no more for now. */
  get hasEnough(): boolean {
    return this.#bytes > ENOUGH_BYTES
  }

  add(frame: RxFrame): void {
    const { length } = frame.bytes
    const fits = length <= (this.#options.scatterGather ? 0xffff : PAGE_BYTES - this.#options.xdpHeadroom)
    if (this.#isClosed || !fits || this.#bytes + length > MOST_BYTES || this.#frames.length >= MOST_FRAMES) {
      this.dropped++
      return
    }
    this.#frames.push(frame)
    this.#bytes += length
  }

  /** Gives the guest what it has room for. To be called on each event and after `add`. */
  service(): void {
    if (this.#isClosed || this.isHeld) return
    const { ring, notify } = this.#options
    if (ring.isBroken()) {
      this.close()
      this.#options.broken('more requests than the ring holds')
      return
    }
    const ops: GrantCopy[] = []
    const responses: Response[] = []
    let served = 0
    for (const frame of this.#frames) {
      if (!this.#hasPosted(this.#slotsFor(frame))) break
      this.#fill(frame, ops, responses)
      this.#options.trace?.request(() => `received ${frame.bytes.length} bytes`)
      this.#bytes -= frame.bytes.length
      served++
    }
    if (served === 0) return
    this.#frames.splice(0, served)
    const results = this.#options.gnttab.copy(ops)
    for (const { bytes, op } of responses) {
      if (op >= 0 && results[op] !== GNTST.okay)
        netif_rx_response.x64.write(viewOf(bytes), 0, { status: NETIF_RSP.ERROR })
      ring.putResponse(bytes)
    }
    if (ring.pushResponses()) notify()
  }

  close(): void {
    this.#isClosed = true
    this.#frames.length = 0
    this.#bytes = 0
  }

  /** Takes requests out of the ring until there are so many; otherwise asks to be told of more. */
  #hasPosted(count: number): boolean {
    const { ring } = this.#options
    while (this.#posted.length < count) {
      const entry = ring.takeRequest()
      if (entry !== undefined) {
        const { id, gref: ref } = netif_rx_request.x64.copy(entry)
        this.#posted.push({ id, ref })
      } else if (!ring.finalCheck()) return false
    }
    return true
  }

  #slotsFor({ bytes, gso }: RxFrame): number {
    const { xdpHeadroom } = this.#options
    const extras = (gso === undefined ? 0 : 1) + (xdpHeadroom === 0 ? 0 : 1)
    return extras + Math.ceil((bytes.length + xdpHeadroom) / PAGE_BYTES)
  }

  #fill({ bytes, checksum, gso }: RxFrame, ops: GrantCopy[], responses: Response[]): void {
    const { otherend, xdpHeadroom } = this.#options
    const extras = this.#extras(gso)
    let flags = CHECKSUM_FLAGS[checksum] | (extras.length > 0 ? NETRXF.extra_info : 0)
    let offset = xdpHeadroom
    for (let at = 0; at < bytes.length; ) {
      const { id, ref } = this.#posted.shift()!
      const length = Math.min(PAGE_BYTES - offset, bytes.length - at)
      const more = at + length < bytes.length ? NETRXF.more_data : 0
      responses.push({
        bytes: netif_rx_response.x64.bytes({ id, offset, flags: flags | more, status: length }),
        op: ops.length,
      })
      ops.push({
        otherend,
        ref: gref(ref),
        offset,
        length,
        direction: 'to-guest',
        local: bytes,
        localOffset: at,
      })
      if (at === 0) {
        for (const extra of extras) {
          this.#posted.shift()
          responses.push({ bytes: extra, op: -1 })
        }
      }
      at += length
      offset = 0
      flags = 0
    }
  }

  #extras(gso: RxFrame['gso']): readonly Uint8Array[] {
    const { xdpHeadroom } = this.#options
    const extras = []
    if (gso !== undefined) {
      const gso_type = gso.version === 4 ? XEN_NETIF_GSO_TYPE.TCPV4 : XEN_NETIF_GSO_TYPE.TCPV6
      extras.push({ type: XEN_NETIF_EXTRA_TYPE.GSO, gso_size: gso.size, gso_type })
    }
    // The headroom lies where a GSO slot has its size.
    if (xdpHeadroom > 0) extras.push({ type: XEN_NETIF_EXTRA_TYPE.XDP, gso_size: xdpHeadroom })
    return extras.map((extra, n) => {
      const flags = n < extras.length - 1 ? XEN_NETIF_EXTRA_FLAG_MORE : 0
      return netif_extra_info.x64.bytes({ ...extra, flags })
    })
  }
}

const CHECKSUM_FLAGS = {
  unknown: 0,
  right: NETRXF.data_validated,
  blank: NETRXF.csum_blank | NETRXF.data_validated,
} as const

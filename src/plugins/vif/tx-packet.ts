/**
 * One packet of a transmit ring: its slots, taken out and judged as Linux' backend judges them (netback.c,
 * xenvif_get_extras and xenvif_count_requests). Some mistakes cost the packet, others the connection.
 */
import {
  NETTXF,
  netif_extra_info,
  netif_extra_mcast,
  netif_tx_request,
  XEN_NETIF_EXTRA_FLAG_MORE,
  XEN_NETIF_EXTRA_TYPE,
  XEN_NETIF_GSO_TYPE,
  XEN_NETIF_NR_SLOTS_MIN,
} from '../../xen/abi/io/netif.ts'
import { ETHERNET_HEADER } from './packet.ts'

const PAGE_BYTES = 4096
/** A packet with more slots is an attack, not a mistake. */
const FATAL_SLOTS = 20

/** The requests of a ring: BackRing has them. */
export interface Requests {
  unconsumed(): number
  takeRequest(): DataView | undefined
}

export interface Slot {
  readonly id: number
  readonly ref: number
  readonly offset: number
  readonly size: number
}
export interface Gso {
  /** Bytes of data in each segment, at least 1. */
  readonly size: number
  readonly version: 4 | 6
}
/** All slots of a packet, to be answered; extra slots lie behind the first. */
interface Taken {
  readonly ids: readonly number[]
  readonly extras: number
}
export type TxPacket =
  | (Taken & {
      readonly kind: 'packet'
      readonly slots: readonly Slot[]
      readonly size: number
      readonly isChecksumBlank: boolean
      readonly gso: Gso | undefined
    })
  /** Joins or leaves a multicast group; carries no data. */
  | (Taken & { readonly kind: 'multicast'; readonly join: boolean; readonly address: Uint8Array })
  /** To be answered with errors. */
  | (Taken & { readonly kind: 'refused'; readonly why: string })
  /** Nothing of this ring can be believed any more. */
  | { readonly kind: 'fatal'; readonly why: string }

interface Extras {
  readonly count: number
  readonly gso?: Gso
  readonly multicast?: { readonly join: boolean; readonly address: Uint8Array }
}

const fatal = (why: string) => ({ kind: 'fatal', why }) as const

/** The next packet; undefined if the ring is empty. */
export function takePacket(ring: Requests): TxPacket | undefined {
  const entry = ring.takeRequest()
  if (entry === undefined) return undefined
  const first = netif_tx_request.x64.copy(entry)
  const extras = (first.flags & NETTXF.extra_info) === 0 ? { count: 0 } : takeExtras(ring)
  if (typeof extras === 'string') return fatal(extras)
  const { count, gso, multicast } = extras
  if (multicast !== undefined) return { kind: 'multicast', ids: [first.id], extras: count, ...multicast }

  const ids = [first.id]
  const slots: Slot[] = []
  let left = first.size
  let refused: string | undefined
  for (let more = (first.flags & NETTXF.more_data) !== 0; more; ) {
    if (slots.length >= FATAL_SLOTS) return fatal(`a packet of more than ${FATAL_SLOTS} slots`)
    if (slots.length >= XEN_NETIF_NR_SLOTS_MIN)
      refused ??= `a packet of more than ${XEN_NETIF_NR_SLOTS_MIN} slots`
    const next = ring.takeRequest()
    if (next === undefined) return fatal('a packet that goes on where the ring ends')
    const { id, gref, offset, size, flags } = netif_tx_request.x64.copy(next)
    if (offset + size > PAGE_BYTES) return fatal(`bytes ${offset} to ${offset + size} of a page`)
    if (size > left) refused ??= `slots of more than the packet's ${first.size} bytes`
    left -= size
    ids.push(id)
    slots.push({ id, ref: gref, offset, size })
    more = (flags & NETTXF.more_data) !== 0
  }
  const taken = { ids, extras: count }
  if (refused !== undefined) return { kind: 'refused', why: refused, ...taken }
  if (first.size < ETHERNET_HEADER) return { kind: 'refused', why: `${first.size} bytes`, ...taken }
  if (first.offset + left > PAGE_BYTES)
    return fatal(`bytes ${first.offset} to ${first.offset + left} of a page`)
  slots.unshift({ id: first.id, ref: first.gref, offset: first.offset, size: left })
  const isChecksumBlank = (first.flags & NETTXF.csum_blank) !== 0
  return { kind: 'packet', slots, size: first.size, isChecksumBlank, gso, ...taken }
}

/** The extra slots of a packet, or what is wrong with them. */
function takeExtras(ring: Requests): Extras | string {
  let extras: Extras = { count: 0 }
  for (;;) {
    const entry = ring.takeRequest()
    if (entry === undefined) return 'an extra slot that is missing'
    const { type, flags, gso_size, gso_type } = netif_extra_info.x64.copy(entry)
    extras = { ...extras, count: extras.count + 1 }
    switch (type) {
      case XEN_NETIF_EXTRA_TYPE.GSO: {
        const version = VERSIONS[gso_type]
        if (gso_size === 0 || version === undefined) return `segments of ${gso_size} bytes, type ${gso_type}`
        extras = { ...extras, gso: { size: gso_size, version } }
        break
      }
      case XEN_NETIF_EXTRA_TYPE.MCAST_ADD:
      case XEN_NETIF_EXTRA_TYPE.MCAST_DEL: {
        const address = netif_extra_mcast.x64.copy(entry).addr
        extras = { ...extras, multicast: { join: type === XEN_NETIF_EXTRA_TYPE.MCAST_ADD, address } }
        break
      }
      // Hints for the way of a packet inside a host.
      case XEN_NETIF_EXTRA_TYPE.HASH:
      case XEN_NETIF_EXTRA_TYPE.XDP:
        break
      default:
        return `an extra slot of type ${type}`
    }
    if ((flags & XEN_NETIF_EXTRA_FLAG_MORE) === 0) return extras
  }
}
const VERSIONS: Readonly<Record<number, 4 | 6>> = {
  [XEN_NETIF_GSO_TYPE.TCPV4]: 4,
  [XEN_NETIF_GSO_TYPE.TCPV6]: 6,
}

/** In one line, for `xt trace`. */
export function describePacket(packet: TxPacket): string {
  switch (packet.kind) {
    case 'packet':
      return `sent ${packet.size} bytes in ${packet.slots.length} slots${packet.gso === undefined ? '' : ', segments'}`
    case 'multicast':
      return packet.join ? 'joined a group' : 'left a group'
    default:
      return `refused: ${packet.why}`
  }
}

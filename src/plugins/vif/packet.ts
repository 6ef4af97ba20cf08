/**
 * What an Ethernet frame holds, as far as offloads need it: TCP or UDP over IPv4 or IPv6, with one VLAN tag or none.
 *
 * GUEST: every length is judged against the bytes that are there; fragments and other protocols are no such packets.
 */

export const ETHERNET_HEADER = 14
const ETHERTYPE_VLAN = 0x8100
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_IPV6 = 0x86dd
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17
const IPV6_HEADER = 40
/** Hop-by-hop options, routing header, destination options: each says how long it is. */
const IPV6_OPTIONS: ReadonlySet<number> = new Set([0, 43, 60])

/** Offsets in a frame. */
export interface Headers {
  readonly version: 4 | 6
  readonly protocol: typeof IPPROTO_TCP | typeof IPPROTO_UDP
  readonly ip: number
  readonly transport: number
  /** Where the data begins: behind the TCP or UDP header. */
  readonly data: number
  /** Where the IP packet ends; what follows is padding. */
  readonly end: number
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** The headers of a frame, or undefined if it is not TCP or UDP with all its headers there. */
export function readHeaders(frame: DataView): Headers | undefined {
  if (frame.byteLength < ETHERNET_HEADER) return undefined
  let type = frame.getUint16(12)
  let ip = ETHERNET_HEADER
  if (type === ETHERTYPE_VLAN && frame.byteLength >= ETHERNET_HEADER + 4) {
    type = frame.getUint16(16)
    ip += 4
  }
  if (type === ETHERTYPE_IPV4) return readIpv4(frame, ip)
  if (type === ETHERTYPE_IPV6) return readIpv6(frame, ip)
  return undefined
}

function readIpv4(frame: DataView, ip: number): Headers | undefined {
  if (frame.byteLength < ip + 20) return undefined
  const first = frame.getUint8(ip)
  const length = (first & 15) * 4
  const end = ip + frame.getUint16(ip + 2)
  const isFragment = (frame.getUint16(ip + 6) & 0x3fff) !== 0
  if (first >> 4 !== 4 || length < 20 || isFragment || end > frame.byteLength) return undefined
  return readTransport(frame, 4, frame.getUint8(ip + 9), ip, ip + length, end)
}

function readIpv6(frame: DataView, ip: number): Headers | undefined {
  if (frame.byteLength < ip + IPV6_HEADER || frame.getUint8(ip) >> 4 !== 6) return undefined
  const end = ip + IPV6_HEADER + frame.getUint16(ip + 4)
  if (end > frame.byteLength) return undefined
  let next = frame.getUint8(ip + 6)
  let at = ip + IPV6_HEADER
  while (IPV6_OPTIONS.has(next)) {
    if (at + 8 > end) return undefined
    next = frame.getUint8(at)
    at += (frame.getUint8(at + 1) + 1) * 8
  }
  return readTransport(frame, 6, next, ip, at, end)
}

function readTransport(
  frame: DataView,
  version: 4 | 6,
  protocol: number,
  ip: number,
  transport: number,
  end: number,
): Headers | undefined {
  if (protocol === IPPROTO_UDP) {
    if (transport + 8 > end) return undefined
    return { version, protocol, ip, transport, data: transport + 8, end }
  }
  if (protocol !== IPPROTO_TCP || transport + 20 > end) return undefined
  const length = (frame.getUint8(transport + 12) >> 4) * 4
  if (length < 20 || transport + length > end) return undefined
  return { version, protocol, ip, transport, data: transport + length, end }
}

/** Whether a frame is for a group of stations, but not for all. */
export const isMulticast = (frame: Uint8Array): boolean =>
  (frame[0]! & 1) === 1 && !(frame[0] === 0xff && frame.subarray(0, 6).every((byte) => byte === 0xff))

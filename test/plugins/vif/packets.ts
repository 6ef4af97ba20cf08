/** Frames made for tests: TCP and UDP over either version of IP, with right checksums or blank ones. */
import { writeChecksum, writeIpv4Checksum, writePseudoChecksum } from '../../../src/plugins/vif/checksum.ts'
import { readHeaders, viewOf } from '../../../src/plugins/vif/packet.ts'

export interface PacketOptions {
  readonly version?: 4 | 6
  readonly protocol?: 'tcp' | 'udp'
  readonly vlan?: boolean
  readonly sequence?: number
  readonly flags?: number
  readonly ports?: readonly [number, number]
  /** Bytes of TCP options; a multiple of 4. */
  readonly options?: number
  readonly checksum?: 'right' | 'blank' | 'wrong'
}

const ACK = 0x10

export function packet(data: Uint8Array, options: PacketOptions = {}): Uint8Array<ArrayBuffer> {
  const { version = 4, protocol = 'tcp', vlan = false, sequence = 1000, flags = ACK } = options
  const { ports = [40000, 80], options: extra = 0, checksum = 'right' } = options
  const ip = vlan ? 18 : 14
  const transport = ip + (version === 4 ? 20 : 40)
  const header = protocol === 'tcp' ? 20 + extra : 8
  const frame = new Uint8Array(transport + header + data.length)
  const view = viewOf(frame)
  frame.set([0x00, 0x16, 0x3e, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2])
  if (vlan) view.setUint32(12, 0x8100_0007)
  view.setUint16(ip - 2, version === 4 ? 0x0800 : 0x86dd)
  const number = protocol === 'tcp' ? 6 : 17
  if (version === 4) {
    view.setUint16(ip, 0x4500)
    view.setUint16(ip + 2, frame.length - ip)
    view.setUint16(ip + 4, 7)
    view.setUint16(ip + 6, 0x4000)
    view.setUint16(ip + 8, 0x4000 | number)
    frame.set([10, 0, 0, 1, 10, 0, 0, 2], ip + 12)
    writeIpv4Checksum(view, ip)
  } else {
    view.setUint16(ip, 0x6000)
    view.setUint16(ip + 4, frame.length - transport)
    view.setUint16(ip + 6, (number << 8) | 64)
    frame.fill(0xfd, ip + 8, ip + 24)
    frame.fill(0xfe, ip + 24, ip + 40)
  }
  view.setUint16(transport, ports[0])
  view.setUint16(transport + 2, ports[1])
  if (protocol === 'tcp') {
    view.setUint32(transport + 4, sequence)
    view.setUint32(transport + 8, 5)
    view.setUint16(transport + 12, ((header / 4) << 12) | flags)
    view.setUint16(transport + 14, 500)
    frame.fill(1, transport + 20, transport + header)
  } else view.setUint16(transport + 4, 8 + data.length)
  frame.set(data, transport + header)
  const headers = readHeaders(view)!
  if (checksum === 'blank') writePseudoChecksum(view, headers)
  else writeChecksum(view, headers)
  if (checksum === 'wrong') frame[frame.length - 1]! ^= 0x55
  return frame
}

/** Bytes that differ from their neighbours. */
export const pattern = (length: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) + seed) & 0xff)

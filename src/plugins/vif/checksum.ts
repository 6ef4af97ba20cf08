/**
 * The Internet checksum (RFC 1071): sums of 16-bit words with end-around carry. Sums are kept in the byte order of
 * their bytes read as little-endian words, which changes nothing but their byte order.
 */
import { type Headers, IPPROTO_TCP, IPPROTO_UDP } from './packet.ts'

/** Folds a sum into 16 bits. */
export function fold(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000)
  return folded
}

/** Sum of the bytes from `from` to `to`, of at most 64 KiB, an odd last one as if a zero followed. Not folded. */
export function sumOf(frame: DataView, from: number, to: number): number {
  let low = 0
  let high = 0
  let at = from
  for (; at + 16 <= to; at += 16) {
    const a = frame.getInt32(at, true)
    const b = frame.getInt32(at + 4, true)
    const c = frame.getInt32(at + 8, true)
    const d = frame.getInt32(at + 12, true)
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0
  }
  // Each half has taken at most 2^15 words of 16 bits: it is still positive.
  let sum = low + high
  for (; at + 2 <= to; at += 2) sum += frame.getUint16(at, true)
  if (at < to) sum += frame.getUint8(at)
  return sum
}

/** Sum of the pseudo header of a packet. */
function pseudoSum(frame: DataView, { version, protocol, ip, transport, end }: Headers): number {
  const [from, to] = version === 4 ? [ip + 12, ip + 20] : [ip + 8, ip + 40]
  return sumOf(frame, from, to) + swap(protocol) + swap(end - transport)
}
const swap = (word: number): number => ((word & 0xff) << 8) | (word >>> 8)

const checksumField = ({ protocol, transport }: Headers): number =>
  transport + (protocol === IPPROTO_TCP ? 16 : 6)

/** Writes the checksum of a TCP or UDP packet. */
export function writeChecksum(frame: DataView, headers: Headers): void {
  const field = checksumField(headers)
  frame.setUint16(field, 0)
  const sum = ~fold(pseudoSum(frame, headers) + sumOf(frame, headers.transport, headers.end)) & 0xffff
  // A UDP packet with 0 there has none.
  frame.setUint16(field, sum === 0 && headers.protocol === IPPROTO_UDP ? 0xffff : sum, true)
}

/** Writes what stands in the place of the checksum of a packet whose checksum is still to be made. */
export function writePseudoChecksum(frame: DataView, headers: Headers): void {
  frame.setUint16(checksumField(headers), fold(pseudoSum(frame, headers)), true)
}

/** Whether the checksum of a TCP or UDP packet is right. */
export const isChecksumRight = (frame: DataView, headers: Headers): boolean =>
  fold(pseudoSum(frame, headers) + sumOf(frame, headers.transport, headers.end)) === 0xffff

/** Writes the checksum of an IPv4 header. */
export function writeIpv4Checksum(frame: DataView, ip: number): void {
  frame.setUint16(ip + 10, 0)
  const length = (frame.getUint8(ip) & 15) * 4
  frame.setUint16(ip + 10, ~fold(sumOf(frame, ip, ip + length)) & 0xffff, true)
}

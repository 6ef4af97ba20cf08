/**
 * Cuts a TCP packet that is longer than the network takes into segments, as a network card with segmentation offload
 * does (GSO). Every segment gets its own lengths, numbers, flags and checksums.
 */
import { writeChecksum, writeIpv4Checksum } from './checksum.ts'
import { type Headers, viewOf } from './packet.ts'

/** TCP flags: only the last segment ends or pushes, only the first tells of a reduced window. */
const FIN_PSH = 0x09
const CWR = 0x80

/**
 * The segments of a TCP packet with at most `size` bytes of data each, one behind the other in a buffer, each with
 * `headroom` bytes before it. `size` is at least 1.
 */
export function segmentTcp(
  frame: Uint8Array,
  headers: Headers,
  size: number,
  headroom: number,
): { readonly bytes: Uint8Array; readonly frames: readonly Uint8Array[] } {
  const { version, ip, transport, data, end } = headers
  const total = end - data
  const count = Math.max(1, Math.ceil(total / size))
  const bytes = new Uint8Array(count * (headroom + data) + total)
  const source = viewOf(frame)
  const sequence = source.getUint32(transport + 4)
  const flags = frame[transport + 13]!
  const frames: Uint8Array[] = []
  let at = 0
  for (let n = 0; n < count; n++) {
    const from = n * size
    const length = Math.min(size, total - from)
    const segment = bytes.subarray(at + headroom, at + headroom + data + length)
    at += headroom + data + length
    segment.set(frame.subarray(0, data))
    segment.set(frame.subarray(data + from, data + from + length), data)
    const view = viewOf(segment)
    view.setUint32(transport + 4, (sequence + from) >>> 0)
    segment[transport + 13] = flags & ~(n === count - 1 ? 0 : FIN_PSH) & ~(n === 0 ? 0 : CWR)
    if (version === 4) {
      view.setUint16(ip + 2, data - ip + length)
      view.setUint16(ip + 4, (source.getUint16(ip + 4) + n) & 0xffff)
      writeIpv4Checksum(view, ip)
    } else view.setUint16(ip + 4, data - ip - 40 + length)
    writeChecksum(view, { ...headers, end: data + length })
    frames.push(segment)
  }
  return { bytes, frames }
}

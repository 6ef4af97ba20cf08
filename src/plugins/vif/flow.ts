/** Which flow a frame belongs to: frames of one flow stay in one queue, and so in order. */
import { readHeaders, viewOf } from './packet.ts'

/** A number of 32 bits from addresses and ports, 0 for what is neither TCP nor UDP. */
export function flowHash(frame: Uint8Array): number {
  const headers = readHeaders(viewOf(frame))
  if (headers === undefined) return 0
  const { version, ip, transport } = headers
  const [from, to] = version === 4 ? [ip + 12, ip + 20] : [ip + 8, ip + 40]
  let hash = 0x811c9dc5
  const add = (at: number, end: number) => {
    for (let n = at; n < end; n++) hash = Math.imul(hash ^ frame[n]!, 0x01000193)
  }
  add(from, to)
  add(transport, transport + 4)
  return (hash ^ (hash >>> 16)) >>> 0
}

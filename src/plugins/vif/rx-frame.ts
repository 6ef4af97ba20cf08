/**
 * Frames on their way to a guest. Segments of one TCP stream that follow one another are put together again, as a
 * network card does (GRO), if the guest takes such packets: it has then much less to do.
 */
import { isChecksumRight, writeIpv4Checksum, writePseudoChecksum } from './checksum.ts'
import { type Headers, IPPROTO_TCP, readHeaders, viewOf } from './packet.ts'

export interface RxFrame {
  readonly bytes: Uint8Array
  /** `blank`: the checksum field holds the sum of the pseudo header only. `right`: nobody needs to check it. */
  readonly checksum: 'unknown' | 'right' | 'blank'
  readonly gso?: { readonly size: number; readonly version: 4 | 6 }
}

export interface CoalesceOptions {
  /** Which packets of several segments the guest takes. */
  readonly gso: { readonly v4: boolean; readonly v6: boolean }
  /** The checksums of the frames are known to be right. */
  readonly isVerified: boolean
}

/** The most bytes of an IP packet here. */
const MOST_BYTES = 65_000
const ACK = 0x10
const PSH = 0x08

interface Segment {
  readonly frame: Uint8Array
  readonly headers: Headers
  readonly sequence: number
  readonly length: number
}

/** A run of segments that follow one another. */
class Run {
  readonly segments: Segment[]
  bytes: number
  readonly #next: number
  constructor(first: Segment) {
    this.segments = [first]
    this.bytes = first.length
    this.#next = first.sequence
  }

  /** Whether a segment goes on where the run ends, with the same headers. */
  accepts({ frame, headers, sequence, length }: Segment): boolean {
    const first = this.segments[0]!
    const last = this.segments.at(-1)!
    const { data, transport } = headers
    return (
      sequence === (this.#next + this.bytes) >>> 0 &&
      data === first.headers.data &&
      transport === first.headers.transport &&
      headers.version === first.headers.version &&
      // A shorter segment, or one that pushes, is the last.
      last.length === first.length &&
      length <= first.length &&
      (last.frame[transport + 13]! & PSH) === 0 &&
      this.bytes + length + data <= MOST_BYTES &&
      sameHeaders(first, frame)
    )
  }
  add(segment: Segment): void {
    this.segments.push(segment)
    this.bytes += segment.length
  }
}

/** Lengths, numbers, checksums and the push flag may differ, everything else not. */
function sameHeaders({ frame: a, headers }: Segment, b: Uint8Array): boolean {
  const { version, ip, transport, data } = headers
  for (let at = 0; at < data; at++) {
    if (a[at] === b[at]) continue
    const inIp = at - ip
    if (version === 4 && (between(inIp, 2, 5) || between(inIp, 10, 11))) continue
    if (version === 6 && between(inIp, 4, 5)) continue
    const inTcp = at - transport
    if (between(inTcp, 4, 7) || between(inTcp, 16, 17)) continue
    if (inTcp === 13 && ((a[at]! ^ b[at]!) & ~PSH) === 0) continue
    return false
  }
  return true
}
const between = (n: number, from: number, to: number): boolean => n >= from && n <= to

/** What the guest gets of frames that arrived together, in their order. */
export function coalesce(
  frames: readonly Uint8Array[],
  { gso, isVerified }: CoalesceOptions,
): readonly RxFrame[] {
  const out: RxFrame[] = []
  let run: Run | undefined
  const alone = isVerified ? 'right' : 'unknown'
  const end = () => {
    if (run !== undefined)
      out.push(run.segments.length === 1 ? { bytes: run.segments[0]!.frame, checksum: alone } : join(run))
    run = undefined
  }
  for (const frame of frames) {
    const segment = gso.v4 || gso.v6 ? readSegment(frame, gso, isVerified) : undefined
    if (segment !== undefined && run?.accepts(segment)) {
      run.add(segment)
      continue
    }
    end()
    if (segment === undefined) out.push({ bytes: frame, checksum: alone })
    else run = new Run(segment)
  }
  end()
  return out
}

/** A TCP segment of data that nothing but its place in the stream tells from its neighbours. */
function readSegment(
  frame: Uint8Array,
  gso: CoalesceOptions['gso'],
  isVerified: boolean,
): Segment | undefined {
  const view = viewOf(frame)
  const headers = readHeaders(view)
  if (headers?.protocol !== IPPROTO_TCP || !(headers.version === 4 ? gso.v4 : gso.v6)) return undefined
  const { version, ip, transport, data, end } = headers
  const hasOptions = version === 4 ? transport - ip !== 20 : transport - ip !== 40
  const length = end - data
  const flags = frame[transport + 13]! & ~PSH
  // A frame with padding has little data.
  if (hasOptions || flags !== ACK || length === 0 || end !== frame.length) return undefined
  if (!isVerified && !isChecksumRight(view, headers)) return undefined
  return { frame, headers, sequence: view.getUint32(transport + 4), length }
}

function join({ segments, bytes }: Run): RxFrame {
  const { headers, length } = segments[0]!
  const { version, ip, transport, data } = headers
  const joined = new Uint8Array(data + bytes)
  joined.set(segments[0]!.frame.subarray(0, data))
  let at = data
  for (const segment of segments) {
    joined.set(segment.frame.subarray(data, data + segment.length), at)
    at += segment.length
  }
  const view = viewOf(joined)
  joined[transport + 13]! |= segments.at(-1)!.frame[transport + 13]! & PSH
  if (version === 4) {
    view.setUint16(ip + 2, at - ip)
    writeIpv4Checksum(view, ip)
  } else view.setUint16(ip + 4, at - ip - 40)
  writePseudoChecksum(view, { ...headers, end: at })
  return { bytes: joined, checksum: 'blank', gso: { size: length, version } }
}

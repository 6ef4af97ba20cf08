/**
 * The last step of a TCP handshake, in passt's place. Pure.
 *
 * passt until 2024 does not acknowledge the SYN,ACK of a guest's server before it has something to send: the server
 * waits for the client's first word, and where the server has the first word (SSH, SMTP) both wait. What passt would say
 * is known from the SYN,ACK alone; where it says it, too, the guest has heard it twice, which TCP allows.
 */
import { writeChecksum, writeIpv4Checksum } from './checksum.ts'
import { type Headers, IPPROTO_TCP, readHeaders, viewOf } from './packet.ts'

const SYN = 0x02
const RST = 0x04
const ACK = 0x10
const TCP_HEADER = 20
/**
 * The window until passt names its own, in units of the scale that its SYN named: small with any scale. passt keeps
 * nothing that its sockets do not take, and the guest sends that once more.
 */
const WINDOW = 256

/** The acknowledgement of a frame that is a SYN,ACK, as its receiver would send it; undefined of any other frame. */
export function acknowledgement(frame: Uint8Array): Uint8Array | undefined {
  const view = viewOf(frame)
  const headers = readHeaders(view)
  if (headers?.protocol !== IPPROTO_TCP) return undefined
  const { transport } = headers
  if ((frame[transport + 13]! & (SYN | ACK | RST)) !== (SYN | ACK)) return undefined

  const answer = turned(frame, headers)
  const tcp = viewOf(answer)
  tcp.setUint32(transport + 4, view.getUint32(transport + 8))
  tcp.setUint32(transport + 8, (view.getUint32(transport + 4) + 1) >>> 0)
  tcp.setUint8(transport + 12, (TCP_HEADER / 4) << 4)
  tcp.setUint8(transport + 13, ACK)
  tcp.setUint16(transport + 14, WINDOW)
  writeChecksum(tcp, { ...headers, data: answer.length, end: answer.length })
  return answer
}

/** The same addresses and ports the other way round, and a TCP header that is empty but for them. */
function turned(frame: Uint8Array, { version, ip, transport }: Headers): Uint8Array {
  const answer = new Uint8Array(transport + TCP_HEADER)
  answer.set(frame.subarray(0, transport))
  const swap = (at: number, length: number) => {
    answer.set(frame.subarray(at + length, at + 2 * length), at)
    answer.set(frame.subarray(at, at + length), at + length)
  }
  swap(0, 6)
  const view = viewOf(answer)
  if (version === 4) {
    swap(ip + 12, 4)
    view.setUint16(ip + 2, answer.length - ip)
    writeIpv4Checksum(view, ip)
  } else {
    swap(ip + 8, 16)
    view.setUint16(ip + 4, answer.length - ip - 40)
  }
  answer.set(frame.subarray(transport + 2, transport + 4), transport)
  answer.set(frame.subarray(transport, transport + 2), transport + 2)
  return answer
}

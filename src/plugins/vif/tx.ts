/**
 * The transmit ring of a queue: takes packets from the guest, makes their checksums and segments where the host side
 * wants them made, hands them over and answers. Pure over grants; time comes from the options.
 *
 * A batch is taken, copied with one grant operation for each slot, sent and answered; then others have their turn.
 */
import { type Domid, gref } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import { GNTST } from '../../xen/abi/grant_table.ts'
import { NETIF_RSP, netif_tx_response } from '../../xen/abi/io/netif.ts'
import type { BackRing } from '../../xen/ring/ring.ts'
import type { DeviceTrace, GnttabClient, GrantCopy } from '../../xen/xenhost.ts'
import { writeChecksum } from './checksum.ts'
import type { Credit } from './credit.ts'
import { IPPROTO_TCP, readHeaders, viewOf } from './packet.ts'
import type { FrameBatch, HostPort } from './port.ts'
import { segmentTcp } from './segment.ts'
import { describePacket, type TxPacket, takePacket } from './tx-packet.ts'

/** What is taken before others have their turn. */
const BATCH_PACKETS = 64
const BATCH_BYTES = 512 * 1024
/** The smallest segments that Linux itself makes; GUEST: smaller ones would multiply the bytes of a packet. */
const LEAST_SEGMENT = 48

export interface TxOptions {
  readonly ring: BackRing
  readonly gnttab: GnttabClient
  readonly otherend: Domid
  readonly port: HostPort
  readonly notify: () => void
  /** `rate=`: as with Linux' backend, each queue has it for itself. */
  readonly credit: Credit | undefined
  readonly nowUs: () => number
  /** Runs a task later; answers how to call it off. */
  readonly after: (us: number, task: () => void) => () => void
  /** Runs a task after other events of this thread had their turn. */
  readonly defer: (task: () => void) => void
  /** True if the group could be joined or left. */
  readonly joinGroup: (address: Uint8Array, join: boolean) => boolean
  /** The frontend broke the ring: nothing of it is served any more. */
  readonly broken: (why: string) => void
  readonly log: Log
  readonly trace?: DeviceTrace | undefined
}

type Packet = Extract<TxPacket, { kind: 'packet' }>
interface Copied {
  readonly packet: Packet
  readonly frame: Uint8Array
  /** Its first operation among the copies. */
  readonly firstOp: number
}

export class TxService {
  readonly #options: TxOptions
  /** A packet that the credit does not allow yet. */
  #waiting: TxPacket | undefined
  #cancelTimer: (() => void) | undefined
  #isFull = false
  #isPlanned = false
  #isClosed = false
  /** Nothing is taken meanwhile. */
  isHeld = false
  readonly #answer = new Uint8Array(netif_tx_response.x64.size)
  readonly #answerView = viewOf(this.#answer)

  constructor(options: TxOptions) {
    this.#options = options
  }

  /** Serves what is in the ring. To be called on each event. */
  service(): void {
    if (this.#isClosed || this.isHeld || this.#isPlanned || this.#isFull) return
    if (this.#cancelTimer !== undefined) return
    const { ring, defer } = this.#options
    if (ring.isBroken()) {
      this.#fail('more requests than the ring holds')
      return
    }
    const isDone = this.#serveBatch()
    if (this.#isClosed || this.#isFull || this.#cancelTimer !== undefined) return
    if (isDone && !ring.finalCheck()) return
    this.#isPlanned = true
    defer(() => {
      this.#isPlanned = false
      this.service()
    })
  }

  /** The host side takes more again. */
  resume(): void {
    this.#isFull = false
    this.service()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** True if the ring was empty at the end. */
  #serveBatch(): boolean {
    const { ring } = this.#options
    const packets: Packet[] = []
    let bytes = 0
    let isEmpty = false
    while (packets.length < BATCH_PACKETS && bytes < BATCH_BYTES) {
      const packet = this.#waiting ?? takePacket(ring)
      this.#waiting = undefined
      if (packet === undefined) {
        isEmpty = true
        break
      }
      this.#options.trace?.request(() => describePacket(packet))
      if (packet.kind === 'fatal') {
        this.#fail(packet.why)
        return false
      }
      if (packet.kind === 'packet') {
        if (!this.#isAllowed(packet)) break
        packets.push(packet)
        bytes += packet.size
      } else {
        // Answers keep the order of the ring.
        this.#finish(packets.splice(0))
        this.#serveOther(packet)
      }
    }
    this.#finish(packets)
    if (ring.pushResponses()) this.#options.notify()
    return isEmpty
  }

  #isAllowed(packet: Packet): boolean {
    const { credit, nowUs, after } = this.#options
    const waitUs = credit?.take(packet.size, nowUs()) ?? 0
    if (waitUs === 0) return true
    this.#waiting = packet
    this.#cancelTimer = after(waitUs, () => {
      this.#cancelTimer = undefined
      this.service()
    })
    return false
  }

  #serveOther(packet: Exclude<TxPacket, { kind: 'packet' | 'fatal' }>): void {
    if (packet.kind === 'multicast') {
      const done = this.#options.joinGroup(packet.address, packet.join)
      this.#respond(packet, done ? NETIF_RSP.OKAY : NETIF_RSP.ERROR)
      return
    }
    this.#options.log.debug(`a packet is refused: ${packet.why}`)
    this.#respond(packet, NETIF_RSP.ERROR)
  }

  /** Copies packets, sends those that could be copied, and answers all. */
  #finish(packets: readonly Packet[]): void {
    if (packets.length === 0) return
    const { gnttab, port } = this.#options
    const { headroom } = port
    const bytes = new Uint8Array(packets.reduce((sum, { size }) => sum + headroom + size, 0))
    const ops: GrantCopy[] = []
    const copied: Copied[] = []
    let at = 0
    for (const packet of packets) {
      at += headroom
      const frame = bytes.subarray(at, at + packet.size)
      copied.push({ packet, frame, firstOp: ops.length })
      for (const { ref, offset, size } of packet.slots) {
        ops.push({
          otherend: this.#options.otherend,
          ref: gref(ref),
          offset,
          length: size,
          direction: 'from-guest',
          local: bytes,
          localOffset: at,
        })
        at += size
      }
    }
    const results = gnttab.copy(ops)
    this.#send(bytes, copied, results)
    for (const { packet, firstOp } of copied) {
      const failed = packet.slots.some((_, n) => results[firstOp + n] !== GNTST.okay)
      this.#respond(packet, failed ? NETIF_RSP.ERROR : NETIF_RSP.OKAY)
    }
  }

  /** Frames that need nothing more go on as they lie there; the others, and gaps, end a batch. */
  #send(bytes: Uint8Array, copied: readonly Copied[], results: readonly number[]): void {
    let run: Uint8Array[] = []
    const send = (batch: FrameBatch) => {
      if (batch.frames.length > 0 && !this.#options.port.send(batch)) this.#isFull = true
    }
    const end = () => {
      send({ bytes, frames: run })
      run = []
    }
    for (const { packet, frame, firstOp } of copied) {
      const isThere = packet.slots.every((_, n) => results[firstOp + n] === GNTST.okay)
      const ready = isThere ? this.#offload(packet, frame) : undefined
      if (ready === frame) run.push(frame)
      else {
        end()
        if (ready !== undefined && ready instanceof Uint8Array === false) send(ready)
      }
    }
    end()
  }

  /** The frame with its checksum, or the segments made of it; undefined: nobody could read it, it is dropped. */
  #offload({ isChecksumBlank, gso }: Packet, frame: Uint8Array): Uint8Array | FrameBatch | undefined {
    const { port } = this.#options
    if (!isChecksumBlank && gso === undefined) return frame.length <= port.maxFrameBytes ? frame : undefined
    const view = viewOf(frame)
    const headers = readHeaders(view)
    if (headers === undefined) return undefined
    if (frame.length <= port.maxFrameBytes) {
      writeChecksum(view, headers)
      return frame
    }
    const canCut = headers.protocol === IPPROTO_TCP && gso?.version === headers.version
    if (!canCut || gso.size < LEAST_SEGMENT || headers.data + gso.size > port.maxFrameBytes) return undefined
    return segmentTcp(frame, headers, gso.size, port.headroom)
  }

  /** One answer for each slot; those of extra slots mean nothing. */
  #respond(
    { ids, extras }: { readonly ids: readonly number[]; readonly extras: number },
    status: number,
  ): void {
    const [first, ...others] = ids
    this.#put(first!, status)
    for (let n = 0; n < extras; n++) this.#put(0, NETIF_RSP.NULL)
    for (const id of others) this.#put(id, status)
  }

  #put(id: number, status: number): void {
    netif_tx_response.x64.write(this.#answerView, 0, { id, status })
    this.#options.ring.putResponse(this.#answer)
  }

  #fail(why: string): void {
    this.close()
    this.#options.broken(why)
  }
}

/**
 * A network interface's frontend (io/netif.h): one queue, scatter-gather, an event channel for each ring or one for
 * both. Frames carry an Ethernet type of their own, so that nobody looks for checksums in them.
 */
import { type Gref, gref } from '../../base/brand.ts'
import {
  NETIF_RSP,
  NETTXF,
  netif_extra_info,
  netif_rx_request,
  netif_rx_response,
  netif_tx_request,
  netif_tx_response,
} from '../../xen/abi/io/netif.ts'
import { FrontRing } from '../../xen/ring/ring.ts'
import type { Random } from '../random.ts'
import type { ScriptedGuest } from '../scripted-guest.ts'
import { until } from '../wait.ts'
import type { FrontendScript, Pending, ScriptedFrontend } from './frontend.ts'

const RX_PAGES = 6
const TX_PAGES = 4
const RING_WORDS = [0, 4, 8, 12]
/** Local experimental Ethernet type (IEEE 802). */
const ETHERTYPE = [0x88, 0xb5]

export interface NetScriptOptions {
  /** Frames that the guest sent and the host side got, since the last call. */
  takeSent(): readonly Uint8Array[]
  /** A frame from the host side to the guest. */
  inject(frame: Uint8Array): void
  /** An event channel for each ring; true. */
  readonly splitChannels?: boolean
}

export const netScript = (options: NetScriptOptions): FrontendScript => ({
  name: 'net',
  open: (guest) => new NetFrontend(guest, options),
})

/** One part of a packet: bytes in a granted page. */
interface Slot {
  readonly ref: number
  readonly offset: number
  readonly size: number
  readonly flags: number
}

class NetFrontend implements ScriptedFrontend {
  readonly nodes: Readonly<Record<string, string>>
  readonly ports
  readonly words
  readonly ringFrames
  readonly #guest: ScriptedGuest
  readonly #options: NetScriptOptions
  readonly #tx: FrontRing
  readonly #rx: FrontRing
  readonly #txData: readonly { readonly gfn: number; readonly ref: Gref }[]
  readonly #rxData: readonly { readonly gfn: number; readonly ref: Gref }[]
  /** Statuses of sent packets by id. */
  readonly #done = new Map<number, number>()
  readonly #received: Uint8Array[] = []
  #nextId = 0
  #said = 0

  constructor(guest: ScriptedGuest, options: NetScriptOptions) {
    this.#guest = guest
    this.#options = options
    const [tx, rx, ...data] = guest.allocate(2 + RX_PAGES + TX_PAGES)
    this.ringFrames = [tx!, rx!]
    this.words = this.ringFrames.flatMap((gfn) => RING_WORDS.map((offset) => [gfn, offset] as const))
    this.#tx = new FrontRing([guest.bytes(tx!)], { entryBytes: netif_tx_request.size })
    this.#rx = new FrontRing([guest.bytes(rx!)], { entryBytes: netif_rx_request.size })
    this.#rxData = data.slice(0, RX_PAGES).map((gfn) => ({ gfn, ref: guest.grant(gfn) }))
    this.#txData = data.slice(RX_PAGES).map((gfn) => ({ gfn, ref: guest.grant(gfn) }))
    const split = options.splitChannels ?? true
    this.ports = Array.from({ length: split ? 2 : 1 }, () => guest.allocatePort())
    const [first, second] = this.ports.map(String)
    this.nodes = {
      'tx-ring-ref': String(guest.grant(tx!)),
      'rx-ring-ref': String(guest.grant(rx!)),
      ...(split ? { 'event-channel-tx': first!, 'event-channel-rx': second! } : { 'event-channel': first! }),
      'request-rx-copy': '1',
      'feature-rx-notify': '1',
      'feature-sg': '1',
      'feature-gso-tcpv4': '1',
      'feature-gso-tcpv6': '1',
      'feature-ipv6-csum-offload': '1',
    }
    for (const [id, { ref }] of this.#rxData.entries())
      this.#rx.putRequest(netif_rx_request.x64.bytes({ id, gref: ref }))
    this.#rx.pushRequests()
  }

  async exchange(): Promise<void> {
    for (const parts of [1, 3]) await this.#send(this.#frame(200 * parts), parts)
    const frame = this.#frame(1200)
    this.#options.inject(frame)
    await until('a frame from the host', () => {
      this.#takeReceived()
      return this.#received.length > 0
    })
    // Frames that were on their way to a connection before this one may come first.
    await until('the frame from the host', () => {
      this.#takeReceived()
      return this.#received.some((each) => sameBytes(each, frame))
    })
    this.#received.length = 0
  }

  /** Sends a frame in as many slots and waits until the host side has it. */
  async #send(frame: Uint8Array, parts: number): Promise<void> {
    const id = this.#put(frame, parts)
    this.#notify()
    await this.#answer(id)
    const got: Uint8Array[] = []
    await until('a frame at the host', () => {
      got.push(...this.#options.takeSent())
      return got.some((each) => sameBytes(each, frame))
    })
  }

  begin(): Pending {
    const ids = Array.from({ length: TX_PAGES }, () => this.#put(this.#frame(300), 1))
    this.#notify()
    return {
      answered: async () => {
        for (const id of ids) await this.#answer(id)
      },
    }
  }

  /** A frame of zeros but for its head and a number that no other has. */
  #frame(length: number): Uint8Array {
    const frame = new Uint8Array(length)
    frame.set([0x52, 0x54, 0, 0, 0, 1, 0, 0x16, 0x3e, 0, 0, 1, ...ETHERTYPE])
    new DataView(frame.buffer).setUint32(14, ++this.#said)
    new DataView(frame.buffer).setUint32(18, this.ports[0]!)
    frame.fill(this.#said & 0xff, 40)
    return frame
  }

  /** Puts a packet; answers the id of its last slot. */
  #put(frame: Uint8Array, parts: number): number {
    const share = Math.ceil(frame.length / parts)
    for (let part = 0; part < parts; part++) {
      const piece = frame.subarray(part * share, (part + 1) * share)
      const { gfn, ref } = this.#txData[this.#nextId % TX_PAGES]!
      const offset = 128 * (part + 1)
      this.#guest.bytes(gfn).set(piece, offset)
      const flags = part < parts - 1 ? NETTXF.more_data : 0
      this.#putSlot({ ref, offset, flags, size: part === 0 ? frame.length : piece.length })
    }
    this.#tx.pushRequests()
    return (this.#nextId - 1) & 0xffff
  }

  #putSlot({ ref, offset, size, flags }: Slot): boolean {
    const id = this.#nextId++ & 0xffff
    return this.#tx.putRequest(netif_tx_request.x64.bytes({ gref: gref(ref), offset, flags, id, size }))
  }

  async #answer(id: number): Promise<void> {
    await until(`answer to packet ${id}`, () => {
      this.#takeDone()
      return this.#done.has(id)
    })
    const status = this.#done.get(id)!
    this.#done.delete(id)
    if (status !== NETIF_RSP.OKAY) throw new Error(`packet ${id} was answered ${NETIF_RSP.nameOf(status)}`)
  }

  hostile(random: Random): boolean {
    this.#takeDone()
    this.#takeReceived()
    if (random.once(6))
      this.#options.inject(random.bytes(random.once(8) ? random.below(9000) : random.below(2000)))
    if (random.once(8)) return this.#hostileBuffer(random)
    const chain = random.once(3) ? random.below(24) : 1
    let put = false
    for (let n = 0; n < chain; n++) put = this.#hostileSlot(random, n < chain - 1) || put
    this.#tx.pushRequests()
    return put
  }

  #hostileBuffer(random: Random): boolean {
    const id = random.once(2) ? random.below(RX_PAGES) : random.u32() & 0xffff
    const put = this.#rx.putRequest(netif_rx_request.x64.bytes({ id, gref: gref(random.edge()) }))
    this.#rx.pushRequests()
    return put
  }

  #hostileSlot(random: Random, more: boolean): boolean {
    const flags = random.once(8) ? random.u32() & 0xffff : (more ? NETTXF.more_data : 0) | random.below(4)
    const withExtra = (flags & NETTXF.extra_info) !== 0 || random.once(10)
    const put = this.#putSlot({
      ref: random.once(8) ? random.edge() : random.pick(this.#txData).ref,
      offset: random.once(6) ? random.edge() & 0xffff : random.below(2000),
      size: random.once(6) ? random.edge() & 0xffff : random.below(2500),
      flags: withExtra ? flags | NETTXF.extra_info : flags,
    })
    if (!withExtra) return put
    const extra = netif_extra_info.x64.bytes({
      type: random.once(3) ? random.below(256) : random.below(6),
      flags: random.once(4) ? random.below(256) : 0,
      gso_size: random.edge() & 0xffff,
      gso_type: random.below(4),
    })
    const entry = new Uint8Array(netif_tx_request.size)
    entry.set(extra.subarray(0, entry.length))
    this.#nextId++
    return this.#tx.putRequest(entry) || put
  }

  #takeDone(): void {
    for (let n = 0; n < this.#tx.size; n++) {
      const view = this.#tx.takeResponse()
      if (view === undefined) break
      const { id, status } = netif_tx_response.x64.copy(view)
      // Slots of extra information are answered too, as NULL.
      if (status !== NETIF_RSP.NULL) this.#done.set(id, status)
    }
    if (this.#done.size > 1000) this.#done.clear()
    this.#tx.finalCheck()
  }

  /** Takes filled buffers, and gives them back to be filled again. */
  #takeReceived(): void {
    for (let n = 0; n < this.#rx.size; n++) {
      const view = this.#rx.takeResponse()
      if (view === undefined) break
      const { id, offset, status } = netif_rx_response.x64.copy(view)
      const buffer = this.#rxData[id]
      if (buffer === undefined) continue
      if (status > 0) this.#received.push(this.#guest.bytes(buffer.gfn).slice(offset, offset + status))
      this.#rx.putRequest(netif_rx_request.x64.bytes({ id, gref: buffer.ref }))
    }
    if (this.#received.length > 100) this.#received.splice(0, 50)
    this.#rx.finalCheck()
    if (this.#rx.pushRequests()) this.#notify()
  }

  #notify(): void {
    for (const port of this.ports) this.#guest.notify(port)
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length >= b.length && b.every((byte, i) => byte === a[i])

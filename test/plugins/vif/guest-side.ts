/**
 * The guest's end of one queue: real rings, pages that are granted by number, and a host side that keeps what it got.
 * Grants, events and time are stand-ins; what a whole guest does is in the system tests and in the contract.
 */
import { domid, type Gref } from '../../../src/base/brand.ts'
import { createLog } from '../../../src/base/log.ts'
import { Credit } from '../../../src/plugins/vif/credit.ts'
import type { FrameBatch, HostPort } from '../../../src/plugins/vif/port.ts'
import { RxService } from '../../../src/plugins/vif/rx.ts'
import { TxService } from '../../../src/plugins/vif/tx.ts'
import {
  netif_extra_info,
  netif_extra_mcast,
  netif_rx_request,
  netif_rx_response,
  netif_tx_request,
  netif_tx_response,
} from '../../../src/xen/abi/io/netif.ts'
import { BackRing, FrontRing } from '../../../src/xen/ring/ring.ts'
import type { GnttabClient } from '../../../src/xen/xenhost.ts'

const GUEST = domid(6)
const page = () => new Uint8Array(new SharedArrayBuffer(4096))

export class Cable implements HostPort {
  readonly headroom: number
  readonly maxFrameBytes: number
  readonly isVerified = true
  readonly description = 'a cable'
  readonly sent: Uint8Array[] = []
  isFull = false
  constructor(headroom: number, maxFrameBytes: number) {
    this.headroom = headroom
    this.maxFrameBytes = maxFrameBytes
  }
  listen(): void {}
  send({ bytes, frames }: FrameBatch): boolean {
    let at = frames[0]!.byteOffset
    for (const frame of frames) {
      if (frame.byteOffset !== at || frame.buffer !== bytes.buffer) throw new Error('a gap between frames')
      if (at - this.headroom < bytes.byteOffset) throw new Error('no room before a frame')
      at += frame.length + this.headroom
      this.sent.push(frame.slice())
    }
    return !this.isFull
  }
  pause(): void {}
  resume(): void {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

export interface GuestOptions {
  readonly headroom?: number
  readonly maxFrameBytes?: number
  readonly rate?: readonly [bytes: number, intervalUs: number]
  readonly scatterGather?: boolean
  readonly xdpHeadroom?: number
  readonly startAt?: number
}

export interface Slot {
  readonly ref?: number
  readonly offset?: number
  readonly size: number
  readonly flags?: number
}

export class GuestSide {
  readonly pages = new Map<number, Uint8Array>()
  readonly cable: Cable
  readonly tx: TxService
  readonly rx: RxService
  readonly txRing: FrontRing
  readonly rxRing: FrontRing
  readonly txPage = page()
  readonly broken: string[] = []
  readonly joined: string[] = []
  nowUs = 0
  notified = 0
  #tasks: (() => void)[] = []
  #timers: { at: number; task: () => void }[] = []
  #nextId = 0
  #posted = 0

  constructor(options: GuestOptions = {}) {
    const {
      headroom = 4,
      maxFrameBytes = 65535,
      rate,
      scatterGather = true,
      xdpHeadroom = 0,
      startAt = 0,
    } = options
    this.cable = new Cable(headroom, maxFrameBytes)
    const rxPage = page()
    this.txRing = new FrontRing([this.txPage], { entryBytes: netif_tx_request.size }, startAt)
    this.rxRing = new FrontRing([rxPage], { entryBytes: netif_rx_request.size }, startAt)
    const common = {
      gnttab: this.#gnttab(),
      otherend: GUEST,
      notify: () => {
        this.notified++
      },
      broken: (why: string) => this.broken.push(why),
    }
    this.tx = new TxService({
      ...common,
      ring: new BackRing([this.txPage], { entryBytes: netif_tx_request.size }, startAt),
      port: this.cable,
      credit: rate === undefined ? undefined : new Credit(...rate, 0),
      nowUs: () => this.nowUs,
      after: (us, task) => {
        const timer = { at: this.nowUs + us, task }
        this.#timers.push(timer)
        return () => void this.#timers.splice(this.#timers.indexOf(timer), 1)
      },
      defer: (task) => this.#tasks.push(task),
      joinGroup: (address, join) => {
        this.joined.push(`${join ? '+' : '-'}${Buffer.from(address).toString('hex')}`)
        return this.joined.length < 3
      },
      log: createLog(() => {}),
    })
    this.rx = new RxService({
      ...common,
      ring: new BackRing([rxPage], { entryBytes: netif_rx_request.size }, startAt),
      scatterGather,
      xdpHeadroom,
    })
  }

  #gnttab(): GnttabClient {
    return {
      map: () => {
        throw new Error('nothing is mapped here')
      },
      copy: (ops) =>
        ops.map(({ ref, offset, length, direction, local, localOffset }) => {
          const granted = this.pages.get(ref)
          if (granted === undefined) return -3
          if (offset + length > 4096) return -10
          if (direction === 'to-guest') granted.set(local.subarray(localOffset, localOffset + length), offset)
          else local.set(granted.subarray(offset, offset + length), localOffset)
          return 0
        }),
    }
  }

  /** Grants the bytes as pages from a reference on; answers slots of at most `share` bytes. */
  place(frame: Uint8Array, ref: number, share = 4096, flags = 0): Slot[] {
    const slots: Slot[] = []
    for (let at = 0; at < frame.length; at += share) {
      const piece = frame.subarray(at, at + share)
      const granted = new Uint8Array(4096)
      const offset = 4096 - piece.length
      granted.set(piece, offset)
      this.pages.set(ref + slots.length, granted)
      const more = at + share < frame.length ? 4 : 0
      const isFirst = at === 0
      slots.push({
        ref: ref + slots.length,
        offset,
        size: isFirst ? frame.length : piece.length,
        flags: more | (isFirst ? flags : 0),
      })
    }
    return slots
  }

  put({ ref = 0, offset = 0, size, flags = 0 }: Slot): number {
    const id = this.#nextId++ & 0xffff
    const request = netif_tx_request.x64.bytes({ gref: ref as Gref, offset, size, flags, id })
    if (!this.txRing.putRequest(request)) throw new Error('the ring is full')
    return id
  }
  putExtra(extra: { type: number; flags?: number; gso_size?: number; gso_type?: number }): void {
    this.#putEntry(netif_extra_info.x64.bytes(extra))
  }
  putGroup(type: number, addr: Uint8Array): void {
    this.#putEntry(netif_extra_mcast.x64.bytes({ type, addr }))
  }
  #putEntry(bytes: Uint8Array): void {
    const entry = new Uint8Array(netif_tx_request.size)
    entry.set(bytes)
    this.#nextId++
    if (!this.txRing.putRequest(entry)) throw new Error('the ring is full')
  }

  /** Sends what was put; runs what was put off; answers statuses in the order of the ring, `null` for extra slots. */
  kick(): (number | null)[] {
    this.txRing.pushRequests()
    this.tx.service()
    return this.settle()
  }
  settle(): (number | null)[] {
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) task()
    const statuses: (number | null)[] = []
    for (let view = this.txRing.takeResponse(); view !== undefined; view = this.txRing.takeResponse()) {
      const { status } = netif_tx_response.x64.copy(view)
      statuses.push(status === 1 ? null : status)
    }
    this.txRing.finalCheck()
    return statuses
  }
  /** Lets time pass until the next timer. False: there is none. */
  wait(): boolean {
    const timer = this.#timers.shift()
    if (timer === undefined) return false
    this.nowUs = timer.at
    timer.task()
    return true
  }

  /** Posts empty pages, references 1000 and on. */
  post(count: number): void {
    for (let n = 0; n < count; n++) {
      const id = this.#posted++
      this.pages.set(1000 + id, new Uint8Array(4096))
      if (!this.rxRing.putRequest(netif_rx_request.x64.bytes({ id, gref: 1000 + id })))
        throw new Error('full')
    }
    this.rxRing.pushRequests()
    this.rx.service()
  }
  /** Responses as they are; extra slots among them, as bytes. */
  received(): { id: number; offset: number; flags: number; status: number; raw: Uint8Array }[] {
    const out = []
    for (let view = this.rxRing.takeResponse(); view !== undefined; view = this.rxRing.takeResponse())
      out.push({ ...netif_rx_response.x64.copy(view), raw: new Uint8Array(view.buffer) })
    this.rxRing.finalCheck()
    return out
  }
}

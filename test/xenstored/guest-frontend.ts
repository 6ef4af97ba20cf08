/** A guest's side of the xenstore ring, scripted by a test: real page, real indices, real packets. */
import { type Domid, gfn, type Port, port } from '../../src/base/brand.ts'
import { MachineMemory, PAGE_SIZE, planMachine } from '../../src/base/machine-memory.ts'
import { BytePipe, XENSTORE_RING } from '../../src/xen/ring/byte-ring.ts'
import {
  encodePacket,
  latin1,
  latin1Bytes,
  type Packet,
  PacketReader,
  XS,
} from '../../src/xen/xenstore/wire.ts'
import type { GuestLinkOptions } from '../../src/xenstored/guest-link.ts'

const RING_GFN = 100

export class GuestFrontend {
  readonly memory = MachineMemory.create(planMachine(16 << 20, 1)!)
  readonly base = this.memory.hostOffset(RING_GFN * PAGE_SIZE)
  readonly events: string[] = []
  readonly #pipe = new BytePipe(this.memory, this.base, XENSTORE_RING, 'frontend')
  #waiters: (() => void)[] = []
  #lastPut: Promise<void> = Promise.resolve()
  readonly #listeners = new Set<() => void>()
  readonly #answers = new Map<number, Packet>()
  readonly #reader = new PacketReader()
  #lastId = 0
  /** The guest does not look at its ring. */
  asleep = false

  options(domid: Domid, socketPath: string, introduce?: { port: Port }): GuestLinkOptions {
    return {
      memory: this.memory,
      gfn: gfn(RING_GFN),
      domid,
      socketPath,
      ...(introduce && { introduce }),
      onGuestEvent: (listener) => {
        this.#listeners.add(listener)
        return () => this.#listeners.delete(listener)
      },
      notifyGuest: () => setImmediate(() => this.look()),
    }
  }

  static readonly port: Port = port(1)

  /** How many listen to the guest's channel. */
  get listeners(): number {
    return this.#listeners.size
  }

  notify(): void {
    for (const listener of this.#listeners) listener()
  }

  field(offset: number, value?: number): number {
    const index = (this.base + offset) >> 2
    if (value !== undefined) this.memory.i32[index] = value
    return this.memory.i32[index]!
  }

  /** Takes what is in the ring. */
  look(): void {
    if (this.asleep) return
    const chunk = new Uint8Array(1024)
    for (let count = this.#pipe.read(chunk); count > 0; count = this.#pipe.read(chunk)) {
      for (const packet of this.#reader.push(chunk.subarray(0, count))) {
        if (packet.type === XS.WATCH_EVENT)
          this.events.push(latin1(packet.payload).split('\0').join(' ').trimEnd())
        else this.#answers.set(packet.reqId, packet)
      }
      this.notify()
    }
    for (const wake of this.#waiters.splice(0)) wake()
  }

  /** Puts bytes on the ring, waiting for room; one after the other. */
  put(bytes: Uint8Array): Promise<void> {
    this.#lastPut = this.#lastPut.then(() => this.#put(bytes))
    return this.#lastPut
  }

  async #put(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const count = this.#pipe.write(bytes.subarray(at))
      if (count < 0) throw new Error('ring broken')
      at += count
      this.notify()
      if (at < bytes.length) await this.#news()
    }
  }

  /** Sends one request; resolves with the payload of the answer, or with what the ERROR says. */
  async ask(name: keyof typeof XS, payload: string, txId = 0): Promise<string> {
    const reqId = ++this.#lastId
    await this.put(encodePacket({ type: XS[name], reqId, txId, payload: latin1Bytes(payload) }))
    for (;;) {
      const answer = this.#answers.get(reqId)
      this.#answers.delete(reqId)
      if (answer !== undefined) return latin1(answer.payload).replace(/\0$/, '')
      await this.#news()
    }
  }

  /** Waits until the guest has been told of `event`. */
  async told(event: string): Promise<void> {
    while (!this.events.includes(event)) await this.#news()
  }

  /** Waits until a field of the page has a value. */
  async becomes(offset: number, value: number): Promise<void> {
    while (this.field(offset) !== value) await new Promise((resolve) => setTimeout(resolve, 2))
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }
}

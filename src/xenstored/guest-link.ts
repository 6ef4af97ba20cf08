/**
 * Carries a guest's xenstore ring to the store and back (xen-abi: xenstore page; docs/misc/xenstore-ring.txt).
 * Whole packets only, and requests are kept until they are answered: when the store restarts, the guest notices
 * nothing, what it asked is asked again. (Asked twice if the store died after doing it and before saying so: only
 * the end of a transaction shows that, as ENOENT.) Understands the ring's reconnection and error fields.
 */
import { connect, type Socket } from 'node:net'
import type { Domid, Gfn, Port } from '../base/brand.ts'
import type { XtError } from '../base/errors.ts'
import { type GuestMemory, PAGE_SIZE } from '../base/machine-memory.ts'
import { BROKEN, BytePipe, XENSTORE_RING } from '../xen/ring/byte-ring.ts'
import { SERVER_FEATURES } from '../xen/xenstore/requests.ts'
import { encodePacket, type Packet, PacketReader, XS } from '../xen/xenstore/wire.ts'
import { describePacket } from './describe-packet.ts'
import { errors } from './errors.ts'
import { GUEST_WELCOME, type GuestHello } from './places.ts'

export interface GuestLinkOptions {
  readonly memory: GuestMemory
  /** Frame of the guest's ring page; something must be mapped there. */
  readonly gfn: Gfn
  readonly domid: Domid
  /**
   * The guest's store port: the domain is then introduced with this link (@introduceDomain), and released when the
   * link ends or this process dies (@releaseDomain, and its nodes lose their owner: remove the tree before or
   * after). Without it the domain must be introduced before, and is released by RELEASE.
   */
  readonly introduce?: { readonly port: Port }
  /** The store's guest socket. */
  readonly socketPath: string
  /** Calls the listener each time the guest notifies its store channel; answers how to end that. */
  readonly onGuestEvent: (listener: () => void) => () => void
  /** Notifies the guest's store port. */
  readonly notifyGuest: () => void
  /** Gets what the guest asks and is told, while somebody looks. */
  readonly trace?: { readonly isOn: boolean; store(text: string): void }
  /** Called when the store is gone, e.g. `() => ensureXenstored(runDir)`; without it the link ends then. */
  readonly revive?: () => Promise<unknown>
}

export interface GuestLink extends AsyncDisposable {
  /** Resolves when the link has ended; `why` is for people. */
  readonly closed: Promise<{ readonly why: string }>
  /** Ends the link: the store forgets the guest's watches and transactions. */
  close(): Promise<void>
}

/** Fields behind the rings in struct xenstore_domain_interface. */
const FIELD = { serverFeatures: 0x810, connection: 0x814, error: 0x818 } as const
/** Values of `connection` and `error`. */
const CONNECTED = 0
const RECONNECT = 1
const ERROR_RINGIDX = 2
const ERROR_PROTO = 3
/** Requests that are on their way to the store at a time; the guest's own limit in the store is lower. */
const MAX_UNANSWERED = 64
const MAX_ATTEMPTS = 10
/** Bytes of answers that may wait for room in the ring. */
const MAX_WAITING_BYTES = 65536
const MAX_ANSWER_BYTES = 200

/** Connects a guest's ring. Rejects with XT_XENSTORED_GUEST_REFUSED, e.g. if the domain is not introduced. */
export async function attachGuestStore(options: GuestLinkOptions): Promise<GuestLink> {
  const base = options.memory.hostOffset(options.gfn * PAGE_SIZE)
  if (base < 0)
    throw errors.XT_XENSTORED_GUEST_REFUSED(options.domid, `nothing is mapped at frame ${options.gfn}`)
  const link = new RingLink(options, base)
  await link.open()
  return link
}

class RingLink implements GuestLink {
  readonly closed: Promise<{ readonly why: string }>
  readonly #options: GuestLinkOptions
  readonly #base: number
  readonly #pipe: BytePipe
  readonly #unsubscribe: () => void
  readonly #chunk = new Uint8Array(1024)
  #requests = new PacketReader()
  #unanswered: Uint8Array[] = []
  #answers: Uint8Array[] = []
  #waitingBytes = 0
  #socket: Socket | undefined
  /** Answers that are still to be thrown away before a reset is done. */
  #discard = 0
  /** The guest broke the protocol: nothing is read from its ring until it asks for a reconnection. */
  #ignored = false
  #ended = false
  #resolveClosed: (end: { readonly why: string }) => void = () => {}

  constructor(options: GuestLinkOptions, base: number) {
    this.#options = options
    this.#base = base
    this.#pipe = new BytePipe(options.memory, base, XENSTORE_RING)
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#setField(FIELD.serverFeatures, SERVER_FEATURES)
    this.#unsubscribe = options.onGuestEvent(() => this.#onGuestEvent())
  }

  /** The first connection. */
  async open(): Promise<void> {
    try {
      this.#serve(await greet(this.#options, false))
    } catch (error) {
      this.#end((error as Error).message)
      throw error
    }
  }

  async close(): Promise<void> {
    this.#end('closed')
    await this.closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #serve({ socket, rest }: Greeted): void {
    const answers = new PacketReader()
    const receive = (bytes: Uint8Array) => {
      for (const packet of answers.push(bytes)) this.#receive(packet)
      this.#pump()
    }
    this.#socket = socket
    socket.on('data', receive)
    socket.on('drain', () => this.#pump())
    socket.on('close', () => {
      if (this.#socket === socket) void this.#lost()
    })
    for (const request of this.#unanswered) socket.write(request)
    receive(rest)
  }

  #receive(packet: Packet): void {
    const { trace } = this.#options
    if (trace?.isOn) trace.store(describePacket(packet, true))
    if (packet.type !== XS.WATCH_EVENT) this.#unanswered.shift()
    if (this.#discard === 0) {
      const bytes = encodePacket(packet)
      this.#answers.push(bytes)
      this.#waitingBytes += bytes.length
    } else if (packet.type !== XS.WATCH_EVENT && --this.#discard === 0) this.#onReset()
  }

  #onGuestEvent(): void {
    const asks = this.#field(FIELD.connection) === RECONNECT && this.#discard === 0
    if (asks) this.#reconnect()
    else this.#pump()
  }

  /** Moves what can be moved in both directions, and tells the guest if anything was. */
  #pump(): void {
    if (this.#ended) return
    let moved = 0
    while (!this.#ignored && this.#answers.length > 0) {
      const bytes = this.#answers[0]!
      const count = this.#pipe.write(bytes)
      if (count === BROKEN) this.#ignore(ERROR_RINGIDX)
      if (count <= 0) break
      moved += count
      this.#waitingBytes -= count
      if (count < bytes.length) this.#answers[0] = bytes.subarray(count)
      else this.#answers.shift()
    }
    while (!this.#ignored && this.#mayRead()) {
      const count = this.#pipe.read(this.#chunk)
      if (count === BROKEN) this.#ignore(ERROR_RINGIDX)
      if (count <= 0) break
      moved += count
      for (const packet of this.#requests.push(this.#chunk.subarray(0, count))) {
        const { trace } = this.#options
        if (trace?.isOn) trace.store(describePacket(packet, false))
        const bytes = encodePacket(packet)
        this.#unanswered.push(bytes)
        this.#socket?.write(bytes)
      }
      if (this.#requests.broken) this.#ignore(ERROR_PROTO)
    }
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.#socket?.pause()
    else this.#socket?.resume()
    if (moved > 0) this.#options.notifyGuest()
  }

  #mayRead(): boolean {
    return this.#unanswered.length < MAX_UNANSWERED && this.#socket?.writableNeedDrain !== true
  }

  /** GUEST: indices or lengths that cannot be: the ring is left alone, and the page says why. */
  #ignore(error: number): void {
    this.#ignored = true
    this.#setField(FIELD.error, error)
  }

  /** The guest asks for a fresh start: both rings empty, no watches, no transactions. */
  #reconnect(): void {
    const reset = encodePacket({ type: XS.RESET_WATCHES, reqId: 0, txId: 0, payload: new Uint8Array(1) })
    this.#requests = new PacketReader()
    this.#answers = []
    this.#waitingBytes = 0
    this.#ignored = true
    // Answers to what the guest has forgotten go nowhere; the last of them ends the reset.
    this.#unanswered.push(reset)
    this.#discard = this.#unanswered.length
    this.#socket?.write(reset)
  }

  #onReset(): void {
    this.#ignored = false
    this.#pipe.reset()
    this.#setField(FIELD.error, 0)
    // ORDER: the guest uses the rings again when it sees this field change.
    this.#setField(FIELD.connection, CONNECTED)
    this.#options.notifyGuest()
  }

  async #lost(): Promise<void> {
    this.#socket = undefined
    if (this.#ended) return
    try {
      const greeted = await this.#again()
      if (this.#ended) greeted.socket.destroy()
      else this.#serve(greeted)
    } catch (error) {
      this.#end((error as Error).message)
    }
  }

  /** A store that was just revived may be killed again before it knows us. */
  async #again(): Promise<Greeted> {
    for (let attempt = 1; ; attempt++) {
      if (this.#options.revive === undefined)
        throw errors.XT_XENSTORED_UNREACHABLE(this.#options.socketPath, 'it is gone')
      await this.#options.revive()
      try {
        return await greet(this.#options, true)
      } catch (error) {
        const unreachable = (error as XtError).code === 'XT_XENSTORED_UNREACHABLE'
        if (!unreachable || attempt === MAX_ATTEMPTS) throw error
      }
    }
  }

  #end(why: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#unsubscribe()
    const socket = this.#socket
    this.#socket = undefined
    if (socket === undefined || socket.destroyed) this.#resolveClosed({ why })
    else {
      socket.once('close', () => this.#resolveClosed({ why }))
      socket.destroy()
    }
  }

  #field(offset: number): number {
    return Atomics.load(this.#options.memory.i32, (this.#base + offset) >> 2)
  }

  #setField(offset: number, value: number): void {
    Atomics.store(this.#options.memory.i32, (this.#base + offset) >> 2, value)
  }
}

interface Greeted {
  readonly socket: Socket
  /** Bytes of the wire that came with the store's answer. */
  readonly rest: Uint8Array
}

/** Says which domain this is and waits for the store's word. */
function greet(options: GuestLinkOptions, resume: boolean): Promise<Greeted> {
  return new Promise((resolve, reject) => {
    const give = (up: XtError) => {
      socket.destroy()
      reject(up)
    }
    const unreachable = (why: string) => give(errors.XT_XENSTORED_UNREACHABLE(options.socketPath, why))
    const socket = connect(options.socketPath)
    const { domid, gfn } = options
    const introduce = options.introduce && { introduce: { gfn, port: options.introduce.port } }
    const hello: GuestHello = { domid, resume, ...introduce }
    let head = Buffer.alloc(0)
    const onError = (error: Error) => unreachable(error.message)
    const onClose = () => unreachable('it ended the connection')
    const onData = (bytes: Buffer) => {
      head = Buffer.concat([head, bytes])
      const end = head.indexOf('\n')
      if (end < 0 && head.length < MAX_ANSWER_BYTES) return
      socket.off('data', onData)
      socket.off('error', onError)
      socket.off('close', onClose)
      socket.on('error', () => {})
      const answer = head.subarray(0, Math.max(end, 0)).toString()
      if (answer !== GUEST_WELCOME) give(errors.XT_XENSTORED_GUEST_REFUSED(options.domid, answer))
      else resolve({ socket, rest: head.subarray(end + 1) })
    }
    socket.on('error', onError)
    socket.on('close', onClose)
    socket.on('data', onData)
    socket.on('connect', () => socket.write(`${JSON.stringify(hello)}\n`))
  })
}

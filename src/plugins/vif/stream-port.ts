/**
 * A port over a byte stream of another program: frames with their length before them. passt has 4 bytes of length and
 * one socket, vde_plug 2 and two pipes.
 */
import type { Readable, Writable } from 'node:stream'
import { FrameReader } from './frame-reader.ts'
import { ETHERNET_HEADER, viewOf } from './packet.ts'
import type { FrameBatch, HostPort, PortHandlers } from './port.ts'

/** What may wait to be written before `send` says that it is enough. */
const ENOUGH_BYTES = 1024 * 1024
/**
 * What is written at once, if it is more than one frame. passt (2023) loses its place in the stream if it finds a
 * length or a frame in too many pieces; what is written in one piece of this size arrives as one.
 */
const PIECE_BYTES = 32 * 1024

export interface StreamPortOptions {
  readonly from: Readable
  readonly to: Writable
  readonly lengthBytes: 2 | 4
  readonly maxFrameBytes: number
  readonly isVerified: boolean
  readonly description: string
  /** What the guest gets in return for a frame besides what the program sends: see handshake.ts. */
  readonly answer?: ((frame: Uint8Array) => Uint8Array | undefined) | undefined
  /** Ends the program. */
  readonly end: () => Promise<void>
}

export class StreamPort implements HostPort {
  readonly headroom: number
  readonly maxFrameBytes: number
  readonly isVerified: boolean
  readonly description: string
  readonly #options: StreamPortOptions
  readonly #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #isWriting = false
  #isFull = false
  #drained = () => {}
  #receive: PortHandlers['receive'] = () => {}
  #isClosed = false

  constructor(options: StreamPortOptions) {
    this.headroom = options.lengthBytes
    this.maxFrameBytes = options.maxFrameBytes
    this.isVerified = options.isVerified
    this.description = options.description
    this.#options = options
  }

  listen(handlers: PortHandlers): void {
    const { from, to, lengthBytes, maxFrameBytes } = this.#options
    const reader = new FrameReader(lengthBytes, Math.max(maxFrameBytes, 0xffff))
    const over = (why: string) => {
      if (this.#isClosed) return
      this.#isClosed = true
      from.removeAllListeners('data')
      handlers.closed(why)
    }
    from.on('data', (piece: Uint8Array) => {
      const frames = reader.push(piece)
      if (frames === undefined) return over('it sent something that is no frame')
      const whole = frames.filter(({ length }) => length >= ETHERNET_HEADER)
      if (whole.length > 0) handlers.receive(whole)
    })
    from.on('end', () => over('it has ended'))
    from.on('error', (error) => over(error.message))
    to.on('error', (error) => over(error.message))
    this.#drained = () => handlers.drained()
    this.#receive = (frames) => handlers.receive(frames)
    // It may have been read from, and paused, before.
    from.resume()
  }

  send({ bytes, frames }: FrameBatch): boolean {
    if (this.#isClosed) return true
    const { headroom } = this
    const view = viewOf(bytes)
    let from = frames[0]!.byteOffset - bytes.byteOffset - headroom
    let to = from
    const push = (end: number) => {
      if (end === from) return
      this.#waiting.push(bytes.subarray(from, end))
      this.#waitingBytes += end - from
      from = end
    }
    for (const { length } of frames) {
      if (to + headroom + length - from > PIECE_BYTES) push(to)
      if (headroom === 2) view.setUint16(to, length)
      else view.setUint32(to, length)
      to += headroom + length
    }
    push(to)
    this.#write()
    this.#answer(frames)
    this.#isFull = this.#waitingBytes > ENOUGH_BYTES
    return !this.#isFull
  }

  #answer(frames: readonly Uint8Array[]): void {
    const { answer } = this.#options
    if (answer === undefined) return
    const answers = frames.map(answer).filter((frame) => frame !== undefined)
    // The guest's packet is not answered yet: whoever sends is in the middle of its ring.
    if (answers.length > 0) setImmediate(() => this.#isClosed || this.#receive(answers))
  }

  /** One piece after the other: the stream would join those that wait. */
  #write(): void {
    if (this.#isWriting || this.#isClosed) return
    const piece = this.#waiting.shift()
    if (piece === undefined) return
    this.#isWriting = true
    this.#options.to.write(piece, () => {
      this.#isWriting = false
      this.#waitingBytes -= piece.length
      if (this.#isFull && this.#waitingBytes <= ENOUGH_BYTES / 2) {
        this.#isFull = false
        this.#drained()
      }
      this.#write()
    })
  }

  pause(): void {
    this.#options.from.pause()
  }
  resume(): void {
    this.#options.from.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#options.end()
  }
}

/**
 * A port over a byte stream of another program: frames with their length before them. passt has 4 bytes of length and
 * one socket, vde_plug 2 and two pipes.
 */
import type { Readable, Writable } from 'node:stream'
import { FrameReader } from './frame-reader.ts'
import { ETHERNET_HEADER, viewOf } from './packet.ts'
import type { FrameBatch, HostPort, PortHandlers } from './port.ts'

/** What may wait in the stream before `send` says that it is enough. */
const ENOUGH_BYTES = 1024 * 1024

export interface StreamPortOptions {
  readonly from: Readable
  readonly to: Writable
  readonly lengthBytes: 2 | 4
  readonly maxFrameBytes: number
  readonly isVerified: boolean
  readonly description: string
  /** Ends the program. */
  readonly end: () => Promise<void>
}

export class StreamPort implements HostPort {
  readonly headroom: number
  readonly maxFrameBytes: number
  readonly isVerified: boolean
  readonly description: string
  readonly #options: StreamPortOptions
  #isFull = false
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
    to.on('drain', () => {
      if (!this.#isFull) return
      this.#isFull = false
      handlers.drained()
    })
    // It may have been read from, and paused, before.
    from.resume()
  }

  send({ bytes, frames }: FrameBatch): boolean {
    const { to, lengthBytes } = this.#options
    if (this.#isClosed) return true
    const view = viewOf(bytes)
    for (const frame of frames) {
      const at = frame.byteOffset - bytes.byteOffset - lengthBytes
      if (lengthBytes === 2) view.setUint16(at, frame.length)
      else view.setUint32(at, frame.length)
    }
    const first = frames[0]!
    const last = frames.at(-1)!
    const from = first.byteOffset - bytes.byteOffset - lengthBytes
    to.write(bytes.subarray(from, last.byteOffset - bytes.byteOffset + last.length))
    this.#isFull = to.writableNeedDrain && to.writableLength > ENOUGH_BYTES
    return !this.#isFull
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

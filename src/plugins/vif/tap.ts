/**
 * A tap device of the host, for bridges and for Xen's hotplug scripts; for root. It is named as on Xen (vif1.0) and goes
 * with the domain process.
 *
 * Frames are read in a thread of their own (tap-reader.ts), for reading waits. TUNSETIFF is an ioctl, called through
 * koffi. Frames go without the header for offloads: what the guest sends is cut into segments here.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { vifErrors } from './errors.ts'
import type { FrameBatch, HostPort, PortHandlers } from './port.ts'

const TUNSETIFF = 0x400454ca
const IFF_TAP = 0x0002
const IFF_NO_PI = 0x1000
const IFF_TUN_EXCL = 0x8000
/** Sizes of struct ifreq and of the name in it. */
const IFREQ_BYTES = 40
const IFNAMSIZ = 16
/** An Ethernet header with a VLAN tag. */
const HEADER_BYTES = 18

/** Words that a port and its reading thread share. */
export const READER_WORDS = { isOver: 0, isPaused: 1, underway: 2 } as const
export interface ReaderData {
  readonly fd: number
  readonly words: SharedArrayBuffer
}
/** What the thread says: frames one behind the other, or that the device is gone. */
export type ReaderMessage =
  | { readonly bytes: Uint8Array; readonly lengths: readonly number[] }
  | { readonly gone: true }

/** @throws XtError XT_VIF_TAP */
export async function openTap(name: string, device: string): Promise<TapPort> {
  let fd: number
  try {
    fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    throw vifErrors.XT_VIF_TAP(name, device, (error as Error).message)
  }
  try {
    const { default: koffi } = await import('koffi')
    const ioctl = koffi.load('libc.so.6').func('int ioctl(int, unsigned long, void *)')
    const request = Buffer.alloc(IFREQ_BYTES)
    request.write(device, 0, IFNAMSIZ - 1, 'latin1')
    request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL, IFNAMSIZ)
    if (ioctl(fd, TUNSETIFF, request) !== 0) throw new Error(`TUNSETIFF: errno ${koffi.errno()}`)
    return new TapPort(fd, device)
  } catch (error) {
    closeSync(fd)
    throw vifErrors.XT_VIF_TAP(name, device, (error as Error).message)
  }
}

export class TapPort implements HostPort {
  readonly headroom = 0
  readonly isVerified = false
  /** Follows the device's MTU. */
  maxFrameBytes = 1500 + HEADER_BYTES
  description: string
  readonly #fd: number
  readonly #words = new Int32Array(new SharedArrayBuffer(12))
  #worker: Worker | undefined
  #ended: Promise<unknown> = Promise.resolve()

  constructor(fd: number, device: string) {
    this.#fd = fd
    this.description = `tap device ${device}`
  }

  setMtu(mtu: number): void {
    this.maxFrameBytes = mtu + HEADER_BYTES
  }

  listen(handlers: PortHandlers): void {
    const isSource = import.meta.url.endsWith('.ts')
    const url = new URL(isSource ? './tap-reader.ts' : './tap-reader.js', import.meta.url)
    const workerData: ReaderData = { fd: this.#fd, words: this.#words.buffer as SharedArrayBuffer }
    const worker = new Worker(url, { workerData, name: this.description })
    worker.on('message', (message: ReaderMessage) => {
      if ('gone' in message) return handlers.closed('the device has been removed')
      let at = 0
      const frames = message.lengths.map((length) => {
        at += length
        return message.bytes.subarray(at - length, at)
      })
      handlers.receive(frames)
      Atomics.sub(this.#words, READER_WORDS.underway, 1)
      Atomics.notify(this.#words, READER_WORDS.underway)
    })
    worker.on('error', (error) => handlers.closed(error.message))
    this.#ended = new Promise((settle) => worker.once('exit', settle))
    worker.unref()
    this.#worker = worker
  }

  send({ frames }: FrameBatch): boolean {
    for (const frame of frames) {
      try {
        writeSync(this.#fd, frame)
      } catch {
        // The device is down, or its queue is full: the frame is lost as on a cable.
      }
    }
    return true
  }

  pause(): void {
    Atomics.store(this.#words, READER_WORDS.isPaused, 1)
  }
  resume(): void {
    Atomics.store(this.#words, READER_WORDS.isPaused, 0)
    Atomics.notify(this.#words, READER_WORDS.isPaused)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Atomics.store(this.#words, READER_WORDS.isOver, 1)
    Atomics.store(this.#words, READER_WORDS.underway, 0)
    Atomics.notify(this.#words, READER_WORDS.underway)
    this.resume()
    this.#worker?.ref()
    await this.#ended
    closeSync(this.#fd)
  }
}

/**
 * What happens in a domain, as it happens, for `xt trace`: one ring of records per thread in shared memory, written
 * without a lock by its thread and read by one reader. While nobody looks, a thread reads one word and goes on.
 *
 * A ring that is full drops records and counts them. Time comes from the writer: milliseconds, the same clock on all
 * threads of the process. The area lies behind the state of the domain (shared-state.ts).
 */
import { MAX_VCPUS } from '../base/machine-memory.ts'
import { DOORBELLS, type SharedState, TRACE_RING_BYTES } from './shared-state.ts'
import type { DeviceTrace } from './xenhost.ts'

export const TRACE_KINDS = ['hypercall', 'event', 'store', 'ring'] as const
export type TraceKind = (typeof TRACE_KINDS)[number]

interface Common {
  readonly timeMs: number
  /** `vcpu 0`, or `dom0` for what a backend did. */
  readonly source: string
}
export type TraceRecord = Common &
  (
    | {
        readonly kind: 'hypercall'
        readonly nr: number
        readonly args: readonly bigint[]
        readonly result: bigint
        /** First word of the argument structure. */
        readonly first: number
      }
    | { readonly kind: 'event'; readonly way: EventWay; readonly port: number; readonly device: string }
    /** Of a device, or of `xenstore`. */
    | { readonly kind: 'store' | 'ring'; readonly device: string; readonly text: string }
  )

const EVENT_WAYS = ['from guest', 'to guest', 'in guest'] as const
/** `port` is the guest's. `in guest`: between its vCPUs. */
export type EventWay = (typeof EVENT_WAYS)[number]

/** Head of a ring, as 32-bit words. Counts are of slots of 8 bytes and run freely modulo 2^32. */
const HEAD = 0
const TAIL = 1
const DROPPED = 2
const HEADER_BYTES = 16
const SLOTS = (TRACE_RING_BYTES - HEADER_BYTES) / 8
/** Longest text of a record in bytes. */
const LONGEST_TEXT = 512

/** Rings of vCPUs come first, then those of threads of backends. */
export const vcpuRing = (vcpu: number): number => vcpu
export const backendRing = (doorbell: number): number => MAX_VCPUS + doorbell
const RINGS = MAX_VCPUS + DOORBELLS

/** One thread's pen. */
export class TraceWriter {
  readonly #state: SharedState
  readonly #ring: number
  readonly #now: () => number
  readonly #flag: number
  readonly #f64: Float64Array<SharedArrayBuffer>

  constructor(state: SharedState, ring: number, now: () => number) {
    this.#state = state
    this.#ring = ring
    this.#now = now
    this.#flag = state.traceFlag
    this.#f64 = state.f64
  }

  /** A plain read: a record more or less when it is switched is no harm. */
  get isOn(): boolean {
    return this.#state.i32[this.#flag] !== 0
  }

  hypercall(nr: number, args: readonly [bigint, bigint, bigint], result: bigint, first: number): void {
    const body = [BigInt(nr), ...args, result, BigInt(first)]
    this.#put('hypercall', body.length, (slot) => {
      for (const [n, value] of body.entries()) this.#state.u64[slot(n)] = BigInt.asUintN(64, value)
    })
  }

  event(way: EventWay, port: number, device: string): void {
    this.#text('event', `${EVENT_WAYS.indexOf(way)}\0${port}\0${device}`)
  }

  store(text: string): void {
    this.#text('store', `xenstore\0${text}`)
  }

  /** What a backend's handle has as `trace`. */
  forDevice(device: string): DeviceTrace {
    const isOn = () => this.isOn
    return {
      get isOn() {
        return isOn()
      },
      request: (text) => {
        if (this.isOn) this.#text('ring', `${device}\0${text()}`)
      },
    }
  }

  #text(kind: TraceKind, text: string): void {
    const bytes = new TextEncoder().encode(text).subarray(0, LONGEST_TEXT)
    const slots = 1 + Math.ceil(bytes.length / 8)
    this.#put(kind, slots, (slot) => {
      this.#state.u64[slot(0)] = BigInt(bytes.length)
      for (const [n, byte] of bytes.entries())
        this.#state.memory.u8[slot(1 + Math.floor(n / 8)) * 8 + (n % 8)] = byte
    })
  }

  /** A record: its length in slots and kind, the time, `body` slots. `fill` gets the index of each in 8-byte words. */
  #put(kind: TraceKind, body: number, fill: (slot: (n: number) => number) => void): void {
    const { i32 } = this.#state
    const at = this.#state.traceRing(this.#ring)
    const head = Atomics.load(i32, at + HEAD)
    const needed = body + 2
    if (((head - Atomics.load(i32, at + TAIL)) >>> 0) + needed > SLOTS) {
      Atomics.add(i32, at + DROPPED, 1)
      return
    }
    const slot = (n: number) => (at * 4 + HEADER_BYTES) / 8 + (((head + n) >>> 0) % SLOTS)
    i32[slot(0) * 2] = needed
    i32[slot(0) * 2 + 1] = TRACE_KINDS.indexOf(kind)
    this.#f64[slot(1)] = this.#now()
    fill((n) => slot(n + 2))
    // ORDER: the record is there before the count that shows it.
    Atomics.store(i32, at + HEAD, (head + needed) | 0)
  }
}

export interface TraceBatch {
  /** In the order of time. */
  readonly records: readonly TraceRecord[]
  /** Records that found no room since the last batch. */
  readonly dropped: number
}

/** The one reader of all rings. */
export class TraceReader {
  readonly #state: SharedState

  constructor(state: SharedState) {
    this.#state = state
  }

  /** Switches writing on or off; on: what is left from before is thrown away. */
  switch(on: boolean): void {
    if (on) this.take()
    Atomics.store(this.#state.i32, this.#state.traceFlag, on ? 1 : 0)
  }

  /** Everything that was written since the last call. */
  take(): TraceBatch {
    const { i32 } = this.#state
    const records: TraceRecord[] = []
    let dropped = 0
    for (let ring = 0; ring < RINGS; ring++) {
      const at = this.#state.traceRing(ring)
      dropped += Atomics.exchange(i32, at + DROPPED, 0)
      const head = Atomics.load(i32, at + HEAD)
      let tail = Atomics.load(i32, at + TAIL)
      if (head === tail) continue
      const source = ring < MAX_VCPUS ? `vcpu ${ring}` : 'dom0'
      while (tail !== head) {
        const first = tail
        const slot = (n: number) => (at * 4 + HEADER_BYTES) / 8 + (((first + n) >>> 0) % SLOTS)
        records.push(this.#record(slot, source))
        tail = (tail + i32[slot(0) * 2]!) | 0
      }
      Atomics.store(i32, at + TAIL, tail)
    }
    return { records: records.sort((a, b) => a.timeMs - b.timeMs), dropped }
  }

  #record(slot: (n: number) => number, source: string): TraceRecord {
    const { i32, u64, f64 } = this.#state
    const kind = TRACE_KINDS[i32[slot(0) * 2 + 1]!]!
    const timeMs = f64[slot(1)]!
    if (kind === 'hypercall') {
      const [nr, a1, a2, a3, result, first] = Array.from({ length: 6 }, (_, n) => u64[slot(n + 2)]!)
      const args = [a1!, a2!, a3!]
      return {
        timeMs,
        source,
        kind,
        nr: Number(nr),
        args,
        result: BigInt.asIntN(64, result!),
        first: Number(first),
      }
    }
    const [one = '', two = '', ...rest] = this.#text(slot).split('\0')
    if (kind === 'event')
      return { timeMs, source, kind, way: EVENT_WAYS[Number(one)]!, port: Number(two), device: rest.join('') }
    return { timeMs, source, kind, device: one, text: [two, ...rest].join(' ') }
  }

  #text(slot: (n: number) => number): string {
    const length = Number(this.#state.u64[slot(2)]!)
    const { u8 } = this.#state.memory
    const bytes = Uint8Array.from({ length }, (_, n) => u8[slot(3 + Math.floor(n / 8)) * 8 + (n % 8)]!)
    return new TextDecoder().decode(bytes)
  }
}

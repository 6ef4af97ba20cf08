/** What a domain process tells of what happens in it (control.ts, traceFetch; `xt trace --json`). Plain JSON. */

export const TRACE_KINDS = ['hypercall', 'event', 'store', 'ring'] as const

/** One record as JSON: `xt trace --json` prints one per line. */
export interface TraceLine {
  /** Milliseconds since 1970, with fractions. */
  readonly timeMs: number
  readonly kind: (typeof TRACE_KINDS)[number]
  /** `vcpu 0`, or `dom0` for what a backend or the store did. */
  readonly source: string
  /** `vbd/51712`, `xenstore`; absent where there is none. */
  readonly device?: string
  /** What happened, for people. */
  readonly text: string
  /** Of a hypercall. */
  readonly nr?: number
  readonly args?: readonly string[]
  readonly result?: string
  /** The guest's port of an event. */
  readonly port?: number
}
export interface TraceWish {
  /** Empty: all. */
  readonly kinds: readonly string[]
  readonly device?: string
}
export interface TraceAnswer {
  readonly lines: readonly TraceLine[]
  /** Records that were lost since the last batch, because they came faster than they could be kept. */
  readonly dropped: number
}

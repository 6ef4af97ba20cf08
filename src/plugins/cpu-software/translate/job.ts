/**
 * What a region is made of: micro-ops and how they follow one another, copied out of a vCPU's arena. Nothing in it
 * depends on where the code lies, neither linearly nor in memory: equal jobs have equal translations.
 */
import { HANDLERS, type Handler, SPECIALS } from '../handlers.ts'
import { UOP } from '../state.ts'

/** Instructions of a region, and pages that it may touch. */
export const MOST_INSTRUCTIONS = 128
export const MOST_PAGES = 8

/** Words per instruction in `shape`. `next` and `taken` are instructions of the job, -1 for none of them. */
export const SHAPE = { page: 0, next: 1, taken: 2, isEntry: 3, words: 4 } as const
/** Bytes per instruction in `uops`: the micro-op that makes its address, zeros without one, and its own. */
export const JOB_UOPS = { address: 0, own: UOP.size, size: 2 * UOP.size } as const

export interface RegionJob {
  /** Linear distance of each page from the first, in pages. */
  readonly pages: Int32Array
  readonly shape: Int32Array
  readonly uops: Uint8Array
}

/** A block's place in the finished region. */
export interface RegionEntry {
  readonly instruction: number
  /** Number of the entry, the index of its page in bits 8 and up. */
  readonly entry: number
}

/** How control leaves an instruction. `leave`: the interpreter executes it. */
export type Flow =
  | 'next'
  | 'conditional'
  | 'jump'
  | 'call'
  | 'jumpIndirect'
  | 'callIndirect'
  | 'return'
  | 'leave'

const FLOW: Readonly<Record<string, Flow>> = {
  'JMP:rel': 'jump',
  'JMP:near': 'jumpIndirect',
  'CALL:rel': 'call',
  'CALL:near': 'callIndirect',
  'RET:near': 'return',
  'RET:near imm': 'return',
}
const CONDITIONAL = /^(J[A-Z]+|LOOP(N?E)?)$/

/** Handlers by the number in a micro-op; undefined for the special ones. */
export const handlerOf = (number: number): Handler | undefined => HANDLERS[number - SPECIALS]

const flows = HANDLERS.map((handler): Flow => {
  const { key, facts, vector } = handler
  if (vector) return 'next'
  // Repeated string instructions are loops of their own; legacy code stays with the interpreter.
  if (!facts.long || / REP(NE)?$/.test(key)) return 'leave'
  return FLOW[key] ?? (CONDITIONAL.test(key) ? 'conditional' : 'next')
})
export const flowOf = (number: number): Flow => flows[number - SPECIALS] ?? 'leave'

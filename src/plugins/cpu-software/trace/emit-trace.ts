/**
 * The trace of a CPU whose core was built for it: every taken branch is an *event*, told when it arrives at its target,
 * with the registers as the first instruction there finds them. Falling through is none, nor is going on behind a page's
 * end or with the next element of a repeated string instruction: what is an event does not depend on which code ran in
 * the interpreter and which in regions, so the same guest has the same events in both.
 *
 * Counting, hashing and the answer when to poll are here; who wants to see events (trace.ts) is called for those that it
 * asked for.
 */
import { STATE } from '../state.ts'
import { type Expr, type FunctionWriter, i32, i64, load32, load64, op } from '../wasm/encoder.ts'
import { add, and32, ltU, mul, ne32, not32, or32, widen, wrap, xor } from '../wasm/operators.ts'

/**
 * What is hashed: `all`, or `registers` without the arithmetic flags. With `all` regions keep the flags at every branch;
 * else they leave out what nobody reads, as they usually do: a flag that somebody does read shows in where he branches.
 */
export type Traced = 'all' | 'registers'

/** (state, target) → 1 where the next thing to do is to poll. */
export const TRACE_TYPE = [['i32', 'i64'], ['i32']] as const

/** Odd, its bits without a pattern: 2^64 divided by the golden ratio. */
const MULTIPLIER = 0x9e37_79b9_7f4a_7c15n

export interface TraceParts {
  /** (target, hash) of an event that somebody wants to see. */
  readonly event: number
  readonly settleFlags: number
  /** (state) → RFLAGS. */
  readonly flagsImage: number
  /** Events between two polls, a power of two. */
  readonly pollBranches: number
  readonly traced: Traced
}

/** One more word in a hash: cheap, and no two sequences of words that differ once have the same. */
const mixed = (hash: Expr, word: Expr): Expr =>
  mul(xor(op('i64', 0x89, hash, i64(23)), word), i64(BigInt.asIntN(64, MULTIPLIER)))

export function emitTrace(f: FunctionWriter, parts: TraceParts): void {
  const [state, target] = [f.param(0), f.param(1)]
  const isAll = parts.traced === 'all'
  if (isAll) f.if(load32(4, state, STATE.lazyKind), () => f.do(parts.settleFlags, state))
  const count = f.keep(add(load64(8, state, STATE.traceCount), i64(1)))
  f.store64(8, state, count, STATE.traceCount)
  const hash = f.local('i64')
  const flags = isAll ? f.call(parts.flagsImage, 'i32', state) : load32(4, state, STATE.systemFlags)
  f.set(hash, mixed(target, widen(flags)))
  for (let n = 0; n < 16; n++) f.set(hash, mixed(f.get(hash), load64(8, state, STATE.gpr + n * 8)))
  f.store64(8, state, mixed(load64(8, state, STATE.traceHash), f.get(hash)), STATE.traceHash)
  f.if(not32(ltU(count, load64(8, state, STATE.traceFrom))), () => f.do(parts.event, target, f.get(hash)))
  // The number of events says when to poll, and whoever wants a look soon: not where the branch was taken.
  const soon = f.keep(load32(4, state, STATE.lookSoon))
  f.store32(4, state, i32(0), STATE.lookSoon)
  const due = not32(and32(wrap(count), i32(parts.pollBranches - 1)))
  f.return(or32(due, ne32(soon, i32(0))))
}

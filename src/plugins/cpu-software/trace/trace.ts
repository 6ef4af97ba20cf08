/** What is looked at from outside of a traced CPU (emit-trace.ts): how many events there were, and which are wanted. */
import type { CpuState } from '../cpu-state.ts'
import { STATE } from '../state.ts'

/** Events since the CPU was made. */
export function eventCount(state: CpuState): number {
  const low = (state.base + STATE.traceCount) / 4
  const { u32 } = state.memory
  return u32[low]! + u32[low + 1]! * 2 ** 32
}

/** The hash of all events so far, in their order. */
export const traceHash = (state: CpuState): bigint => state.word('traceHash')

/** `Cpu.onEvent` is called for every event from this number on; Infinity for none. */
export function wantEvents(state: CpuState, from: number): void {
  state.setWord('traceFrom', from === Number.POSITIVE_INFINITY ? (1n << 64n) - 1n : BigInt(from))
}

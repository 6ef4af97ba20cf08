/** Availability of MMX and SSE by CR0 and CR4, kept ready for the interpreter (SDM vol. 3, 2.5). */
import type { CpuState } from '../cpu-state.ts'
import { CR0, CR4 } from '../cpu-state.ts'
import { EXCEPTION } from '../read/vocabulary.ts'

/** Exceptions that MMX, SSE and x87 instructions raise for being there, 0 for none: kept in the state block for the interpreter. */
export function refreshFloat(state: CpuState): void {
  const cr0 = state.word('cr0')
  const emulated = (cr0 & CR0.EM) !== 0n
  const switched = (cr0 & CR0.TS) !== 0n
  const sse = emulated || (state.word('cr4') & CR4.OSFXSR) === 0n
  state.setHalf('sseFault', sse ? EXCEPTION.UD : switched ? EXCEPTION.NM : 0)
  state.setHalf('mmxFault', emulated ? EXCEPTION.UD : switched ? EXCEPTION.NM : 0)
}

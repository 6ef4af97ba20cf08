/** x87 control: FNINIT, FNCLEX, control and status word. Environment and state images: x87-images.ts. */

import {
  FCW_DEFAULT,
  FP_STATE,
  type FpCpu,
  getFcw,
  getFsw,
  setFcw,
  setFsw,
  setFtw,
  updateErrorSummary,
} from './state.ts'
import { DONE, type X87Run } from './x87-execution.ts'

/** FNINIT; the register contents stay, their tags say "empty". */
export function initialise(cpu: FpCpu): void {
  setFcw(cpu, FCW_DEFAULT)
  setFsw(cpu, 0)
  setFtw(cpu, 0)
  const { view, base } = cpu
  view.setUint16(base + FP_STATE.fop, 0, true)
  view.setUint16(base + FP_STATE.fcs, 0, true)
  view.setUint16(base + FP_STATE.fds, 0, true)
  view.setBigUint64(base + FP_STATE.fip, 0n, true)
  view.setBigUint64(base + FP_STATE.fdp, 0n, true)
}

export const fninit: X87Run = (cpu) => {
  initialise(cpu)
  return DONE
}

/** FNCLEX: exceptions, SF, ES and B. */
export const fnclex: X87Run = (cpu) => {
  setFsw(cpu, getFsw(cpu) & 0x7f00)
  return DONE
}

export const fnstcw: X87Run = (cpu) => ({ store: BigInt(getFcw(cpu)) })
export const fnstsw: X87Run = (cpu) => ({ store: BigInt(getFsw(cpu)) })

/** Bits of the control word that can be written; bit 6 reads as one. */
export function writableFcw(value: number): number {
  return (value & 0x1f3f) | 0x40
}

export const fldcw: X87Run = (cpu, op) => {
  setFcw(cpu, writableFcw(Number(op.memory)))
  updateErrorSummary(cpu)
  return DONE
}

/**
 * What all x87 instructions share: operands and outcome, last-instruction pointers, stack faults, and what masked and unmasked exceptions do to results and pops. Intel SDM volume 1, sections 8.1.8 to 8.7.
 * The instructions themselves are in x87-*.ts, the table of all forms in x87.ts.
 */

import { DE, type FpContext, f80, IE, PE, x87Context, ZE } from './format.ts'
import {
  C0,
  C1,
  C2,
  C3,
  FP_STATE,
  type FpCpu,
  getFcw,
  getFsw,
  getSt,
  getTop,
  hasPendingException,
  isEmpty,
  SF,
  setFsw,
  setInUse,
  setSt,
  setTop,
  updateErrorSummary,
} from './state.ts'

export interface X87Operand {
  /** i of ST(i); 0 where the form has none. */
  readonly i: number
  /** Memory operand that the form loads, as an unsigned little-endian integer; 0n where it has none. */
  readonly memory: bigint
  /** RFLAGS, for FCMOVcc. */
  readonly eflags: number
  /** What FNSTENV and FNSAVE will show of this instruction. */
  readonly pointers: X87Pointers
}

export interface X87Pointers {
  /**
   * Low three bits of the escape byte and the ModRM byte: (byte & 7) << 8 | modrm. Asked for only when the
   * instruction leaves an unmasked exception, as processors keep it only then.
   */
  opcode(): number
  readonly cs: number
  readonly ip: bigint
  /** Only forms with a memory operand have these. */
  readonly data?: { readonly ds: number; readonly address: bigint }
}

export interface FpOutcome {
  /** Value for the form's destination in memory or AX; absent if an unmasked exception forbids the store. */
  readonly store?: bigint
  /** FCOMI and kin: ZF PF CF at their places in RFLAGS. OF, SF and AF become 0. */
  readonly eflags?: number
}

export type X87Run = (cpu: FpCpu, op: X87Operand) => FpOutcome

export const DONE: FpOutcome = {}

/** The instruction, then the last-instruction pointers; control instructions leave those alone. */
export function keepingPointers(run: X87Run): X87Run {
  return (cpu, op) => {
    const outcome = run(cpu, op)
    keepPointers(cpu, op.pointers)
    return outcome
  }
}

function keepPointers(cpu: FpCpu, pointers: X87Pointers): void {
  const { view, base } = cpu
  if (hasPendingException(cpu)) view.setUint16(base + FP_STATE.fop, pointers.opcode() & 0x7ff, true)
  view.setUint16(base + FP_STATE.fcs, pointers.cs, true)
  view.setBigUint64(base + FP_STATE.fip, pointers.ip, true)
  if (pointers.data === undefined) return
  view.setUint16(base + FP_STATE.fds, pointers.data.ds, true)
  view.setBigUint64(base + FP_STATE.fdp, pointers.data.address, true)
}

export const INDEFINITE = f80.defaultNaN
/** Exceptions found before computing: unmasked, they leave the destination alone. */
export const PRE_COMPUTATION = IE | DE | ZE

export const context = (cpu: FpCpu): FpContext => x87Context(getFcw(cpu))

export const isMasked = (cpu: FpCpu, exceptions: number): boolean => (exceptions & ~getFcw(cpu) & 0x3f) === 0

/** Adds exceptions to the status word and sets C1 anew. */
export function report(cpu: FpCpu, exceptions: number, c1: boolean): void {
  setFsw(cpu, (getFsw(cpu) & ~C1) | exceptions | (c1 ? C1 : 0))
  updateErrorSummary(cpu)
}

/** Stack underflow (C1 = 0) or overflow (C1 = 1); true if masked, so that a QNaN stands in. */
export function stackFault(cpu: FpCpu, kind: 'underflow' | 'overflow'): boolean {
  report(cpu, IE | SF, kind === 'overflow')
  return isMasked(cpu, IE)
}

/** Reports what a computation noticed; true if its result may be written to a register. */
export function settle(cpu: FpCpu, c: FpContext): boolean {
  report(cpu, c.flags, c.roundedUp)
  return isMasked(cpu, c.flags & PRE_COMPUTATION)
}

export function push(cpu: FpCpu, value: bigint): void {
  setTop(cpu, getTop(cpu) - 1)
  setSt(cpu, 0, value)
}

export function pop(cpu: FpCpu): void {
  setInUse(cpu, 0, false)
  setTop(cpu, getTop(cpu) + 1)
}

export function popTimes(cpu: FpCpu, times: number): void {
  for (let i = 0; i < times; i++) pop(cpu)
}

/**
 * Pushes what `make` computes, or the indefinite where the stack is full and IE masked. A denormal memory operand
 * is pushed even where that exception is unmasked: it is a trap here.
 */
export function pushComputed(cpu: FpCpu, make: (c: FpContext) => bigint): FpOutcome {
  if (!isEmpty(cpu, 7)) {
    if (stackFault(cpu, 'overflow')) push(cpu, INDEFINITE)
    return DONE
  }
  const c = context(cpu)
  const value = make(c)
  report(cpu, c.flags, false)
  if (isMasked(cpu, c.flags & IE)) push(cpu, value)
  return DONE
}

/**
 * Computes from ST(0) (and ST(other)) into ST(into), then pops.
 * @param needs registers that must not be empty
 */
export function compute(
  cpu: FpCpu,
  needs: readonly number[],
  into: number,
  pops: number,
  make: (c: FpContext) => bigint,
): FpOutcome {
  if (needs.some((i) => isEmpty(cpu, i))) {
    if (stackFault(cpu, 'underflow')) {
      setSt(cpu, into, INDEFINITE)
      popTimes(cpu, pops)
    }
    return DONE
  }
  const c = context(cpu)
  const value = make(c)
  if (settle(cpu, c)) {
    setSt(cpu, into, value)
    popTimes(cpu, pops)
  }
  return DONE
}

/** Stores what `make` computes from ST(0) to memory; `indefinite` stands in for an empty register. */
export function storeComputed(
  cpu: FpCpu,
  pops: number,
  indefinite: bigint,
  make: (c: FpContext, value: bigint) => bigint,
): FpOutcome {
  if (isEmpty(cpu, 0)) {
    if (!stackFault(cpu, 'underflow')) return DONE
    popTimes(cpu, pops)
    return { store: indefinite }
  }
  const c = context(cpu)
  const value = make(c, getSt(cpu, 0))
  if (!isMasked(cpu, c.flags & ~PE)) {
    // Memory and stack stay as they are, and of rounding there was none.
    report(cpu, c.flags & ~PE, false)
    return DONE
  }
  report(cpu, c.flags, c.roundedUp)
  popTimes(cpu, pops)
  return { store: value }
}

/** Sets C3 C2 C1 C0 to exactly these. */
export function setConditions(cpu: FpCpu, conditions: number): void {
  setFsw(cpu, (getFsw(cpu) & ~(C0 | C1 | C2 | C3)) | conditions)
}

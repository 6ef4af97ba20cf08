/** x87 comparisons, FTST, FXAM and conditional moves. Intel SDM volume 1, sections 8.1.4, 8.3.3 and 8.3.6. */

import { fromInteger, widen } from './convert.ts'
import { DE, FINITE, type Format, f80, INFINITE, QNAN, SNAN, UNSUPPORTED, unpack, ZERO } from './format.ts'
import { compare, type Relation } from './softfloat.ts'
import { C0, C1, C2, C3, type FpCpu, getSt, isEmpty, setSt } from './state.ts'
import {
  context,
  DONE,
  type FpOutcome,
  INDEFINITE,
  isMasked,
  popTimes,
  report,
  setConditions,
  stackFault,
  type X87Run,
} from './x87-execution.ts'

const CONDITIONS: Record<Relation, number> = { greater: 0, less: C0, equal: C3, unordered: C3 | C2 | C0 }
const EFLAGS: Record<Relation, number> = { greater: 0, less: 0x01, equal: 0x40, unordered: 0x45 }

/** Compares ST(0) with a value; undefined where an unmasked exception forbids a result. */
function judge(
  cpu: FpCpu,
  needs: readonly number[],
  other: () => bigint,
  denormal: number,
  quietSignals: boolean,
): Relation | undefined {
  if (needs.some((i) => isEmpty(cpu, i))) return stackFault(cpu, 'underflow') ? 'unordered' : undefined
  const c = context(cpu)
  const relation = compare(c, f80, getSt(cpu, 0), other(), quietSignals)
  const flags = c.flags | (relation === 'unordered' ? 0 : denormal)
  report(cpu, flags, false)
  return isMasked(cpu, flags) ? relation : undefined
}

function toConditions(cpu: FpCpu, relation: Relation | undefined, pops: number): FpOutcome {
  if (relation !== undefined) {
    setConditions(cpu, CONDITIONS[relation])
    popTimes(cpu, pops)
  }
  return DONE
}

/** FCOM ST(0), ST(i) and kin. */
export function compareRegister(pops: number, quietSignals: boolean): X87Run {
  return (cpu, op) =>
    toConditions(
      cpu,
      judge(cpu, [0, op.i], () => getSt(cpu, op.i), 0, quietSignals),
      pops,
    )
}

/** FCOM m32, m64. */
export function compareFloat(from: Format, pops: number): X87Run {
  return (cpu, op) => {
    const { value, wasDenormal } = widen(from, op.memory)
    return toConditions(
      cpu,
      judge(cpu, [0], () => value, wasDenormal ? DE : 0, true),
      pops,
    )
  }
}

/** FICOM m16, m32 */
export function compareInteger(bits: 16 | 32, pops: number): X87Run {
  return (cpu, op) => {
    const value = (): bigint => fromInteger(context(cpu), f80, BigInt.asIntN(bits, op.memory))
    return toConditions(cpu, judge(cpu, [0], value, 0, true), pops)
  }
}

/** FTST */
export const compareZero: X87Run = (cpu) =>
  toConditions(
    cpu,
    judge(cpu, [0], () => 0n, 0, true),
    0,
  )

/** FCOMI and kin. */
export function compareToFlags(pops: number, quietSignals: boolean): X87Run {
  return (cpu, op) => {
    const relation = judge(cpu, [0, op.i], () => getSt(cpu, op.i), 0, quietSignals)
    if (relation === undefined) return DONE
    popTimes(cpu, pops)
    return { eflags: EFLAGS[relation] }
  }
}

/** FXAM: class of ST(0) in C3 C2 C0, its sign in C1. */
export const examine: X87Run = (cpu) => {
  const x = unpack(context(cpu), f80, getSt(cpu, 0))
  setConditions(cpu, (isEmpty(cpu, 0) ? C3 | C0 : CLASS[x.kind]!(x.denormal)) | (x.sign === 1 ? C1 : 0))
  return DONE
}

const nan = (): number => C0
const CLASS: Record<number, (denormal: boolean) => number> = {
  [ZERO]: () => C3,
  [FINITE]: (denormal) => (denormal ? C3 | C2 : C2),
  [INFINITE]: () => C2 | C0,
  [UNSUPPORTED]: () => 0,
  [QNAN]: nan,
  [SNAN]: nan,
}

/** FCMOVcc ST(0), ST(i): the condition looks at RFLAGS. */
export function moveIf(condition: (eflags: number) => boolean): X87Run {
  return (cpu, op) => {
    if (isEmpty(cpu, 0) || isEmpty(cpu, op.i)) {
      if (stackFault(cpu, 'underflow')) setSt(cpu, 0, INDEFINITE)
      return DONE
    }
    if (condition(op.eflags)) setSt(cpu, 0, getSt(cpu, op.i))
    return DONE
  }
}

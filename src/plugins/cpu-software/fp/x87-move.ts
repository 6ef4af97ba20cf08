/** x87 loads, stores, exchange, constants and stack control. Intel SDM volume 1, sections 8.3.3 and 8.3.4. */

import {
  BCD_INDEFINITE,
  fromBcd,
  fromInteger,
  integerIndefinite,
  narrow,
  toBcd,
  toInteger,
  widen,
} from './convert.ts'
import {
  DE,
  type Format,
  type FpContext,
  f80,
  hasNoValue,
  IE,
  OE,
  PE,
  type Rounding,
  SNAN,
  UE,
  unpack,
  ZE,
} from './format.ts'
import { getSt, getTop, isEmpty, setInUse, setSt, setTop } from './state.ts'
import { constant, constants } from './transcendental.ts'
import {
  compute,
  DONE,
  INDEFINITE,
  popTimes,
  pushComputed,
  report,
  stackFault,
  storeComputed,
  type X87Run,
} from './x87-execution.ts'

/** Notes that a memory operand was denormal, unless something weightier was found; see `widen`. */
export function noteDenormalOperand(c: FpContext, wasDenormal: boolean, result: bigint): void {
  if (!wasDenormal || (c.flags & (IE | ZE)) !== 0 || hasNoValue(unpack(c, f80, result))) return
  c.flags |= DE
  if ((c.unmasked & DE) === 0) return
  c.flags &= ~(OE | UE | PE)
  c.roundedUp = false
}

/** FLD m32, m64: quiets NaNs, tells denormals. */
export function loadFloat(from: Format): X87Run {
  return (cpu, op) =>
    pushComputed(cpu, (c) => {
      const { value, wasDenormal } = widen(from, op.memory)
      if (wasDenormal) c.flags |= DE
      if (unpack(c, f80, value).kind !== SNAN) return value
      c.flags |= IE
      return value | f80.quietBit
    })
}

/** FLD m80: any bits, no exceptions but the stack's. */
export const loadExtended: X87Run = (cpu, op) => pushComputed(cpu, () => op.memory)

/** FLD ST(i). */
export const loadRegister: X87Run = (cpu, op) => {
  if (!isEmpty(cpu, op.i)) return pushComputed(cpu, () => getSt(cpu, op.i))
  if (stackFault(cpu, 'underflow')) {
    setTop(cpu, getTop(cpu) - 1)
    setSt(cpu, 0, INDEFINITE)
  }
  return DONE
}

/** FILD */
export function loadInteger(bits: 16 | 32 | 64): X87Run {
  return (cpu, op) => pushComputed(cpu, (c) => fromInteger(c, f80, BigInt.asIntN(bits, op.memory)))
}

/** FBLD */
export const loadBcd: X87Run = (cpu, op) => pushComputed(cpu, () => fromBcd(op.memory))

/** FLD1, FLDPI and the others. */
export function loadConstant(name: keyof typeof constants): X87Run {
  return (cpu) => pushComputed(cpu, (c) => constant(c, constants[name]))
}

/** FST(P) m32, m64. */
export function storeFloat(to: Format, pops: number): X87Run {
  return (cpu) => storeComputed(cpu, pops, to.defaultNaN, (c, value) => narrow(c, to, value))
}

/** FSTP m80 */
export const storeExtended: X87Run = (cpu) => storeComputed(cpu, 1, INDEFINITE, (_, value) => value)

/** FST(P) ST(i) */
export function storeRegister(pops: number): X87Run {
  return (cpu, op) => compute(cpu, [0], op.i, pops, () => getSt(cpu, 0))
}

/** FIST(P), FISTTP (with a fixed rounding). */
export function storeInteger(bits: 16 | 32 | 64, pops: number, rounding?: Rounding): X87Run {
  return (cpu) =>
    storeComputed(cpu, pops, integerIndefinite(bits), (c, value) =>
      toInteger(c, f80, value, bits, rounding ?? c.rounding),
    )
}

/** FBSTP */
export const storeBcd: X87Run = (cpu) => storeComputed(cpu, 1, BCD_INDEFINITE, toBcd)

/** FXCH: a register that is empty takes part as the indefinite, if that is masked. */
export const exchange: X87Run = (cpu, op) => {
  const emptyOnes = [0, op.i].filter((i) => isEmpty(cpu, i))
  if (emptyOnes.length === 0) report(cpu, 0, false)
  else if (!stackFault(cpu, 'underflow')) return DONE
  for (const i of emptyOnes) setSt(cpu, i, INDEFINITE)
  const st0 = getSt(cpu, 0)
  setSt(cpu, 0, getSt(cpu, op.i))
  setSt(cpu, op.i, st0)
  return DONE
}

/** FINCSTP (1) and FDECSTP (-1): only TOP moves. */
export function rotate(by: 1 | -1): X87Run {
  return (cpu) => {
    setTop(cpu, getTop(cpu) + by)
    report(cpu, 0, false)
    return DONE
  }
}

/** FFREE and FFREEP. */
export function free(pops: number): X87Run {
  return (cpu, op) => {
    setInUse(cpu, op.i, false)
    report(cpu, 0, false)
    popTimes(cpu, pops)
    return DONE
  }
}

/** FNOP and what became of 8087 control instructions. */
export const nothing: X87Run = () => DONE

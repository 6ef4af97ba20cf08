/** x87 arithmetic and transcendental instructions. Intel SDM volume 1, sections 8.3.5, 8.3.7 and 8.3.8. */

import { fromInteger, widen } from './convert.ts'
import { denormalEnds, type Format, type FpContext, f80, type Rounding, unpack } from './format.ts'
import { add, div, extract, mul, remainder, roundToIntegral, scale, sqrt, sub } from './softfloat.ts'
import { C0, C1, C2, C3, type FpCpu, getFsw, getSt, isEmpty, setFsw, setSt } from './state.ts'
import { atan2, cos, exp2m1, F80_ONE, sin, tan, yLog2x, yLog2xPlus1 } from './transcendental.ts'
import {
  compute,
  context,
  DONE,
  type FpOutcome,
  INDEFINITE,
  isMasked,
  PRE_COMPUTATION,
  push,
  settle,
  stackFault,
  type X87Run,
} from './x87-execution.ts'
import { noteDenormalOperand } from './x87-move.ts'

export type Binary = (c: FpContext, a: bigint, b: bigint) => bigint

/** FADD and kin: destination operand first. FSUBR and FDIVR turn the operands round. */
export const arithmetic = {
  FADD: (c, a, b) => add(c, f80, a, b),
  FMUL: (c, a, b) => mul(c, f80, a, b),
  FSUB: (c, a, b) => sub(c, f80, a, b),
  FSUBR: (c, a, b) => sub(c, f80, b, a),
  FDIV: (c, a, b) => div(c, f80, a, b),
  FDIVR: (c, a, b) => div(c, f80, b, a),
} as const satisfies Record<string, Binary>

/** FADD ST(0), ST(i) */
export function intoTop(op: Binary): X87Run {
  return (cpu, { i }) => compute(cpu, [0, i], 0, 0, (c) => op(c, getSt(cpu, 0), getSt(cpu, i)))
}

/** FADD ST(i), ST(0) and FADDP */
export function intoRegister(op: Binary, pops: number): X87Run {
  return (cpu, { i }) => compute(cpu, [0, i], i, pops, (c) => op(c, getSt(cpu, i), getSt(cpu, 0)))
}

/** FADD m32, m64 */
export function withFloat(op: Binary, from: Format): X87Run {
  return (cpu, { memory }) =>
    compute(cpu, [0], 0, 0, (c) => {
      const { value, wasDenormal } = widen(from, memory)
      const result = op(c, getSt(cpu, 0), value)
      noteDenormalOperand(c, wasDenormal, result)
      return result
    })
}

/** FIADD m16, m32 */
export function withInteger(op: Binary, bits: 16 | 32): X87Run {
  return (cpu, { memory }) =>
    compute(cpu, [0], 0, 0, (c) => op(c, getSt(cpu, 0), fromInteger(c, f80, BigInt.asIntN(bits, memory))))
}

/** FSQRT, FRNDINT, F2XM1: ST(0) into itself. */
export function unary(op: (c: FpContext, a: bigint) => bigint): X87Run {
  return (cpu) => compute(cpu, [0], 0, 0, (c) => op(c, getSt(cpu, 0)))
}

export const squareRoot = unary((c, a) => sqrt(c, f80, a))
export const roundInteger = unary((c, a) =>
  denormalEnds(c, unpack(c, f80, a)) ? 0n : roundToIntegral(c, f80, a),
)
export const power = unary(exp2m1)
export const changeSign = unary((_, a) => a ^ f80.signBit)
export const absolute = unary((_, a) => a & ~f80.signBit)

/** FSCALE: ST(0) by ST(1), which stays. */
export const scaleByNext: X87Run = (cpu) =>
  compute(cpu, [0, 1], 0, 0, (c) => scale(c, f80, getSt(cpu, 0), getSt(cpu, 1)))

/** FYL2X, FYL2XP1, FPATAN: a function of ST(0) and ST(1) into ST(1), then a pop. */
function ofBoth(op: Binary): X87Run {
  return (cpu) => compute(cpu, [0, 1], 1, 1, (c) => op(c, getSt(cpu, 0), getSt(cpu, 1)))
}

export const logarithm = ofBoth(yLog2x)
export const logarithmPlus1 = ofBoth(yLog2xPlus1)
export const arctangent = ofBoth(atan2)

function setC2(cpu: FpCpu, set: boolean): void {
  setFsw(cpu, set ? getFsw(cpu) | C2 : getFsw(cpu) & ~C2)
}

/** FPREM (truncating) and FPREM1 (nearest): C2 = incomplete, C0 C3 C1 = quotient bits 2 1 0. */
export function partialRemainder(rounding: Rounding & (0 | 3)): X87Run {
  return (cpu) => {
    setC2(cpu, false)
    let quotient: number | undefined
    const outcome = compute(cpu, [0, 1], 0, 0, (c) => {
      const r = remainder(c, f80, getSt(cpu, 0), getSt(cpu, 1), rounding)
      setC2(cpu, r.incomplete)
      // Exact, so that a denormal result is no underflow and C1 is free for the quotient.
      c.roundedUp = false
      quotient = r.quotient
      return r.value
    })
    if (quotient !== undefined && isMasked(cpu, getFsw(cpu) & PRE_COMPUTATION)) setQuotient(cpu, quotient)
    return outcome
  }
}

function setQuotient(cpu: FpCpu, quotient: number): void {
  const conditions =
    ((quotient & 4) !== 0 ? C0 : 0) | ((quotient & 2) !== 0 ? C3 : 0) | ((quotient & 1) !== 0 ? C1 : 0)
  setFsw(cpu, (getFsw(cpu) & ~(C0 | C1 | C3)) | conditions)
}

/** FSIN and FCOS: out of range sets C2 and changes nothing. */
function trigonometric(op: typeof sin): X87Run {
  return (cpu) => {
    setC2(cpu, false)
    return compute(cpu, [0], 0, 0, (c) => {
      const value = op(c, getSt(cpu, 0))
      setC2(cpu, value === undefined)
      return value ?? getSt(cpu, 0)
    })
  }
}

export const sine = trigonometric(sin)
export const cosine = trigonometric(cos)

/** FPTAN, FSINCOS, FXTRACT: replace ST(0) and push a second result. */
function replaceAndPush(
  op: (c: FpContext, a: bigint) => { readonly replaced: bigint; readonly pushed: bigint } | undefined,
  usesC2: boolean,
): X87Run {
  return (cpu): FpOutcome => {
    if (usesC2) setC2(cpu, false)
    const underflow = isEmpty(cpu, 0)
    if (underflow || !isEmpty(cpu, 7)) {
      if (stackFault(cpu, underflow ? 'underflow' : 'overflow')) {
        setSt(cpu, 0, INDEFINITE)
        push(cpu, INDEFINITE)
      }
      return DONE
    }
    const c = context(cpu)
    const result = op(c, getSt(cpu, 0))
    if (usesC2) setC2(cpu, result === undefined)
    if (settle(cpu, c) && result !== undefined) {
      setSt(cpu, 0, result.replaced)
      push(cpu, result.pushed)
    }
    return DONE
  }
}

export const tangent = replaceAndPush((c, a) => {
  const value = tan(c, a)
  if (value === undefined) return undefined
  // A NaN is answered twice; any other tangent comes with the divisor 1.
  const isNumber = (value & f80.infinity) !== f80.infinity
  return { replaced: value, pushed: isNumber ? F80_ONE : value }
}, true)

export const sineAndCosine = replaceAndPush((c, a) => {
  const replaced = sin(c, a)
  const pushed = cos(c, a)
  return replaced === undefined || pushed === undefined ? undefined : { replaced, pushed }
}, true)

export const extractParts = replaceAndPush((c, a) => {
  const { exponent, significand } = extract(c, f80, a)
  return { replaced: exponent, pushed: significand }
}, false)

/**
 * The SSE to SSE4.1 floating-point instructions as whole: every lane, MXCSR, and whether #XM is due. This is the
 * slow path, correct for every operand and MXCSR; native wasm arithmetic stands in for it where it gives the same.
 * Intel SDM volume 1, section 11.5 (exceptions of packed operands); volume 2 per instruction.
 */

import { convert } from './convert.ts'
import { DE, type Format, type FpContext, f32, f64, IE, sseContext, ZE } from './format.ts'
import { compare } from './softfloat.ts'
import { floatToInt, intToFloat, type LaneConversion, type LaneOp, laneOps } from './sse-lanes.ts'

export interface SseOutcome {
  /** New value of the whole destination (XMM 128 bits, MMX and general registers their width). */
  readonly result: bigint
  readonly mxcsr: number
  /** An unmasked exception: MXCSR changes, the destination must not, and #XM (vector 19) follows. */
  readonly fault: boolean
  /** ZF PF CF of COMISD and kin, at their places in RFLAGS; OF SF AF become 0. */
  readonly eflags?: number
}

/**
 * @param dst 128-bit destination before the instruction (ignored where it is only written)
 * @param src source operand; of scalar forms only the low bits count
 * @param imm immediate byte, 0 where there is none
 */
export type SseAssist = (mxcsr: number, dst: bigint, src: bigint, imm: number) => SseOutcome

const PRE_COMPUTATION = IE | DE | ZE

/** Runs lanes, each with a context of its own, and judges their exceptions together, step by step. */
class LaneGroup {
  readonly #mxcsr: number
  /** Exceptions of this step, and of the steps before it. */
  #flags = 0
  #before = 0

  constructor(mxcsr: number) {
    this.#mxcsr = mxcsr
  }

  run(lane: (c: FpContext) => bigint): bigint {
    const c = sseContext(this.#mxcsr)
    const value = lane(c)
    this.#flags |= c.flags
    return value
  }

  /** Ends a step; true if an unmasked exception forbids the next. */
  endStep(): boolean {
    const unmasked = ~(this.#mxcsr >> 7)
    // A fault found before computing hides what other lanes' rounding would have raised.
    const hidden = (this.#flags & unmasked & PRE_COMPUTATION) !== 0
    this.#before |= hidden ? this.#flags & PRE_COMPUTATION : this.#flags
    this.#flags = 0
    return (this.#before & unmasked) !== 0
  }

  finish(result: bigint, eflags?: number): SseOutcome {
    const fault = this.endStep()
    const outcome = { result, mxcsr: this.#mxcsr | this.#before, fault }
    return eflags === undefined ? outcome : { ...outcome, eflags }
  }
}

const laneOf = (bits: number, value: bigint, i: number): bigint =>
  BigInt.asUintN(bits, value >> BigInt(bits * i))

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n

/** Lane by lane; bits above the lanes stay as in the destination. */
function lanewise(f: Format, lanes: number, op: LaneOp): SseAssist {
  return (mxcsr, dst, src, imm) => {
    const group = new LaneGroup(mxcsr)
    let result = dst & ~ones(f.bits * lanes)
    for (let i = 0; i < lanes; i++) {
      const value = group.run((c) => op(c, f, laneOf(f.bits, dst, i), laneOf(f.bits, src, i), imm))
      result |= value << BigInt(f.bits * i)
    }
    return group.finish(result)
  }
}

/** Lanes of one width into lanes of another; `above` says what becomes of the destination's other bits. */
function converted(
  fromBits: number,
  toBits: number,
  lanes: number,
  above: 'kept' | 'zero',
  op: LaneConversion,
): SseAssist {
  return (mxcsr, dst, src) => {
    const group = new LaneGroup(mxcsr)
    let result = above === 'kept' ? dst & ~ones(toBits * lanes) : 0n
    for (let i = 0; i < lanes; i++) {
      const value = group.run((c) => op(c, laneOf(fromBits, src, i)))
      result |= value << BigInt(toBits * i)
    }
    return group.finish(result)
  }
}

const EFLAGS_OF = { unordered: 0x45, greater: 0, less: 0x01, equal: 0x40 } as const

function comparison(f: Format, quietSignals: boolean): SseAssist {
  return (mxcsr, dst, src) => {
    const group = new LaneGroup(mxcsr)
    let eflags = 0
    group.run((c) => {
      eflags = EFLAGS_OF[compare(c, f, laneOf(f.bits, dst, 0), laneOf(f.bits, src, 0), quietSignals)]
      return 0n
    })
    return group.finish(dst, eflags)
  }
}

/** HADDPS and kin: neighbours of the destination give the low half, those of the source the high half. */
function horizontal(f: Format, op: LaneOp): SseAssist {
  return (mxcsr, dst, src) => {
    const group = new LaneGroup(mxcsr)
    const both = dst | (src << 128n)
    let result = 0n
    for (let i = 0; i < 128 / f.bits; i++) {
      const a = laneOf(f.bits, both, 2 * i)
      const b = laneOf(f.bits, both, 2 * i + 1)
      result |= group.run((c) => op(c, f, a, b, 0)) << BigInt(f.bits * i)
    }
    return group.finish(result)
  }
}

/** ADDSUBPS and ADDSUBPD: even lanes subtract, odd lanes add. */
function addSub(f: Format): SseAssist {
  return (mxcsr, dst, src) => {
    const group = new LaneGroup(mxcsr)
    let result = 0n
    for (let i = 0; i < 128 / f.bits; i++) {
      const op = i % 2 === 0 ? laneOps.sub : laneOps.add
      const value = group.run((c) => op(c, f, laneOf(f.bits, dst, i), laneOf(f.bits, src, i)))
      result |= value << BigInt(f.bits * i)
    }
    return group.finish(result)
  }
}

/** DPPS and DPPD: imm8 bits 7:4 choose products, bits 3:0 receiving lanes. Each step rounds and may fault. */
function dotProduct(f: Format): SseAssist {
  return (mxcsr, dst, src, imm) => {
    const group = new LaneGroup(mxcsr)
    const lanes = 128 / f.bits
    let terms: bigint[] = []
    for (let i = 0; i < lanes; i++) {
      const chosen = ((imm >> (4 + i)) & 1) !== 0
      const product = (c: FpContext): bigint =>
        laneOps.mul(c, f, laneOf(f.bits, dst, i), laneOf(f.bits, src, i))
      terms.push(chosen ? group.run(product) : 0n)
    }
    while (terms.length > 1 && !group.endStep()) {
      const sums: bigint[] = []
      for (let i = 0; i < terms.length; i += 2) {
        sums.push(group.run((c) => laneOps.add(c, f, terms[i]!, terms[i + 1]!)))
      }
      terms = sums
    }
    let result = 0n
    for (let i = 0; i < lanes; i++) {
      if (((imm >> i) & 1) !== 0) result |= terms[0]! << BigInt(f.bits * i)
    }
    return group.finish(result)
  }
}

/** The four widths of an arithmetic instruction, by suffix. */
const SUFFIXES = [
  ['PS', f32, 4],
  ['PD', f64, 2],
  ['SS', f32, 1],
  ['SD', f64, 1],
] as const

function arithmetic(): [string, SseAssist][] {
  const names = ['add', 'sub', 'mul', 'div', 'sqrt', 'min', 'max', 'cmp', 'round'] as const
  return names.flatMap((name) =>
    SUFFIXES.map(([suffix, f, lanes]): [string, SseAssist] => [
      name.toUpperCase() + suffix,
      lanewise(f, lanes, laneOps[name]),
    ]),
  )
}

/** CVT(T)Sx2SI and CVTSI2Sx: the general register's width is part of the name, as in the manual's forms. */
function scalarIntegers(): [string, SseAssist][] {
  return ([32, 64] as const).flatMap((bits) =>
    (['SS', 'SD'] as const).flatMap((suffix): [string, SseAssist][] => {
      const f = suffix === 'SS' ? f32 : f64
      return [
        [`CVT${suffix}2SI r${bits}`, converted(f.bits, bits, 1, 'zero', floatToInt(f, bits, false))],
        [`CVTT${suffix}2SI r${bits}`, converted(f.bits, bits, 1, 'zero', floatToInt(f, bits, true))],
        [`CVTSI2${suffix} r${bits}`, converted(bits, f.bits, 1, 'kept', intToFloat(bits, f))],
      ]
    }),
  )
}

const single: LaneConversion = (c, a) => convert(c, f64, f32, a)
const double: LaneConversion = (c, a) => convert(c, f32, f64, a)

/** Slow path per mnemonic; scalar conversions with general registers name its width ("CVTSI2SD r64"). */
export const sseAssists: ReadonlyMap<string, SseAssist> = new Map([
  ...arithmetic(),
  ...scalarIntegers(),
  ['RCPPS', lanewise(f32, 4, laneOps.rcp)],
  ['RCPSS', lanewise(f32, 1, laneOps.rcp)],
  ['RSQRTPS', lanewise(f32, 4, laneOps.rsqrt)],
  ['RSQRTSS', lanewise(f32, 1, laneOps.rsqrt)],
  ['UCOMISS', comparison(f32, false)],
  ['UCOMISD', comparison(f64, false)],
  ['COMISS', comparison(f32, true)],
  ['COMISD', comparison(f64, true)],
  ['HADDPS', horizontal(f32, laneOps.add)],
  ['HADDPD', horizontal(f64, laneOps.add)],
  ['HSUBPS', horizontal(f32, laneOps.sub)],
  ['HSUBPD', horizontal(f64, laneOps.sub)],
  ['ADDSUBPS', addSub(f32)],
  ['ADDSUBPD', addSub(f64)],
  ['DPPS', dotProduct(f32)],
  ['DPPD', dotProduct(f64)],
  ['CVTSS2SD', converted(32, 64, 1, 'kept', double)],
  ['CVTSD2SS', converted(64, 32, 1, 'kept', single)],
  ['CVTPS2PD', converted(32, 64, 2, 'zero', double)],
  ['CVTPD2PS', converted(64, 32, 2, 'zero', single)],
  ['CVTDQ2PS', converted(32, 32, 4, 'zero', intToFloat(32, f32))],
  ['CVTDQ2PD', converted(32, 64, 2, 'zero', intToFloat(32, f64))],
  ['CVTPS2DQ', converted(32, 32, 4, 'zero', floatToInt(f32, 32, false))],
  ['CVTTPS2DQ', converted(32, 32, 4, 'zero', floatToInt(f32, 32, true))],
  ['CVTPD2DQ', converted(64, 32, 2, 'zero', floatToInt(f64, 32, false))],
  ['CVTTPD2DQ', converted(64, 32, 2, 'zero', floatToInt(f64, 32, true))],
  ['CVTPI2PS', converted(32, 32, 2, 'kept', intToFloat(32, f32))],
  ['CVTPI2PD', converted(32, 64, 2, 'zero', intToFloat(32, f64))],
  ['CVTPS2PI', converted(32, 32, 2, 'zero', floatToInt(f32, 32, false))],
  ['CVTTPS2PI', converted(32, 32, 2, 'zero', floatToInt(f32, 32, true))],
  ['CVTPD2PI', converted(64, 32, 2, 'zero', floatToInt(f64, 32, false))],
  ['CVTTPD2PI', converted(64, 32, 2, 'zero', floatToInt(f64, 32, true))],
] satisfies [string, SseAssist][])

/**
 * Slow path of an instruction-table row, undefined if it is no floating-point arithmetic.
 * @param generalBits size of the row's general register, where it has one
 */
export function sseAssistOf(mnemonic: string, generalBits: number): SseAssist | undefined {
  return sseAssists.get(mnemonic) ?? sseAssists.get(`${mnemonic} r${generalBits}`)
}

/**
 * Every x87 instruction form, by its name in the instruction table (isa/table-x87.ts), with what it does.
 * Callers check CR0.EM and CR0.TS (#NM), then `waits` with a pending exception (#MF), load the operand, make sure
 * the destination can be written, run the form, then store. FNSTENV, FLDENV, FNSAVE, FRSTOR, FXSAVE and FXRSTOR
 * are in x87-images.ts.
 */

import { f32, f64, TO_ZERO } from './format.ts'
import * as arith from './x87-arith.ts'
import * as cmp from './x87-compare.ts'
import { fldcw, fnclex, fninit, fnstcw, fnstsw } from './x87-control.ts'
import { keepingPointers, type X87Run } from './x87-execution.ts'
import * as move from './x87-move.ts'

export interface X87Instruction {
  /** A pending unmasked exception is #MF instead of this instruction (`hasPendingException`). */
  readonly waits: boolean
  readonly run: X87Run
}

type Row = [form: string, X87Instruction]

const usual = (form: string, run: X87Run): Row => [form, { waits: true, run: keepingPointers(run) }]
const control = (form: string, waits: boolean, run: X87Run): Row => [form, { waits, run }]

const arithmeticRows = Object.entries(arith.arithmetic).flatMap(([name, op]): Row[] => {
  const integer = `FI${name.slice(1)}`
  return [
    usual(`${name} m32`, arith.withFloat(op, f32)),
    usual(`${name} m64`, arith.withFloat(op, f64)),
    usual(`${integer} m16`, arith.withInteger(op, 16)),
    usual(`${integer} m32`, arith.withInteger(op, 32)),
    usual(`${name} ST(0), ST(i)`, arith.intoTop(op)),
    usual(`${name} ST(i), ST(0)`, arith.intoRegister(op, 0)),
    usual(`${name}P ST(i), ST(0)`, arith.intoRegister(op, 1)),
  ]
})

const compareRows = (['', 'P'] as const).flatMap((suffix): Row[] => {
  const pops = suffix.length
  const integer = (bits: 16 | 32): X87Run => cmp.compareInteger(bits, pops)
  return [
    usual(`FCOM${suffix} m32`, cmp.compareFloat(f32, pops)),
    usual(`FCOM${suffix} m64`, cmp.compareFloat(f64, pops)),
    usual(`FICOM${suffix} m16`, integer(16)),
    usual(`FICOM${suffix} m32`, integer(32)),
    usual(`FCOM${suffix} ST(0), ST(i)`, cmp.compareRegister(pops, true)),
    usual(`FUCOM${suffix} ST(0), ST(i)`, cmp.compareRegister(pops, false)),
    usual(`FCOMI${suffix} ST(0), ST(i)`, cmp.compareToFlags(pops, true)),
    usual(`FUCOMI${suffix} ST(0), ST(i)`, cmp.compareToFlags(pops, false)),
  ]
})

const CF = 0x01
const PF = 0x04
const ZF = 0x40
const conditionalMoves = (
  [
    ['B', CF],
    ['E', ZF],
    ['BE', CF | ZF],
    ['U', PF],
  ] as const
).flatMap(([name, bits]): Row[] => [
  usual(
    `FCMOV${name} ST(0), ST(i)`,
    cmp.moveIf((eflags) => (eflags & bits) !== 0),
  ),
  usual(
    `FCMOVN${name} ST(0), ST(i)`,
    cmp.moveIf((eflags) => (eflags & bits) === 0),
  ),
])

const constantRows = (['FLD1', 'FLDL2T', 'FLDL2E', 'FLDPI', 'FLDLG2', 'FLDLN2', 'FLDZ'] as const).map(
  (name) => usual(name, move.loadConstant(name)),
)

export const x87Instructions: ReadonlyMap<string, X87Instruction> = new Map<string, X87Instruction>([
  ...arithmeticRows,
  ...compareRows,
  ...conditionalMoves,
  ...constantRows,
  usual('FCOMPP', (cpu, op) => cmp.compareRegister(2, true)(cpu, { ...op, i: 1 })),
  usual('FUCOMPP', (cpu, op) => cmp.compareRegister(2, false)(cpu, { ...op, i: 1 })),
  usual('FTST', cmp.compareZero),
  usual('FXAM', cmp.examine),

  usual('FLD m32', move.loadFloat(f32)),
  usual('FLD m64', move.loadFloat(f64)),
  usual('FLD m80', move.loadExtended),
  usual('FLD ST(i)', move.loadRegister),
  usual('FILD m16', move.loadInteger(16)),
  usual('FILD m32', move.loadInteger(32)),
  usual('FILD m64', move.loadInteger(64)),
  usual('FBLD m80', move.loadBcd),
  usual('FST m32', move.storeFloat(f32, 0)),
  usual('FST m64', move.storeFloat(f64, 0)),
  usual('FST ST(i)', move.storeRegister(0)),
  usual('FSTP m32', move.storeFloat(f32, 1)),
  usual('FSTP m64', move.storeFloat(f64, 1)),
  usual('FSTP m80', move.storeExtended),
  usual('FSTP ST(i)', move.storeRegister(1)),
  usual('FIST m16', move.storeInteger(16, 0)),
  usual('FIST m32', move.storeInteger(32, 0)),
  usual('FISTP m16', move.storeInteger(16, 1)),
  usual('FISTP m32', move.storeInteger(32, 1)),
  usual('FISTP m64', move.storeInteger(64, 1)),
  usual('FISTTP m16', move.storeInteger(16, 1, TO_ZERO)),
  usual('FISTTP m32', move.storeInteger(32, 1, TO_ZERO)),
  usual('FISTTP m64', move.storeInteger(64, 1, TO_ZERO)),
  usual('FBSTP m80', move.storeBcd),
  usual('FXCH ST(0), ST(i)', move.exchange),
  usual('FFREE ST(i)', move.free(0)),
  usual('FFREEP ST(i)', move.free(1)),
  usual('FINCSTP', move.rotate(1)),
  usual('FDECSTP', move.rotate(-1)),
  usual('FNOP', move.nothing),

  usual('FCHS', arith.changeSign),
  usual('FABS', arith.absolute),
  usual('FSQRT', arith.squareRoot),
  usual('FRNDINT', arith.roundInteger),
  usual('FSCALE', arith.scaleByNext),
  usual('FXTRACT', arith.extractParts),
  usual('FPREM', arith.partialRemainder(3)),
  usual('FPREM1', arith.partialRemainder(0)),
  usual('F2XM1', arith.power),
  usual('FYL2X', arith.logarithm),
  usual('FYL2XP1', arith.logarithmPlus1),
  usual('FPATAN', arith.arctangent),
  usual('FPTAN', arith.tangent),
  usual('FSIN', arith.sine),
  usual('FCOS', arith.cosine),
  usual('FSINCOS', arith.sineAndCosine),

  control('FWAIT', true, move.nothing),
  control('FLDCW m16', true, fldcw),
  control('FNINIT', false, fninit),
  control('FNCLEX', false, fnclex),
  control('FNSTCW m16', false, fnstcw),
  control('FNSTSW m16', false, fnstsw),
  control('FNSTSW AX', false, fnstsw),
  control('FNENI', false, move.nothing),
  control('FNDISI', false, move.nothing),
  control('FNSETPM', false, move.nothing),
])

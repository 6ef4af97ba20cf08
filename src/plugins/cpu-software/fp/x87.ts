/**
 * Every x87 instruction form of the manual, by its name there: how many bytes of memory it loads and stores, and
 * what it does. Callers check CR0.EM and CR0.TS (#NM) first, load the operand, make sure the destination can be
 * written, run the form, then store. FNSTENV, FLDENV, FNSAVE, FRSTOR, FXSAVE, FXRSTOR: x87-images.ts.
 */

import { f32, f64, TO_ZERO } from './format.ts'
import * as arith from './x87-arith.ts'
import * as cmp from './x87-compare.ts'
import { fldcw, fnclex, fninit, fnstcw, fnstsw } from './x87-control.ts'
import { waiting, type X87Run } from './x87-execution.ts'
import * as move from './x87-move.ts'

export interface X87Instruction {
  /** Bytes of the memory operand that it reads, 0 if none. */
  readonly loads: 0 | 2 | 4 | 8 | 10
  /** Bytes that it writes to memory (FNSTSW AX: to AX), 0 if none. */
  readonly stores: 0 | 2 | 4 | 8 | 10
  readonly run: X87Run
}

type Row = [form: string, X87Instruction]

const register = (form: string, run: X87Run): Row => [form, { loads: 0, stores: 0, run: waiting(run) }]
const load = (form: string, loads: 2 | 4 | 8 | 10, run: X87Run): Row => [
  form,
  { loads, stores: 0, run: waiting(run) },
]
const store = (form: string, stores: 2 | 4 | 8 | 10, run: X87Run): Row => [
  form,
  { loads: 0, stores, run: waiting(run) },
]

const arithmeticRows = Object.entries(arith.arithmetic).flatMap(([name, op]): Row[] => {
  const integer = `FI${name.slice(1)}`
  return [
    load(`${name} m32fp`, 4, arith.withFloat(op, f32)),
    load(`${name} m64fp`, 8, arith.withFloat(op, f64)),
    load(`${integer} m16int`, 2, arith.withInteger(op, 16)),
    load(`${integer} m32int`, 4, arith.withInteger(op, 32)),
    register(`${name} ST(0), ST(i)`, arith.intoTop(op)),
    register(`${name} ST(i), ST(0)`, arith.intoRegister(op, 0)),
    register(`${name}P ST(i), ST(0)`, arith.intoRegister(op, 1)),
  ]
})

const compareRows = (['', 'P'] as const).flatMap((suffix): Row[] => {
  const pops = suffix.length
  const integer = (bits: 16 | 32): X87Run => cmp.compareInteger(bits, pops)
  return [
    load(`FCOM${suffix} m32fp`, 4, cmp.compareFloat(f32, pops)),
    load(`FCOM${suffix} m64fp`, 8, cmp.compareFloat(f64, pops)),
    load(`FICOM${suffix} m16int`, 2, integer(16)),
    load(`FICOM${suffix} m32int`, 4, integer(32)),
    register(`FCOM${suffix} ST(i)`, cmp.compareRegister(pops, true)),
    register(`FUCOM${suffix} ST(i)`, cmp.compareRegister(pops, false)),
    register(`FCOMI${suffix} ST, ST(i)`, cmp.compareToFlags(pops, true)),
    register(`FUCOMI${suffix} ST, ST(i)`, cmp.compareToFlags(pops, false)),
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
  register(
    `FCMOV${name} ST(0), ST(i)`,
    cmp.moveIf((eflags) => (eflags & bits) !== 0),
  ),
  register(
    `FCMOVN${name} ST(0), ST(i)`,
    cmp.moveIf((eflags) => (eflags & bits) === 0),
  ),
])

const constantRows = (['FLD1', 'FLDL2T', 'FLDL2E', 'FLDPI', 'FLDLG2', 'FLDLN2', 'FLDZ'] as const).map(
  (name) => register(name, move.loadConstant(name)),
)

export const x87Instructions: ReadonlyMap<string, X87Instruction> = new Map<string, X87Instruction>([
  ...arithmeticRows,
  ...compareRows,
  ...conditionalMoves,
  ...constantRows,
  register('FCOMPP', (cpu, op) => cmp.compareRegister(2, true)(cpu, { ...op, i: 1 })),
  register('FUCOMPP', (cpu, op) => cmp.compareRegister(2, false)(cpu, { ...op, i: 1 })),
  register('FTST', cmp.compareZero),
  register('FXAM', cmp.examine),

  load('FLD m32fp', 4, move.loadFloat(f32)),
  load('FLD m64fp', 8, move.loadFloat(f64)),
  load('FLD m80fp', 10, move.loadExtended),
  register('FLD ST(i)', move.loadRegister),
  load('FILD m16int', 2, move.loadInteger(16)),
  load('FILD m32int', 4, move.loadInteger(32)),
  load('FILD m64int', 8, move.loadInteger(64)),
  load('FBLD m80bcd', 10, move.loadBcd),
  store('FST m32fp', 4, move.storeFloat(f32, 0)),
  store('FST m64fp', 8, move.storeFloat(f64, 0)),
  register('FST ST(i)', move.storeRegister(0)),
  store('FSTP m32fp', 4, move.storeFloat(f32, 1)),
  store('FSTP m64fp', 8, move.storeFloat(f64, 1)),
  store('FSTP m80fp', 10, move.storeExtended),
  register('FSTP ST(i)', move.storeRegister(1)),
  store('FIST m16int', 2, move.storeInteger(16, 0)),
  store('FIST m32int', 4, move.storeInteger(32, 0)),
  store('FISTP m16int', 2, move.storeInteger(16, 1)),
  store('FISTP m32int', 4, move.storeInteger(32, 1)),
  store('FISTP m64int', 8, move.storeInteger(64, 1)),
  store('FISTTP m16int', 2, move.storeInteger(16, 1, TO_ZERO)),
  store('FISTTP m32int', 4, move.storeInteger(32, 1, TO_ZERO)),
  store('FISTTP m64int', 8, move.storeInteger(64, 1, TO_ZERO)),
  store('FBSTP m80bcd', 10, move.storeBcd),
  register('FXCH ST(i)', move.exchange),
  register('FFREE ST(i)', move.free(0)),
  register('FFREEP ST(i)', move.free(1)),
  register('FINCSTP', move.rotate(1)),
  register('FDECSTP', move.rotate(-1)),
  register('FNOP', move.nothing),
  ['FWAIT', { loads: 0, stores: 0, run: waiting(move.nothing, false) }],

  register('FCHS', arith.changeSign),
  register('FABS', arith.absolute),
  register('FSQRT', arith.squareRoot),
  register('FRNDINT', arith.roundInteger),
  register('FSCALE', arith.scaleByNext),
  register('FXTRACT', arith.extractParts),
  register('FPREM', arith.partialRemainder(3)),
  register('FPREM1', arith.partialRemainder(0)),
  register('F2XM1', arith.power),
  register('FYL2X', arith.logarithm),
  register('FYL2XP1', arith.logarithmPlus1),
  register('FPATAN', arith.arctangent),
  register('FPTAN', arith.tangent),
  register('FSIN', arith.sine),
  register('FCOS', arith.cosine),
  register('FSINCOS', arith.sineAndCosine),

  ['FNINIT', { loads: 0, stores: 0, run: fninit }],
  ['FNCLEX', { loads: 0, stores: 0, run: fnclex }],
  ['FNSTCW m2byte', { loads: 0, stores: 2, run: fnstcw }],
  ['FNSTSW m2byte', { loads: 0, stores: 2, run: fnstsw }],
  ['FNSTSW AX', { loads: 0, stores: 2, run: fnstsw }],
  ['FLDCW m2byte', { loads: 2, stores: 0, run: waiting(fldcw, false) }],
])

/**
 * SSE floating point in WebAssembly's own arithmetic (SDM vol. 1, chapter 11): the common way, with rounding to
 * nearest, every exception masked, denormals honoured, and operands and results that are ordinary numbers or zero.
 * NaNs, infinite results, denormals and other modes are the assist's (fp/sse.ts), which then does it all.
 *
 * What is left can raise only the precision exception. Its sticky bit is mostly set already; while it is not, each
 * result is proved exact or the bit is set. A packed result that is hard to prove goes to the assist.
 */
import { FP_STATE } from '../fp/state.ts'
import type { Row } from '../isa/row.ts'
import type { EmitVector } from '../read/emit-vector.ts'
import type { Bool, Operand } from '../read/vocabulary.ts'
import { STATE } from '../state.ts'
import { type Expr, i32, i64, load32, loadF, op, simd, v128 } from '../wasm/encoder.ts'
import {
  add,
  and,
  and32,
  clz,
  eq,
  eq32,
  gtU,
  ne32,
  not32,
  or32,
  select,
  sub,
  widen,
  wrap,
} from '../wasm/operators.ts'
import type { VectorRun } from './vector-meanings.ts'

type Format = 'f32' | 'f64'

const MXCSR = STATE.fp + FP_STATE.mxcsr
const PRECISION = 0x20
/** All but the sticky bits: masks set, nearest, neither FTZ nor DAZ. */
const MODE = 0xffc0
const COMMON_MODE = 0x1f80

/** Opcodes by format; packed ones are those of f32x4 and f64x2. */
const OP = {
  f32: {
    eq: 0x5b,
    ne: 0x5c,
    lt: 0x5d,
    gt: 0x5e,
    ge: 0x60,
    abs: 0x8b,
    floor: 0x8e,
    ceil: 0x8d,
    trunc: 0x8f,
    nearest: 0x90,
    sqrt: 0x91,
    add: 0x92,
    sub: 0x93,
    mul: 0x94,
    div: 0x95,
  },
  f64: {
    eq: 0x61,
    ne: 0x62,
    lt: 0x63,
    gt: 0x64,
    ge: 0x66,
    abs: 0x99,
    floor: 0x9c,
    ceil: 0x9b,
    trunc: 0x9d,
    nearest: 0x9e,
    sqrt: 0x9f,
    add: 0xa0,
    sub: 0xa1,
    mul: 0xa2,
    div: 0xa3,
  },
} as const
const PACKED = {
  f32: {
    eq: 0x41,
    ne: 0x42,
    lt: 0x43,
    gt: 0x44,
    le: 0x45,
    ge: 0x46,
    abs: 0xe0,
    sqrt: 0xe3,
    add: 0xe4,
    sub: 0xe5,
    mul: 0xe6,
    div: 0xe7,
    pmin: 0xea,
    pmax: 0xeb,
  },
  f64: {
    eq: 0x47,
    ne: 0x48,
    lt: 0x49,
    gt: 0x4a,
    le: 0x4b,
    ge: 0x4c,
    abs: 0xec,
    sqrt: 0xef,
    add: 0xf0,
    sub: 0xf1,
    mul: 0xf2,
    div: 0xf3,
    pmin: 0xf6,
    pmax: 0xf7,
  },
} as const
const PROMOTE = 0xbb
const DEMOTE = 0xb6
type Two = 'add' | 'sub' | 'mul' | 'div'

const test = (f: Format, name: 'eq' | 'ne' | 'lt' | 'gt' | 'ge', a: Expr, b: Expr): Expr =>
  op('i32', OP[f][name], a, b)
const two = (f: Format, name: Two, a: Expr, b: Expr): Expr => op(f, OP[f][name], a, b)
const one = (f: Format, name: 'abs' | 'sqrt' | 'floor' | 'ceil' | 'trunc' | 'nearest', a: Expr): Expr =>
  op(f, OP[f][name], a)
const promote = (a: Expr): Expr => op('f64', PROMOTE, a)

/** A power of two. */
const power = (f: Format, exponent: number): Expr =>
  f === 'f64'
    ? op('f64', 0xbf, i64(BigInt(exponent + 1023) << 52n))
    : op('f32', 0xbe, i32((exponent + 127) << 23))
const zero = (f: Format): Expr => (f === 'f64' ? op('f64', 0xbf, i64(0)) : op('f32', 0xbe, i32(0)))
const infinity = (f: Format): Expr => power(f, f === 'f64' ? 1024 : 128)
/** The smallest normal number; a result of this size may have been rounded up to it. */
const smallest = (f: Format): Expr => power(f, f === 'f64' ? -1022 : -126)
/** Below it no sum or difference of a proof overflows. */
const large = (f: Format): Expr => power(f, f === 'f64' ? 1020 : 124)
const isZero = (f: Format, a: Expr): Expr => test(f, 'eq', a, zero(f))
/** Zero, normal or infinite. */
const isOrdinary = (f: Format, a: Expr): Expr =>
  or32(isZero(f, a), test(f, 'ge', one(f, 'abs', a), smallest(f)))
const isOrdinaryResult = (f: Format, r: Expr): Expr => {
  const size = one(f, 'abs', r)
  return and32(test(f, 'gt', size, smallest(f)), test(f, 'lt', size, infinity(f)))
}

const splat = (f: Format, value: Expr): Expr => simd('v128', f === 'f64' ? 0x14 : 0x13, value)
const packed = (f: Format, name: keyof (typeof PACKED)['f32'], ...args: Expr[]): Expr =>
  simd('v128', PACKED[f][name], ...args)
const both = (a: Expr, b: Expr): Expr => simd('v128', 0x4e, a, b)
const either = (a: Expr, b: Expr): Expr => simd('v128', 0x50, a, b)
const never = (a: Expr): Expr => simd('v128', 0x4d, a)
const anyLane = (a: Expr): Expr => simd('i32', 0x53, a)

/** What the meanings are written with. */
class Float {
  readonly s: EmitVector
  readonly format: Format

  constructor(s: EmitVector, format: Format) {
    this.s = s
    this.format = format
  }
  get f() {
    return this.s.f
  }
  /** Leaves all to the assist unless MXCSR is as usual. */
  begin(): void {
    const { emit } = this.s
    // Made before any condition: the assist wants it, too.
    for (const n of [0, 1, 2] as const) if (emit.isMemory(n)) emit.linearAddress(n)
    const mode = and32(load32(4, this.s.emit.state, MXCSR), i32(MODE))
    this.giveUpIf(ne32(mode, i32(COMMON_MODE)))
  }
  giveUp(): void {
    this.s.emit.assist()
  }
  giveUpIf(condition: Expr): void {
    this.f.if(condition, () => this.giveUp())
  }
  giveUpUnless(condition: Expr): void {
    this.giveUpIf(not32(condition))
  }
  keep(e: Expr): Expr {
    return this.s.keep(e)
  }
  /** A scalar operand. */
  read(n: Operand, format = this.format): Expr {
    const { emit } = this.s
    const bytes = format === 'f64' ? 8 : 4
    const host = emit.isMemory(n)
      ? emit.openLoad(emit.linearAddress(n) as unknown as Expr, bytes)
      : emit.slot(n)
    return this.keep(loadF(format, host))
  }
  /** The low part of the destination; the rest stays. */
  write(value: Expr): void {
    this.f.storeF(this.s.emit.slot(0), value)
  }
  /** While the sticky bit is clear: `prove` says whether the result was rounded. */
  precision(prove: () => Expr): void {
    const { f } = this
    const { state } = this.s.emit
    const mxcsr = load32(4, state, MXCSR)
    f.if(not32(and32(mxcsr, i32(PRECISION))), () =>
      f.if(prove(), () => f.store32(4, state, or32(mxcsr, i32(PRECISION)), MXCSR)),
    )
  }
  /** The same where rounding is not looked into: the assist finds out. */
  precisionKnown(): void {
    this.giveUpUnless(and32(load32(4, this.s.emit.state, MXCSR), i32(PRECISION)))
  }
}

/** Whether a sum was rounded, from Knuth's exact error; of a difference with b negated. */
function sumRounded(m: Float, a: Expr, b: Expr, r: Expr): Expr {
  const { format: f } = m
  m.giveUpIf(test(f, 'gt', one(f, 'abs', r), large(f)))
  const back = m.keep(two(f, 'sub', r, a))
  const error = two(f, 'add', two(f, 'sub', a, two(f, 'sub', r, back)), two(f, 'sub', b, back))
  return test(f, 'ne', error, zero(f))
}

/** Whether the product of two doubles, not zero, has more bits than fit; `r` is the rounded product. */
function productRounded(m: Float, a: Expr, b: Expr, r: Expr): Expr {
  const bits = (e: Expr): Expr => m.keep(op('i64', 0xbd, e))
  const [x, y, z] = [bits(a), bits(b), bits(r)]
  const trailing = (e: Expr): Expr => op('i64', 0x7a, op('i64', 0x84, e, i64(1n << 52n)))
  const exponent = (e: Expr): Expr => and(op('i64', 0x88, e, i64(52)), i64(0x7ff))
  const spare = m.keep(add(trailing(x), trailing(y)))
  // 53 zero bits between them: the product has at most 53 bits. With 52 it has 53 or, with a carry, 54.
  const carried = op('i32', 0x52, exponent(z), sub(add(exponent(x), exponent(y)), i64(1023)))
  return or32(gtU(i64(52), spare), and32(eq(spare, i64(52)), carried))
}

/** Whether r = x op y was rounded. */
const ROUNDED: Readonly<Record<Two, (m: Float, a: Expr, b: Expr, r: Expr) => Expr>> = {
  add: sumRounded,
  sub: (m, a, b, r) => sumRounded(m, a, m.keep(op(b.type, b.type === 'f64' ? 0x9a : 0x8c, b)), r),
  mul: (m, a, b, r) => {
    const proof = (): Expr =>
      m.format === 'f32'
        ? test('f64', 'ne', two('f64', 'mul', promote(a), promote(b)), promote(r))
        : productRounded(m, a, b, r)
    return and32(not32(isZero(m.format, r)), proof())
  },
  div: (m, a, b, r) => {
    if (m.format === 'f32') return test('f64', 'ne', two('f64', 'mul', promote(r), promote(b)), promote(a))
    const wrong = test('f64', 'ne', two('f64', 'mul', r, b), a)
    return and32(not32(isZero('f64', r)), or32(wrong, productRounded(m, r, b, a)))
  },
}

const arithmetic =
  (name: Two, f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const [a, b] = [m.read(0), m.read(1)]
    const r = m.keep(two(f, name, a, b))
    // Zero comes from zeros; of other products and quotients it is too small a number.
    const fine = name === 'mul' ? or32(isZero(f, a), isZero(f, b)) : name === 'div' ? isZero(f, a) : i32(1)
    const ordinary = or32(isOrdinaryResult(f, r), and32(isZero(f, r), fine))
    m.giveUpUnless(and32(ordinary, and32(isOrdinary(f, a), isOrdinary(f, b))))
    m.precision(() => ROUNDED[name](m, a, b, r))
    m.write(r)
  }

const squareRoot =
  (f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const a = m.read(1)
    const r = m.keep(one(f, 'sqrt', a))
    m.giveUpUnless(and32(isOrdinary(f, a), or32(isOrdinaryResult(f, r), isZero(f, r))))
    m.precision(() => {
      if (f === 'f32') return test('f64', 'ne', two('f64', 'mul', promote(r), promote(r)), promote(a))
      const wrong = test(f, 'ne', two(f, 'mul', r, r), a)
      return and32(not32(isZero(f, r)), or32(wrong, productRounded(m, r, r, a)))
    })
    m.write(r)
  }

/** MIN and MAX: the second operand unless the first is really smaller or larger. */
const extreme =
  (name: 'lt' | 'gt', f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const [a, b] = [m.read(0), m.read(1)]
    m.giveUpUnless(and32(isOrdinary(f, a), isOrdinary(f, b)))
    m.write(select(test(f, name, a, b), a, b))
  }

/** COMISS and kin; of ordinary numbers the quiet and the signalling ones are alike. */
const comparison =
  (f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const [a, b] = [m.read(0), m.read(1)]
    m.giveUpUnless(and32(isOrdinary(f, a), isOrdinary(f, b)))
    const flag = (e: Expr): Bool => e as unknown as Bool
    const never = flag(i32(0))
    const [less, equal] = [flag(test(f, 'lt', a, b)), flag(test(f, 'eq', a, b))]
    s.emit.setFlags({ CF: less, ZF: equal, PF: never, OF: never, SF: never, AF: never })
  }

/** CMPSS: a predicate of imm8 bits 1:0, negated by bit 2, as a mask. */
const predicate =
  (f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const [a, b] = [m.read(0), m.read(1)]
    m.giveUpUnless(and32(isOrdinary(f, a), isOrdinary(f, b)))
    const kind = and32(s.immediate, i32(3))
    const [less, equal] = [m.keep(test(f, 'lt', a, b)), m.keep(test(f, 'eq', a, b))]
    const ordered = select(eq32(kind, i32(3)), i32(0), or32(less, equal))
    const holds = select(eq32(kind, i32(0)), equal, select(eq32(kind, i32(1)), less, ordered))
    const negated = op('i32', 0x73, holds, and32(op('i32', 0x76, s.immediate, i32(2)), i32(1)))
    m.f.store64(f === 'f64' ? 8 : 4, s.emit.slot(0), sub(i64(0), widen(negated)))
  }

/** ROUNDSS: imm8 bits 1:0, or MXCSR's nearest by bit 2; bit 3 keeps the precision exception quiet. */
const round =
  (f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const a = m.read(1)
    m.giveUpUnless(isOrdinary(f, a))
    const { immediate } = s
    const mode = select(and32(immediate, i32(4)), i32(0), and32(immediate, i32(3)))
    const at = m.keep(mode)
    const is = (n: number): Expr => eq32(at, i32(n))
    const r = m.keep(
      select(
        is(0),
        one(f, 'nearest', a),
        select(is(1), one(f, 'floor', a), select(is(2), one(f, 'ceil', a), one(f, 'trunc', a))),
      ),
    )
    m.f.if(not32(and32(immediate, i32(8))), () => m.precision(() => test(f, 'ne', r, a)))
    m.write(r)
  }

/** CVT(T)SS2SI and CVT(T)SD2SI, of numbers that fit. */
const toInteger =
  (f: Format, bits: 32 | 64, truncate: boolean): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const a = m.read(1)
    const r = m.keep(one(f, truncate ? 'trunc' : 'nearest', a))
    m.giveUpUnless(test(f, 'lt', one(f, 'abs', r), power(f, bits - 1)))
    m.precision(() => test(f, 'ne', r, a))
    const value =
      bits === 64 ? op('i64', f === 'f64' ? 0xb0 : 0xae, r) : widen(op('i32', f === 'f64' ? 0xaa : 0xa8, r))
    s.writeWord(0, value)
  }

/** CVTSI2SS and CVTSI2SD. */
const fromInteger =
  (f: Format, bits: 32 | 64): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const value = m.keep(s.readWord(1))
    if (bits === 32 && f === 'f64') {
      m.write(op('f64', 0xb7, wrap(value)))
      return
    }
    const signed = bits === 64 ? value : m.keep(op('i64', 0xac, wrap(value)))
    m.precision(() => {
      const negative = op('i32', 0x53, signed, i64(0))
      const size = m.keep(select(negative, sub(i64(0), signed), signed))
      const length = sub(sub(i64(64), clz(size)), op('i64', 0x7a, size))
      return and32(op('i32', 0x52, size, i64(0)), gtU(length, i64(f === 'f64' ? 53 : 24)))
    })
    m.write(op(f, f === 'f64' ? 0xb9 : 0xb4, signed))
  }

const toDouble: VectorRun = (s) => {
  const m = new Float(s, 'f32')
  m.begin()
  const a = m.read(1)
  m.giveUpUnless(isOrdinary('f32', a))
  m.write(promote(a))
}

const toSingle: VectorRun = (s) => {
  const m = new Float(s, 'f64')
  m.begin()
  const a = m.read(1)
  const r = m.keep(op('f32', DEMOTE, a))
  m.giveUpUnless(or32(isOrdinaryResult('f32', r), isZero('f64', a)))
  m.precision(() => test('f64', 'ne', promote(r), a))
  m.write(r)
}

const ordinaryLanes = (f: Format, a: Expr): Expr =>
  either(packed(f, 'eq', a, splat(f, zero(f))), packed(f, 'ge', packed(f, 'abs', a), splat(f, smallest(f))))

const packedArithmetic =
  (name: Two | 'sqrt', f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const b = s.read(1)
    const a = name === 'sqrt' ? b : s.read(0)
    const r = m.keep(name === 'sqrt' ? packed(f, 'sqrt', b) : packed(f, name, a, b))
    const none = splat(f, zero(f))
    const size = packed(f, 'abs', r)
    const usual = both(
      packed(f, 'gt', size, splat(f, smallest(f))),
      packed(f, 'lt', size, splat(f, infinity(f))),
    )
    const zeroLanes = packed(f, 'eq', r, none)
    const fromZero = packed(f, 'eq', a, none)
    const fine =
      name === 'mul' ? either(fromZero, packed(f, 'eq', b, none)) : name === 'div' ? fromZero : zeroLanes
    const ordinary = either(usual, both(zeroLanes, fine))
    const lanes = both(ordinary, both(ordinaryLanes(f, a), ordinaryLanes(f, b)))
    m.giveUpIf(anyLane(never(lanes)))
    m.precisionKnown()
    s.write(0, r)
  }

const packedExtreme =
  (name: 'pmin' | 'pmax', f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const b = s.read(1)
    const a = s.read(0)
    m.giveUpIf(anyLane(never(both(ordinaryLanes(f, a), ordinaryLanes(f, b)))))
    s.write(0, packed(f, name, b, a))
  }

const packedPredicate =
  (f: Format): VectorRun =>
  (s) => {
    const m = new Float(s, f)
    m.begin()
    const b = s.read(1)
    const a = s.read(0)
    m.giveUpIf(anyLane(never(both(ordinaryLanes(f, a), ordinaryLanes(f, b)))))
    const is = (n: number): Expr => eq32(and32(s.immediate, i32(3)), i32(n))
    const holds = m.keep(
      select(
        is(0),
        packed(f, 'eq', a, b),
        select(is(1), packed(f, 'lt', a, b), select(is(2), packed(f, 'le', a, b), v128(new Uint8Array(16)))),
      ),
    )
    s.write(0, select(and32(s.immediate, i32(4)), never(holds), holds))
  }

const fromIntegers: VectorRun = (s) => {
  const m = new Float(s, 'f32')
  m.begin()
  m.precisionKnown()
  s.write(0, simd('v128', 0xfa, s.read(1)))
}
/** Two integers become doubles: exact. */
const fromIntegersLow: VectorRun = (s) => {
  const m = new Float(s, 'f64')
  m.begin()
  s.write(0, simd('v128', 0xfe, s.read(1)))
}
/** Lanes that no single-precision number is in are zero. */
const toDoubles: VectorRun = (s) => {
  const m = new Float(s, 'f64')
  m.begin()
  const a = s.read(1)
  const low = m.keep(simd('v128', 0x5f, a))
  // As singles they must be normal.
  const least = op('f64', PROMOTE, smallest('f32'))
  const fine = either(
    packed('f64', 'eq', low, splat('f64', zero('f64'))),
    packed('f64', 'ge', packed('f64', 'abs', low), splat('f64', least)),
  )
  m.giveUpIf(anyLane(never(fine)))
  s.write(0, low)
}

const SUFFIXES = { PS: 'f32', PD: 'f64', SS: 'f32', SD: 'f64' } as const

function named(row: Row): VectorRun | undefined {
  const { mnemonic } = row
  const suffix = mnemonic.slice(-2) as keyof typeof SUFFIXES
  const f = SUFFIXES[suffix]
  const bits = row.opSize === 64 ? 64 : 32
  switch (mnemonic) {
    case 'CVTSS2SD':
      return toDouble
    case 'CVTSD2SS':
      return toSingle
    case 'CVTDQ2PS':
      return fromIntegers
    case 'CVTDQ2PD':
      return fromIntegersLow
    case 'CVTPS2PD':
      return toDoubles
    case 'CVTSI2SS':
    case 'CVTSI2SD':
      return fromInteger(f, bits)
    case 'UCOMISS':
    case 'UCOMISD':
    case 'COMISS':
    case 'COMISD':
      return comparison(f)
  }
  const integer = /^CVT(T?)S([SD])2SI$/.exec(mnemonic)
  if (integer !== null) return toInteger(integer[2] === 'S' ? 'f32' : 'f64', bits, integer[1] === 'T')
  if (f === undefined) return undefined
  const scalar = suffix.startsWith('S')
  switch (mnemonic.slice(0, -2)) {
    case 'ADD':
    case 'SUB':
    case 'MUL':
    case 'DIV': {
      const name = mnemonic.slice(0, 3).toLowerCase() as Two
      return scalar ? arithmetic(name, f) : packedArithmetic(name, f)
    }
    case 'SQRT':
      return scalar ? squareRoot(f) : packedArithmetic('sqrt', f)
    case 'MIN':
      return scalar ? extreme('lt', f) : packedExtreme('pmin', f)
    case 'MAX':
      return scalar ? extreme('gt', f) : packedExtreme('pmax', f)
    case 'CMP':
      return scalar ? predicate(f) : packedPredicate(f)
    case 'ROUND':
      return scalar ? round(f) : undefined
  }
  return undefined
}

/** The common way of a row, undefined when it has none. */
export function floatOf(row: Row): VectorRun | undefined {
  // String instructions share names with some.
  return row.operands.some((o) => o.kind.startsWith('xmm')) ? named(row) : undefined
}

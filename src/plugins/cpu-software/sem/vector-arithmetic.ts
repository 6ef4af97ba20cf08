/** Integer vector arithmetic, comparison, logic and shifts (SDM vol. 2, PADDB and kin). MMX forms are the low half. */
import type { Row } from '../isa/row.ts'
import type { EmitVector } from '../read/emit-vector.ts'
import { type Expr, i32, i64, lane, op, shuffle, simd, v128 } from '../wasm/encoder.ts'
import { eqz, select, wrap } from '../wasm/operators.ts'
import type { VectorRun } from './vector-meanings.ts'
import { settle } from './vector-move.ts'

type Binary = (a: Expr, b: Expr, s: EmitVector) => Expr
const direct =
  (opcode: number): Binary =>
  (a, b) =>
    simd('v128', opcode, a, b)
const swapped =
  (opcode: number): Binary =>
  (a, b) =>
    simd('v128', opcode, b, a)
const splat16 = (n: number): Expr => v128(new Uint8Array(new Uint16Array(8).fill(n).buffer))
const zero = (): Expr => v128(new Uint8Array(16))
const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list)
/** Both operands of an MMX instruction side by side, so that a 128-bit operator sees them as one. */
const joined = (a: Expr, b: Expr): Expr => lane('v128', 0x1e, 1, a, lane('i64', 0x1d, 0, b))

/** Results narrower than their sources: of MMX operands both halves come from the joined vector. */
const pack =
  (opcode: number): Binary =>
  (a, b, s) => {
    if (!s.isMmx) return simd('v128', opcode, a, b)
    const both = s.keep(joined(a, b))
    return simd('v128', opcode, both, both)
  }

/** High halves of 16-bit products from two vectors of 32-bit ones. */
const highHalves =
  (low: number, high: number): Binary =>
  (a, b) =>
    shuffle(
      bytes(2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31),
      simd('v128', low, a, b),
      simd('v128', high, a, b),
    )
/** 64-bit products of the even 32-bit lanes. */
const evenProducts =
  (opcode: number): Binary =>
  (a, b) => {
    const even = bytes(0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11)
    return simd('v128', opcode, shuffle(even, a, a), shuffle(even, b, b))
  }

/** Adjacent lanes of both operands, even ones and odd ones, then an operator between them. */
const horizontal =
  (size: 2 | 4, opcode: number): Binary =>
  (a, b, s) => {
    const pick = (odd: number) => {
      const list: number[] = []
      for (let n = 0; n < 16 / size; n++) for (let k = 0; k < size; k++) list.push((2 * n + odd) * size + k)
      return Uint8Array.from(list)
    }
    // An MMX pair is one vector already: its lanes come out in the low half.
    const both = s.isMmx ? s.keep(joined(a, b)) : undefined
    return simd(
      'v128',
      opcode,
      shuffle(pick(0), both ?? a, both ?? b),
      shuffle(pick(1), both ?? a, both ?? b),
    )
  }

/** PSIGN: negated, kept or zero by the sign of the source. */
const sign =
  (negate: number, lessS: number, equal: number): Binary =>
  (a, b, s) => {
    const minus = simd('v128', lessS, b, zero())
    const signed = s.keep(simd('v128', 0x52, simd('v128', negate, a), a, minus))
    return simd('v128', 0x4f, signed, simd('v128', equal, b, zero()))
  }

const sumOfDifferences: Binary = (a, b, s) => {
  const difference = simd('v128', 0x50, simd('v128', 0x73, a, b), simd('v128', 0x73, b, a))
  const words = simd('v128', 0x7f, simd('v128', 0x7d, difference))
  const pairs = s.keep(words)
  const low = simd('v128', 0x4e, pairs, v128(new Uint8Array(new BigUint64Array(2).fill(0xffffffffn).buffer)))
  return simd('v128', 0xce, low, simd('v128', 0xcd, pairs, i32(32)))
}

const unsignedBySigned: Binary = (a, b) => {
  const evenA = simd('v128', 0x4e, a, splat16(0xff))
  const evenB = simd('v128', 0x8c, simd('v128', 0x8b, b, i32(8)), i32(8))
  const odd = simd('v128', 0x95, simd('v128', 0x8d, a, i32(8)), simd('v128', 0x8c, b, i32(8)))
  return simd('v128', 0x8f, simd('v128', 0x95, evenA, evenB), odd)
}

/** q15mulr saturates the one product that overflows; PMULHRSW lets it wrap to 8000h. */
const roundedHigh: Binary = (a, b) => {
  const lowest = splat16(0x8000)
  const both = simd('v128', 0x4e, simd('v128', 0x2d, a, lowest), simd('v128', 0x2d, b, lowest))
  return simd('v128', 0x51, simd('v128', 0x82, a, b), both)
}

/** Operators by mnemonic; numbers are WebAssembly SIMD opcodes. */
const BINARY: Readonly<Record<string, Binary>> = {
  PADDB: direct(0x6e), PADDW: direct(0x8e), PADDD: direct(0xae), PADDQ: direct(0xce),
  PSUBB: direct(0x71), PSUBW: direct(0x91), PSUBD: direct(0xb1), PSUBQ: direct(0xd1),
  PADDSB: direct(0x6f), PADDSW: direct(0x8f), PADDUSB: direct(0x70), PADDUSW: direct(0x90),
  PSUBSB: direct(0x72), PSUBSW: direct(0x92), PSUBUSB: direct(0x73), PSUBUSW: direct(0x93),
  PMULLW: direct(0x95), PMULLD: direct(0xb5), PMULHW: highHalves(0xbc, 0xbd), PMULHUW: highHalves(0xbe, 0xbf),
  PMULUDQ: evenProducts(0xde), PMULDQ: evenProducts(0xdc), PMADDWD: direct(0xba),
  PMADDUBSW: unsignedBySigned, PMULHRSW: roundedHigh, PSADBW: sumOfDifferences,
  PAVGB: direct(0x7b), PAVGW: direct(0x9b),
  PMINUB: direct(0x77), PMAXUB: direct(0x79), PMINSW: direct(0x96), PMAXSW: direct(0x98),
  PMINSB: direct(0x76), PMAXSB: direct(0x78), PMINUW: direct(0x97), PMAXUW: direct(0x99),
  PMINSD: direct(0xb6), PMAXSD: direct(0xb8), PMINUD: direct(0xb7), PMAXUD: direct(0xb9),
  PCMPEQB: direct(0x23), PCMPEQW: direct(0x2d), PCMPEQD: direct(0x37), PCMPEQQ: direct(0xd6),
  PCMPGTB: direct(0x27), PCMPGTW: direct(0x31), PCMPGTD: direct(0x3b), PCMPGTQ: direct(0xd9),
  PAND: direct(0x4e), POR: direct(0x50), PXOR: direct(0x51), PANDN: swapped(0x4f),
  ANDPS: direct(0x4e), ANDPD: direct(0x4e), ORPS: direct(0x50), ORPD: direct(0x50),
  XORPS: direct(0x51), XORPD: direct(0x51), ANDNPS: swapped(0x4f), ANDNPD: swapped(0x4f),
  PACKSSWB: pack(0x65), PACKUSWB: pack(0x66), PACKSSDW: pack(0x85), PACKUSDW: pack(0x86),
  PHADDW: horizontal(2, 0x8e), PHADDD: horizontal(4, 0xae), PHADDSW: horizontal(2, 0x8f),
  PHSUBW: horizontal(2, 0x91), PHSUBD: horizontal(4, 0xb1), PHSUBSW: horizontal(2, 0x92),
  PSIGNB: sign(0x61, 0x25, 0x23), PSIGNW: sign(0x81, 0x2f, 0x2d), PSIGND: sign(0xa1, 0x39, 0x37),
} // biome-ignore format: a table

const UNARY: Readonly<Record<string, number>> = { PABSB: 0x60, PABSW: 0x80, PABSD: 0xa0 }

/** Lane bits and opcodes of shl, shr_s or shr_u. Counts at or above the width give zero, or the sign. */
const SHIFTS: Readonly<Record<string, readonly [bits: number, opcode: number, arithmetic: boolean]>> = {
  PSLLW: [16, 0x8b, false], PSLLD: [32, 0xab, false], PSLLQ: [64, 0xcb, false],
  PSRLW: [16, 0x8d, false], PSRLD: [32, 0xad, false], PSRLQ: [64, 0xcd, false],
  PSRAW: [16, 0x8c, true], PSRAD: [32, 0xac, true],
} // biome-ignore format: a table

export function arithmeticOf(row: Row): VectorRun | undefined {
  const { mnemonic, operands } = row
  const binary = BINARY[mnemonic]
  if (binary !== undefined) return (s) => settle(s, () => binary(s.read(0), s.read(1), s))
  const unary = UNARY[mnemonic]
  if (unary !== undefined) return (s) => settle(s, () => simd('v128', unary, s.read(1)))
  const shift = SHIFTS[mnemonic]
  if (shift !== undefined) {
    const byImmediate = operands[1]?.kind === 'imm'
    return (s) =>
      settle(s, () => {
        const n = byImmediate ? s.keep(op('i64', 0xad, s.immediate)) : s.keep(lane('i64', 0x1d, 0, s.read(1)))
        return shifted(s, shift, s.read(0), n)
      })
  }
  if (mnemonic === 'PTEST') return test
  if (mnemonic === 'PMOVMSKB') return mask(0x64)
  if (mnemonic === 'MOVMSKPS') return mask(0xa4)
  if (mnemonic === 'MOVMSKPD') return mask(0xc4)
  return undefined
}

function shifted(
  s: EmitVector,
  [bits, opcode, arithmetic]: readonly [number, number, boolean],
  v: Expr,
  n: Expr,
): Expr {
  const within = op('i32', 0x54, n, i64(bits))
  if (arithmetic) return simd('v128', opcode, v, select(within, wrap(n), i32(bits - 1)))
  const moved = s.keep(simd('v128', opcode, v, wrap(n)))
  return op('v128', 0x1b, moved, zero(), within)
}

/** PMOVMSKB of an MMX register sees zeros above. */
const mask =
  (opcode: number): VectorRun =>
  (s) => {
    s.writeWord(0, op('i64', 0xad, simd('i32', opcode, s.read(1))))
    s.enterMmx()
  }

const test: VectorRun = (s) => {
  const a = s.read(0)
  const b = s.read(1)
  const none = (v: Expr) => s.emit.keepBool(eqz(op('i64', 0xad, simd('i32', 0x53, v))) as never)
  const zf = none(simd('v128', 0x4e, a, b))
  const cf = none(simd('v128', 0x4f, b, a))
  const no = s.emit.bit(s.emit.const(0), 0)
  s.emit.setFlags({ ZF: zf, CF: cf, PF: no, AF: no, SF: no, OF: no })
}

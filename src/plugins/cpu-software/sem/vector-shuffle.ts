/** Shuffles, unpacks, extensions and blends (SDM vol. 2: PUNPCK, PSHUF, SHUFPS, PALIGNR, PMOVSX, PBLEND and kin). */
import type { Row } from '../isa/row.ts'
import type { EmitVector } from '../read/emit-vector.ts'
import { type Expr, i32, lane, shuffle, simd, v128 } from '../wasm/encoder.ts'
import { add32, and32, gtU32, mul32, select, shr32 } from '../wasm/operators.ts'
import type { VectorRun } from './vector-meanings.ts'
import { settle } from './vector-move.ts'

const IOTA = (): Expr => v128(Uint8Array.from({ length: 16 }, (_, i) => i))
const SWIZZLE = 0x0e
const splat8 = (n: Expr): Expr => simd('v128', 0x0f, n)
const swizzle = (v: Expr, lanes: Expr): Expr => simd('v128', SWIZZLE, v, lanes)

/** Lanes of both operands in turn, from the low half; an MMX register's high half is the upper half of the same. */
const unpack =
  (size: number, high: boolean): VectorRun =>
  (s) =>
    settle(s, () => {
      const start = high ? (s.isMmx ? 4 : 8) : 0
      const list: number[] = []
      for (let n = 0; list.length < 16; n++)
        for (const side of [0, 16])
          for (let k = 0; k < size; k++) list.push(side + ((start + n * size + k) % 16))
      return shuffle(Uint8Array.from(list), s.read(0), s.read(1))
    })

/** A vector whose 32-bit lanes are made from selectors: lane n shows bytes 4*sel .. 4*sel+3. */
const dwordLanes = (s: EmitVector, imm: Expr): Expr => {
  const selector = (n: number) =>
    add32(mul32(and32(shr32(imm, i32(2 * n)), i32(3)), i32(0x04040404)), i32(0x03020100))
  let lanes: Expr = simd('v128', 0x11, selector(0))
  for (let n = 1; n < 4; n++) lanes = lane('v128', 0x1c, n, lanes, selector(n))
  return s.keep(lanes)
}
/** The same for 16-bit lanes within one half. */
const wordLanes = (s: EmitVector, imm: Expr, half: 0 | 1): Expr => {
  const selector = (n: number) =>
    add32(mul32(and32(shr32(imm, i32(2 * n)), i32(3)), i32(0x0202)), i32(half === 1 ? 0x0908 : 0x0100))
  let lanes: Expr = v128(Uint8Array.from({ length: 16 }, (_, i) => i))
  for (let n = 0; n < 4; n++) lanes = lane('v128', 0x1a, half * 4 + n, lanes, selector(n))
  return s.keep(lanes)
}

/** Moves bytes towards higher (left) or lower numbers, zeros follow. */
const byteShift =
  (left: boolean): VectorRun =>
  (s) =>
    settle(s, () => {
      const imm = s.immediate
      const n = splat8(select(gtU32(imm, i32(16)), i32(16), imm))
      return swizzle(s.read(0), simd('v128', left ? 0x71 : 0x6e, IOTA(), n))
    })

const alignRight: VectorRun = (s) =>
  settle(s, () => {
    const imm = s.immediate
    const size = s.isMmx ? 8 : 16
    const n = s.keep(select(gtU32(imm, i32(2 * size)), i32(2 * size), imm))
    if (s.isMmx) {
      const both = lane('v128', 0x1e, 1, s.read(1), lane('i64', 0x1d, 0, s.read(0)))
      return lane('v128', 0x1e, 1, swizzle(both, simd('v128', 0x6e, IOTA(), splat8(n))), {
        ...lane('i64', 0x1d, 0, v128(new Uint8Array(16))),
      })
    }
    const low = swizzle(s.read(1), simd('v128', 0x6e, IOTA(), splat8(n)))
    const high = swizzle(s.read(0), simd('v128', 0x6e, IOTA(), splat8(add32(n, i32(-16)))))
    return simd('v128', 0x50, low, high)
  })

/** PSHUFB: bit 7 of a selector gives zero; only the low bits choose. */
const shuffleBytes: VectorRun = (s) =>
  settle(s, () => {
    const kept = v128(new Uint8Array(16).fill(s.isMmx ? 0x87 : 0x8f))
    return swizzle(s.read(0), simd('v128', 0x4e, s.read(1), kept))
  })

const shuffleSingles: VectorRun = (s) =>
  settle(s, () => {
    const lanes = dwordLanes(s, s.immediate)
    const [a, b] = [swizzle(s.read(0), lanes), swizzle(s.read(1), lanes)]
    return shuffle(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31), a, b)
  })
const shuffleDoubles: VectorRun = (s) =>
  settle(s, () => {
    const imm = s.immediate
    // Each selector bit chooses a half: as two dword lanes each.
    const half = (bit: number) => mul32(and32(shr32(imm, i32(bit)), i32(1)), i32(0b1010))
    const lanes = dwordLanes(
      s,
      s.keep(add32(add32(half(0), i32(0b0100)), mul32(add32(half(1), i32(0b0100)), i32(16)))),
    )
    const [a, b] = [swizzle(s.read(0), lanes), swizzle(s.read(1), lanes)]
    return shuffle(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31), a, b)
  })

/** Fixed rearrangements of the source. */
const FIXED: Readonly<Record<string, readonly number[]>> = {
  MOVSLDUP: [0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11],
  MOVSHDUP: [4, 5, 6, 7, 4, 5, 6, 7, 12, 13, 14, 15, 12, 13, 14, 15],
  MOVDDUP: [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7],
}

/** Chains of extend_low operators. */
const EXTEND: Readonly<Record<string, readonly number[]>> = {
  PMOVSXBW: [0x87], PMOVSXBD: [0x87, 0xa7], PMOVSXBQ: [0x87, 0xa7, 0xc7],
  PMOVSXWD: [0xa7], PMOVSXWQ: [0xa7, 0xc7], PMOVSXDQ: [0xc7],
  PMOVZXBW: [0x89], PMOVZXBD: [0x89, 0xa9], PMOVZXBQ: [0x89, 0xa9, 0xc9],
  PMOVZXWD: [0xa9], PMOVZXWQ: [0xa9, 0xc9], PMOVZXDQ: [0xc9],
} // biome-ignore format: a table

/** Variable blends take the source where XMM0's lane is negative: [arithmetic shift, count]. */
const VARIABLE: Readonly<Record<string, readonly [number, number]>> = {
  PBLENDVB: [0x6c, 7],
  BLENDVPS: [0xac, 31],
  BLENDVPD: [0xcc, 63],
}

/** Blends by the bits of the immediate: bytes of a lane. */
const IMMEDIATE: Readonly<Record<string, 2 | 4 | 8>> = { PBLENDW: 2, BLENDPS: 4, BLENDPD: 8 }
const blend =
  (size: 2 | 4 | 8): VectorRun =>
  (s) =>
    settle(s, () => {
      const wanted = new Uint8Array(16)
      const view = new DataView(wanted.buffer)
      // A bit a lane, as bytes: eight lanes of PBLENDW still fit.
      for (let n = 0; n < 16 / size; n++) for (let k = 0; k < size; k++) view.setUint8(n * size + k, 1 << n)
      const bits = simd('v128', 0x4e, splat8(s.immediate), v128(wanted))
      return simd('v128', 0x52, s.read(1), s.read(0), simd('v128', 0x23, bits, v128(wanted)))
    })

const UNPACKS: Readonly<Record<string, readonly [number, boolean]>> = {
  PUNPCKLBW: [1, false], PUNPCKLWD: [2, false], PUNPCKLDQ: [4, false], PUNPCKLQDQ: [8, false],
  PUNPCKHBW: [1, true], PUNPCKHWD: [2, true], PUNPCKHDQ: [4, true], PUNPCKHQDQ: [8, true],
  UNPCKLPS: [4, false], UNPCKHPS: [4, true], UNPCKLPD: [8, false], UNPCKHPD: [8, true],
} // biome-ignore format: a table

export function shuffleOf(row: Row): VectorRun | undefined {
  const { mnemonic } = row
  const unpacked = UNPACKS[mnemonic]
  if (unpacked !== undefined) return unpack(...unpacked)
  const fixed = FIXED[mnemonic]
  if (fixed !== undefined)
    return (s) =>
      settle(s, () => {
        const v = s.read(1)
        return shuffle(Uint8Array.from(fixed), v, v)
      })
  const chain = EXTEND[mnemonic]
  if (chain !== undefined)
    return (s) => settle(s, () => chain.reduce((v, opcode) => simd('v128', opcode, v), s.read(1)))
  const variable = VARIABLE[mnemonic]
  if (variable !== undefined)
    return (s) =>
      settle(s, () =>
        simd('v128', 0x52, s.read(1), s.read(0), simd('v128', variable[0], s.xmm0, i32(variable[1]))),
      )
  const immediate = IMMEDIATE[mnemonic]
  if (immediate !== undefined) return blend(immediate)
  switch (mnemonic) {
    case 'PSHUFD':
      return (s) => settle(s, () => swizzle(s.read(1), dwordLanes(s, s.immediate)))
    case 'PSHUFLW':
    case 'PSHUFW':
      return (s) => settle(s, () => swizzle(s.read(1), wordLanes(s, s.immediate, 0)))
    case 'PSHUFHW':
      return (s) => settle(s, () => swizzle(s.read(1), wordLanes(s, s.immediate, 1)))
    case 'PSLLDQ':
      return byteShift(true)
    case 'PSRLDQ':
      return byteShift(false)
    case 'PALIGNR':
      return alignRight
    case 'PSHUFB':
      return shuffleBytes
    case 'SHUFPS':
      return shuffleSingles
    case 'SHUFPD':
      return shuffleDoubles
  }
  return undefined
}

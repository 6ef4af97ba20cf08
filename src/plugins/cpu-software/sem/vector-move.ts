/** Vector moves (SDM vol. 2: MOVUPS and kin, MOVD MOVQ, MOVSS MOVSD, half moves, lane insertion and extraction). */
import type { Row } from '../isa/row.ts'
import type { EmitVector } from '../read/emit-vector.ts'
import { STATE } from '../state.ts'
import { type Expr, i32, lane, load64, loadV, shuffle, v128 } from '../wasm/encoder.ts'
import { add32, and32, mul32, shr32 } from '../wasm/operators.ts'
import type { VectorRun } from './vector-meanings.ts'

const zero = (): Expr => v128(new Uint8Array(16))
const low64 = (v: Expr): Expr => lane('i64', 0x1d, 0, v)
const high64 = (v: Expr): Expr => lane('i64', 0x1d, 1, v)
const withLow64 = (v: Expr, word: Expr): Expr => lane('v128', 0x1e, 0, v, word)
const withHigh64 = (v: Expr, word: Expr): Expr => lane('v128', 0x1e, 1, v, word)
/** Bytes 0..n-1 of b, the rest of a. */
const mergeLow = (n: number, a: Expr, b: Expr): Expr =>
  shuffle(
    Uint8Array.from({ length: 16 }, (_, i) => (i < n ? 16 + i : i)),
    a,
    b,
  )

const WHOLE = new Set(
  'MOVUPS MOVUPD MOVAPS MOVAPD MOVDQA MOVDQU LDDQU MOVNTPS MOVNTPD MOVNTDQ MOVNTDQA MOVNTQ'.split(' '),
)

export function moveOf(row: Row): VectorRun | undefined {
  const { mnemonic, operands } = row
  const [a, b] = operands
  const isXmm = (n: number) => operands[n]?.kind === 'xmm' || operands[n]?.kind === 'xmm/m'
  const isWord = (n: number) => operands[n]?.kind === 'r' || operands[n]?.kind === 'rm'
  if (mnemonic === 'EMMS') return (s) => s.enterMmx()
  if (a === undefined || b === undefined) return undefined
  if (WHOLE.has(mnemonic)) return copy
  switch (mnemonic) {
    case 'MOVD':
    case 'MOVQ':
      if (isWord(1)) return (s) => settle(s, () => lane('v128', 0x1e, 0, zero(), s.readWord(1)))
      if (isWord(0)) return (s) => settleWord(s, () => low64(s.read(1)))
      // Only the low half counts, whatever the register holds above.
      return (s) => settle(s, () => withLow64(zero(), low64(s.read(1))))
    case 'MOVQ2DQ':
    case 'MOVDQ2Q':
      return (s) => settle(s, () => withLow64(zero(), low64(s.read(1))))
    case 'MOVSS':
    case 'MOVSD': {
      if (!isXmm(0) && a.kind !== 'm') return undefined
      const bytes = mnemonic === 'MOVSS' ? 4 : 8
      if (b.kind === 'm') return copy
      if (a.kind === 'm') return copy
      return (s) => settle(s, () => mergeLow(bytes, s.read(0), s.read(1)))
    }
    case 'MOVLPS':
    case 'MOVLPD':
      if (a.kind === 'm') return copy
      return (s) => settle(s, () => withLow64(s.read(0), low64(s.read(1))))
    case 'MOVHPS':
    case 'MOVHPD':
      if (a.kind === 'm') return (s) => settle(s, () => withLow64(zero(), high64(s.read(1))))
      return (s) => settle(s, () => withHigh64(s.read(0), low64(s.read(1))))
    case 'MOVHLPS':
      return (s) => settle(s, () => withLow64(s.read(0), high64(s.read(1))))
    case 'MOVLHPS':
      return (s) => settle(s, () => withHigh64(s.read(0), low64(s.read(1))))
    case 'PEXTRB':
    case 'PEXTRW':
    case 'PEXTRD':
    case 'PEXTRQ':
    case 'EXTRACTPS':
      return extract(mnemonic === 'PEXTRB' ? 1 : mnemonic === 'PEXTRW' ? 2 : mnemonic === 'PEXTRQ' ? 8 : 4)
    case 'PINSRB':
    case 'PINSRW':
    case 'PINSRD':
    case 'PINSRQ':
      return insert(mnemonic === 'PINSRB' ? 1 : mnemonic === 'PINSRW' ? 2 : mnemonic === 'PINSRQ' ? 8 : 4)
    case 'INSERTPS':
      return insertps
  }
  return undefined
}

/** Computes, then writes operand 0; the register file's MMX state changes only when nothing faults any more. */
export function settle(s: EmitVector, compute: () => Expr): void {
  const value = s.keep(compute())
  s.write(0, value)
  s.enterMmx()
}
function settleWord(s: EmitVector, compute: () => Expr): void {
  s.writeWord(0, compute())
  s.enterMmx()
}
const copy: VectorRun = (s) => settle(s, () => s.read(1))

/** Byte offset of the lane that the immediate names. */
const laneOffset = (s: EmitVector, size: 1 | 2 | 4 | 8): Expr =>
  mul32(and32(s.immediate, i32((s.isMmx ? 8 : 16) / size - 1)), i32(size))

const extract =
  (size: 1 | 2 | 4 | 8): VectorRun =>
  (s) =>
    settleWord(s, () => load64(size, s.laneAt(1, laneOffset(s, size))))

const insert =
  (size: 1 | 2 | 4 | 8): VectorRun =>
  (s) => {
    const word = s.readWord(1)
    s.f.store64(size, s.laneAt(0, laneOffset(s, size)), word)
    if (s.isMmx) s.f.store32(2, s.emit.slot(0), i32(0xffff), 8)
    s.enterMmx()
  }

/** INSERTPS: source lane by bits 7:6 (registers only), destination by 5:4, zero mask by 3:0. */
const insertps: VectorRun = (s) => {
  const { f, emit } = s
  const imm = s.immediate
  const from = emit.isMemory(1) ? i32(0) : mul32(shr32(imm, i32(6)), i32(4))
  let word: Expr
  if (emit.isMemory(1)) word = s.keep(low64(s.read(1)))
  else word = s.keep(load64(4, s.laneAt(1, from)))
  // The lanes are put together in the scratch, where a lane chosen at run time is an address.
  f.storeV(emit.state, s.read(0), STATE.storeScratch)
  f.store64(4, add32(emit.state, mul32(and32(shr32(imm, i32(4)), i32(3)), i32(4))), word, STATE.storeScratch)
  for (let n = 0; n < 4; n++)
    f.if(and32(imm, i32(1 << n)), () => f.store32(4, emit.state, i32(0), STATE.storeScratch + n * 4))
  s.write(0, loadV(emit.state, STATE.storeScratch))
}

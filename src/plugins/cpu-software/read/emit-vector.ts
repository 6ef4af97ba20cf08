/**
 * The emitting reading of vector instructions: XMM and MMX values as WebAssembly v128.
 *
 * An MMX value lies in the low half, the upper half is zero. Around each meaning stands what the manual asks of
 * all: #UD and #NM by CR0 and CR4, #MF and the register file's state for MMX, #GP for misaligned operands.
 */
import { FP_STATE } from '../fp/state.ts'
import type { Row } from '../isa/row.ts'
import { STATE } from '../state.ts'
import { type Expr, i32, i64, lane, load32, load64, loadV, v128 } from '../wasm/encoder.ts'
import { add32, and, and32, ne } from '../wasm/operators.ts'
import type { Emit } from './emit.ts'
import { EXCEPTION, type Operand, type Val } from './vocabulary.ts'

const V = (e: Expr): Val => e as unknown as Val
const FSW = STATE.fp + FP_STATE.fsw
const FTW = STATE.fp + FP_STATE.ftw
/** FSW: exception summary, and the top-of-stack field. */
const FSW_ES = 0x80
const FSW_TOP = 0x3800
/** Exponent and sign of a register that MMX has written. */
const MMX_EXPONENT = 0xffff

type Bytes = 1 | 2 | 4 | 8 | 16
const zero = (): Expr => v128(new Uint8Array(16))

export class EmitVector {
  readonly emit: Emit
  readonly row: Row
  readonly isMmx: boolean

  constructor(emit: Emit, row: Row) {
    this.emit = emit
    this.row = row
    this.isMmx = row.operands.some((o) => o.kind === 'mm' || o.kind === 'mm/m') || row.mnemonic === 'EMMS'
  }
  get f() {
    return this.emit.f
  }

  /** What comes before the meaning. */
  prologue(): void {
    const { emit, f, row } = this
    const word = this.isMmx && !this.#touchesXmm ? STATE.mmxFault : STATE.sseFault
    emit.requireUnit(word, () => this.#fault(load32(4, emit.state, word)))
    if (this.isMmx) {
      f.ifUnlikely(and32(load32(2, emit.state, FSW), i32(FSW_ES)), () => this.#fault(i32(EXCEPTION.MF)))
    }
    row.operands.forEach((o, n) => {
      if (!row.aligned || o.memWidth !== 128 || !emit.isMemory(n as Operand)) return
      const address = emit.linearAddress(n as Operand) as unknown as Expr
      f.ifUnlikely(ne(and(address, i64(15)), i64(0)), () => this.#fault(i32(EXCEPTION.GP)))
    })
  }
  get #touchesXmm(): boolean {
    return this.row.operands.some((o) => o.kind === 'xmm' || o.kind === 'xmm/m')
  }
  #fault(vector: Expr): void {
    const { emit, f } = this
    f.store32(4, emit.state, vector, STATE.faultVector)
    f.store32(4, emit.state, i32(0), STATE.faultError)
    emit.raise()
  }
  /** MMX instructions make the register stack an array: TOP 0, every register in use. After all that can fault. */
  enterMmx(): void {
    if (!this.isMmx) return
    const { emit, f } = this
    f.store32(2, emit.state, and32(load32(2, emit.state, FSW), i32(~FSW_TOP & 0xffff)), FSW)
    f.store32(1, emit.state, i32(this.row.mnemonic === 'EMMS' ? 0 : 0xff), FTW)
  }

  keep(e: Expr): Expr {
    return this.emit.keep(V(e)) as unknown as Expr
  }
  /** Bytes that operand n has in memory, or in its register. */
  #size(n: Operand): Bytes {
    const o = this.row.operands[n]!
    if (this.emit.isMemory(n)) return (o.memWidth / 8) as Bytes
    return (o.width / 8) as Bytes
  }
  /** An XMM, MMX or memory operand; what memory lacks is zero. */
  read(n: Operand): Expr {
    const { emit } = this
    const size = this.#size(n)
    const host = emit.isMemory(n)
      ? emit.openLoad(emit.linearAddress(n) as unknown as Expr, size)
      : emit.slot(n)
    if (size === 16) return this.keep(loadV(host))
    return this.keep(lane('v128', 0x1e, 0, zero(), load64(size as 1 | 2 | 4 | 8, host)))
  }
  /** A general register or memory operand as a 64-bit word. */
  readWord(n: Operand): Expr {
    const size = this.#size(n) as 1 | 2 | 4 | 8
    return this.emit.read(n, (size * 8) as 8 | 16 | 32 | 64) as unknown as Expr
  }
  writeWord(n: Operand, value: Expr): void {
    const { emit } = this
    const kept = this.keep(value)
    const size = emit.isMemory(n) ? this.#size(n) : Math.max(4, this.#size(n))
    emit.write(n, (size * 8) as 32, V(size === 8 ? kept : and(kept, i64((1n << BigInt(size * 8)) - 1n))))
  }
  /** The whole register, or the operand's bytes in memory. */
  write(n: Operand, value: Expr): void {
    const { emit, f } = this
    const kept = this.keep(value)
    const size = this.#size(n)
    if (!emit.isMemory(n)) {
      if (size === 16) f.storeV(emit.slot(n), kept)
      else {
        f.store64(8, emit.slot(n), lane('i64', 0x1d, 0, kept))
        f.store32(2, emit.slot(n), i32(MMX_EXPONENT), 8)
      }
      return
    }
    const opened = emit.openStore(emit.linearAddress(n) as unknown as Expr, size, false)
    if (size === 16) f.storeV(opened.host, kept)
    else f.store64(size as 1 | 2 | 4 | 8, opened.host, lane('i64', 0x1d, 0, kept))
    emit.commitStore(opened)
  }
  /** Host address of a register operand's byte, for lanes chosen at run time. */
  laneAt(n: Operand, bytes: Expr): Expr {
    return add32(this.emit.slot(n), bytes)
  }
  get immediate(): Expr {
    return this.keep(and32(this.emit.immediate(), i32(255)))
  }
  /** XMM0, the mask of the variable blends. */
  get xmm0(): Expr {
    return this.keep(loadV(this.emit.state, STATE.fp + FP_STATE.xmm))
  }
}

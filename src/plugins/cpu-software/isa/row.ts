/**
 * The notation of the instruction table and what a row means once read.
 *
 * A row is written as in the manual (SDM vol. 2, "Instruction Format"):
 *
 *   ['ADC', 'rv/mv, rv', 'MR', '11 /r', 'LOCK', 'OF=X SF=X ZF=X AF=X PF=X CF=TX']
 *
 * Operands: `r64/m64` register or memory; access is read-write for the first operand and read for the others
 * unless marked `r:`, `w:` or `x:` (read-write). `simm` is sign-extended to the operand size, `imm` is not.
 * `m8[rDI]` is memory at a fixed register; capitals (`AL`, `ES`, `ST(0)`, `1`) are fixed operands.
 * Sizes may be the letters of the manual's appendix A; the row then stands for one row per size:
 *   v  word, dword, qword (o16, o32, REX.W)      y  dword, qword       z  word, dword, dword (immediates)
 * Encoding: one letter for each operand that is not fixed: M = ModRM.rm, R = ModRM.reg, O = low opcode bits,
 *   I = immediate, D = displacement in the instruction (relative, far or moffs). ZO: none.
 * Opcode: NP (no 66/F3/F2), NFx (no F3/F2), 66/F3/F2 mandatory; o8/o16/o32/o32+/REX.W operand size, W0 not REX.W;
 *   bytes; +r, +i; /r, /0../7; ib iw id io, cb cw cd, cp (far pointer), mo (moffs).
 * Attributes: LOCK; REP, REPE (what an F2/F3 prefix means); CPL0; NO64, ONLY64; D64 (operand size is 64 in
 *   64-bit mode), F64 (the same and 66 is ignored); V (one row per size though no operand shows it);
 *   ANYMOD (ModRM.mod is ignored, rm is a register); UNALIGNED; or a feature of features.ts.
 * Flags: X computed, 0, 1, U undefined, XU computed for some operand values only; T before it: tested.
 */
import type { Feature } from './features.ts'

export type RowText = readonly [
  mnemonic: string,
  operands: string,
  encoding: string,
  opcode: string,
  attributes?: string,
  flags?: string,
]

export type OperandKind =
  | 'r'
  | 'm'
  | 'rm'
  | 'imm'
  | 'rel'
  | 'far'
  | 'moffs'
  | 'xmm'
  | 'xmm/m'
  | 'mm'
  | 'mm/m'
  | 'st'
  | 'sreg'
  | 'cr'
  | 'dr'
  | 'fixed'

/** The field of `Decoded` that holds the operand; `mem` is the memory fields together; `fixed` is none. */
export type OperandField = 'reg' | 'rm' | 'mem' | 'reg2' | 'imm' | 'imm2' | 'fixed'

export interface Operand {
  readonly kind: OperandKind
  /** As written, sizes filled in: `r64/m64`. */
  readonly text: string
  /** Bits of the register, immediate or fixed operand; of the memory operand where only that is allowed. 0: none. */
  readonly width: number
  /** Bits accessed when the operand is in memory; 0 where it cannot be or where no data is accessed (LEA, INVLPG). */
  readonly memWidth: number
  readonly access: 'r' | 'w' | 'rw'
  /** For kinds that are a register or memory: `rm`; then `Decoded.isMem` tells. */
  readonly where: OperandField
  /** Immediates: sign-extended to the operand size. */
  readonly signed: boolean
}

/** Masks of RFLAGS bits. A bit in both `computed` and `undefined` depends on the operand's value. */
export interface FlagEffects {
  readonly tested: number
  readonly computed: number
  readonly cleared: number
  readonly set: number
  readonly undefined: number
  /** All that the instruction may change. */
  readonly written: number
}

export interface Row {
  readonly index: number
  readonly mnemonic: string
  /** `ADC r64/m64, r64`: unique but for alternative encodings. */
  readonly form: string
  readonly operands: readonly Operand[]
  /** Operand size in bits: 8, 16, 32 or 64; 0 where the instruction has none (most of MMX and SSE). */
  readonly opSize: number
  readonly feature: Feature
  readonly flags: FlagEffects
  readonly lockable: boolean
  readonly rep: '' | 'rep' | 'repe'
  /** Needs CPL 0, else #GP(0). IOPL and CR4 conditions are not part of the table. */
  readonly cpl0: boolean
  /** A 128-bit memory operand must be aligned, else #GP(0). */
  readonly aligned: boolean
  readonly only64: boolean
  readonly no64: boolean
  readonly encoding: RowEncoding
}

/** How the row is encoded, for the decoder's tables and the assembler. */
export interface RowEncoding {
  /** The opcode column, sizes filled in. */
  readonly text: string
  /** 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A. */
  readonly map: 0 | 1 | 2 | 3
  readonly opcode: number
  /** Prefix states that select the row: bits 0 none, 1 66, 2 F3, 3 F2. */
  readonly prefixes: number
  /** The mandatory prefix byte, 0 for none. */
  readonly mandatory: 0 | 0x66 | 0xf2 | 0xf3
  /** Operand-size states before D64/F64 that select the row: bits 0 16, 1 32, 2 64. */
  readonly sizes: number
  readonly plusR: boolean
  readonly modrm: boolean
  /** /digit, or -1. */
  readonly digit: number
  /** A whole ModRM byte that belongs to the opcode, or -1; `plusI`: and the seven after it. */
  readonly fixedModrm: number
  readonly plusI: boolean
  readonly registerAllowed: boolean
  readonly memoryAllowed: boolean
  readonly anyMod: boolean
  /** Index into IMMEDIATES. */
  readonly immediate: number
}

/** Layouts of the bytes after ModRM and displacement; the index is `RowEncoding.immediate`. */
export const IMMEDIATES = [
  '',
  'ib',
  'ibs',
  'iw',
  'id',
  'ids',
  'io',
  'iw ib',
  'cp16',
  'cp32',
  'mo',
  'iws',
] as const

export const FLAG = {
  CF: 0x1,
  PF: 0x4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  ID: 0x200000,
} as const

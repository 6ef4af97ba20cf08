/**
 * The words in which instruction semantics are written (ARCHITECTURE.md, "The software CPU").
 *
 * A semantics function does not know what a value is: the reference reading makes it a bigint, the emitting
 * reading makes it WebAssembly code. Decisions about guest values are therefore vocabulary too (`when`,
 * `select`, `repeat`); a host-language `if` may look at static facts only: widths, operand forms, `long`.
 *
 * Order rule: every load, check and fault comes before the first write to a register or flag, and a write
 * to memory comes before writes to registers and flags, so that faults are precise and LOCK can retry.
 * Values read (`read`, `reg`, `load`, `flag`) are fixed at the moment of the call.
 */

declare const value: unique symbol
declare const truth: unique symbol
declare const vector: unique symbol
/** A 64-bit word; narrower quantities are zero-extended unless said otherwise. */
export interface Val {
  readonly [value]: true
}
/** A condition. */
export interface Bool {
  readonly [truth]: true
}
/** A 128-bit XMM value. */
export interface Vec {
  readonly [vector]: true
}

export type Width = 8 | 16 | 32 | 64
export type Flag = 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF'
/** Condition codes in encoding order (SDM vol. 1, appendix B). */
export const CONDITIONS = [
  'O',
  'NO',
  'B',
  'AE',
  'E',
  'NE',
  'BE',
  'A',
  'S',
  'NS',
  'P',
  'NP',
  'L',
  'GE',
  'LE',
  'G',
] as const
export type Condition = (typeof CONDITIONS)[number]

/** Index of an operand of the instruction: 0 is the destination. */
export type Operand = 0 | 1 | 2

/** Exceptions an instruction can raise by itself (SDM vol. 3, 6.3.1). */
export const EXCEPTION = {
  DE: 0,
  DB: 1,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  XM: 19,
} as const

export interface Vocabulary {
  /** 64-bit code. A static fact. */
  readonly long: boolean

  const(n: bigint | number): Val
  add(a: Val, b: Val): Val
  sub(a: Val, b: Val): Val
  mul(a: Val, b: Val): Val
  and(a: Val, b: Val): Val
  or(a: Val, b: Val): Val
  xor(a: Val, b: Val): Val
  not(a: Val): Val
  neg(a: Val): Val
  /** Shifts of the whole word; the count must be below 64. */
  shl(a: Val, count: Val): Val
  shr(a: Val, count: Val): Val
  sar(a: Val, count: Val): Val
  /** Rotation of the whole word by count modulo 64. */
  rotl(a: Val, count: Val): Val
  /** Leading and trailing zeros of the word (64 for 0), and bits set. */
  clz(a: Val): Val
  ctz(a: Val): Val
  popcnt(a: Val): Val
  /** High halves of 64 by 64 bit products. */
  mulHighU(a: Val, b: Val): Val
  mulHighS(a: Val, b: Val): Val
  /** Quotient and remainder of the 128-bit hi:lo by d, for d > hi. */
  divWide(hi: Val, lo: Val, d: Val): readonly [quotient: Val, remainder: Val]
  /** Quotient and remainder of words; the divisor is not zero (and not -1 for signed ones). */
  divU(a: Val, b: Val): Val
  remU(a: Val, b: Val): Val
  divS(a: Val, b: Val): Val
  remS(a: Val, b: Val): Val
  /** The low bits, zero- or sign-extended to the word. */
  zext(w: Width, a: Val): Val
  sext(w: Width, a: Val): Val

  eq(a: Val, b: Val): Bool
  ne(a: Val, b: Val): Bool
  ltU(a: Val, b: Val): Bool
  ltS(a: Val, b: Val): Bool
  isZero(a: Val): Bool
  /** Bit of a word. */
  bit(a: Val, index: Val | number): Bool
  allOf(...conditions: Bool[]): Bool
  anyOf(...conditions: Bool[]): Bool
  differ(a: Bool, b: Bool): Bool
  isNot(a: Bool): Bool
  /** 1 or 0. */
  word(b: Bool): Val
  select(b: Bool, then: Val, otherwise: Val): Val
  /** Names a value used more than once. */
  keep(a: Val): Val
  keepBool(b: Bool): Bool

  when(b: Bool, then: () => void, otherwise?: () => void): void
  /** Ends the instruction with an exception. */
  fault(exception: keyof typeof EXCEPTION, errorCode?: Val): void

  /** Static facts about an operand. */
  isMemory(o: Operand): boolean
  isImmediate(o: Operand): boolean
  read(o: Operand, w: Width): Val
  /** Writing 32 bits of a register clears its upper half; 8 and 16 leave the rest alone. */
  write(o: Operand, w: Width, v: Val): void
  /** Effective address of a memory operand: without segment base for LEA, linear otherwise. */
  effectiveAddress(o: Operand): Val
  linearAddress(o: Operand): Val
  /** Moves a memory operand's address by a number of bytes (bit strings). */
  displace(o: Operand, bytes: Val): void

  /** Registers by number 0..15. */
  reg(n: number, w: Width): Val
  setReg(n: number, w: Width, v: Val): void
  /** Linear memory. */
  load(w: Width, address: Val): Val
  store(w: Width, address: Val, v: Val): void

  flag(f: Flag): Bool
  setFlags(flags: Partial<Record<Flag, Bool>>): void
  /** All six from z = a + b (+ carry in), z = a - b (- borrow in), or a logical result. Operands zero-extended to w. */
  flagsOfAdd(w: Width, a: Val, b: Val, z: Val): void
  flagsOfSub(w: Width, a: Val, b: Val, z: Val): void
  flagsOfLogic(w: Width, z: Val): void
  /** ZF, SF and PF from a result, AF and the two given: shifts, INC, DEC. */
  flagsOfResult(w: Width, z: Val, af: Bool, cf: Bool, of: Bool): void
  condition(cc: Condition): Bool
  /** DF as a stride: +1 or -1. */
  direction(): Val

  /** The stack pointer in the stack's own size, and memory at SS:pointer. */
  stackPointer(): Val
  setStackPointer(v: Val): void
  stackLoad(w: Width, pointer: Val): Val
  stackStore(w: Width, pointer: Val, v: Val): void

  /** Address of the next instruction. */
  nextRip(): Val
  /** Target of a relative branch. */
  branchTarget(): Val
  /** Goes to an address known only at run time; ends the instruction. */
  jump(target: Val): void
  /** Goes to `branchTarget()`; ends the instruction. */
  branch(): void
  /** Starts this instruction again (REP), interrupts may come between. */
  again(): void

  /** String instructions: linear address of the source (DS or override) and destination (ES), index registers moved by w bytes. */
  sourceAddress(): Val
  destinationAddress(): Val
  /**
   * REP MOVS and REP STOS: moves or stores as many elements at once as is easily done, and says how many; none where a
   * reading goes step by step. Registers stay as they are.
   */
  atOnce(w: Width, what: 'move' | 'store'): Val
  /** rSI, rDI or rCX in the address size. */
  addressReg(n: number): Val
  setAddressReg(n: number, v: Val): void
}

/** What an instruction means at operand width w. */
export type Semantics = (s: Vocabulary, w: Width) => void
/** How an operand is used: decides whether a memory operand is translated for writing. */
export type Access = 'r' | 'w' | 'rw' | 'address'
export interface Meaning {
  readonly access: readonly Access[]
  readonly run: Semantics
}

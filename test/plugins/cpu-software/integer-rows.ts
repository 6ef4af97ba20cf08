/**
 * What makes the interesting cases of an instruction likely: equal operands for CMPXCHG, code addresses for
 * indirect jumps, dividends that fit. Everything else is drawn by trials.ts.
 */
import type { RegisterName } from '../../../src/plugins/cpu-software/isa/operand.ts'
import { CODE_ADDRESS, MEMORY_ADDRESS } from '../../host-oracle/oracle.ts'
import { type Adjust, type Draft, registerNumber, type Trial, word } from './trials.ts'

const memoryBytes = (draft: Draft): number => draft.target - MEMORY_ADDRESS - draft.offset

/** Puts a value where the memory operand is, as far as that lies in the case's bytes. */
export function putMemory(draft: Draft, value: bigint, size: number, at = memoryBytes(draft)): void {
  for (let i = 0; i < size; i++)
    if (at + i >= 0 && at + i < draft.bytes.length)
      draft.bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n)
}
const isRegister = (argument: unknown): argument is RegisterName => typeof argument === 'string'

const sometimes =
  (one: number, of: number, then: Adjust): Adjust =>
  (draft) => {
    if (draft.s.below(of) < one) then(draft)
  }

/** A landing place among the INT3s of the code page. */
const landing = (draft: Draft): bigint => BigInt(CODE_ADDRESS + draft.s.below(2000) - 1000)

const toCode: Adjust = (draft) => {
  const to = landing(draft)
  const [argument] = draft.args
  if (isRegister(argument)) draft.gpr[registerNumber(argument)] = to
  else putMemory(draft, to, 8)
}
const returnToCode: Adjust = (draft) =>
  putMemory(draft, landing(draft), 8, draft.stack - MEMORY_ADDRESS - draft.offset)

/** rDX:rAX small against the divisor, with either sign. */
const dividend: Adjust = (draft) => {
  const { s, gpr, row } = draft
  const negative = row.mnemonic === 'IDIV' && s.below(2) === 0
  const width = row.opSize
  if (width === 8) gpr[0] = BigInt.asUintN(64, (negative ? -1n : 1n) * s.bits(s.pick([4, 8, 12])))
  else gpr[2] = negative ? BigInt.asUintN(64, -1n - s.bits(2)) : s.bits(3)
}

const equalToAccumulator: Adjust = (draft) => {
  const [argument] = draft.args
  if (isRegister(argument)) draft.gpr[registerNumber(argument)] = draft.gpr[0]!
  else putMemory(draft, draft.gpr[0]!, draft.row.opSize / 8)
}

/** rDX:rAX equal to the memory operand. */
const equalPair =
  (half: 4 | 8): Adjust =>
  (draft) => {
    const mask = (1n << BigInt(half * 8)) - 1n
    const both = (draft.gpr[0]! & mask) | ((draft.gpr[2]! & mask) << BigInt(half * 8))
    putMemory(draft, both, half * 2)
  }

/** A bit number that stays near the operand. */
const nearBit: Adjust = (draft) => {
  const [operand, index] = draft.args
  if (!isRegister(index)) return
  const n = registerNumber(index)
  const addresses = typeof operand === 'object' && 'isMemory' in operand ? [operand.base, operand.index] : []
  if (addresses.some((name) => name !== undefined && registerNumber(name) === n)) return
  draft.gpr[n] = BigInt.asUintN(64, BigInt(draft.s.below(1200) - 600))
}

/** Counts above 16 leave the result of a 16-bit double shift undefined. */
const definedCount: Adjust = (draft) => {
  if (draft.row.opSize !== 16) return
  const count = draft.s.below(17) + draft.s.pick([0, 32, 64])
  if (typeof draft.args[2] === 'string') draft.gpr[1] = (draft.gpr[1]! & ~255n) | BigInt(count)
  else draft.args[2] = count
}

const selectors: Adjust = (draft) => {
  // FS holds the host's own data, ES and DS those of later cases: only values they have already, or none that exist.
  const selector = BigInt(draft.s.pick([0x2b, 0x28, 0x1003, 0x1000, 0x10, 0x3000]))
  const name = draft.args[0] as RegisterName
  const value =
    name === 'es' || name === 'ds'
      ? selector === 0x28n
        ? 0x2bn
        : selector
      : name === 'ss'
        ? selector
        : 0x1003n
  const source = draft.args[1]
  if (isRegister(source)) draft.gpr[registerNumber(source)] = value
  else putMemory(draft, value, 2)
}

/** Pops keep single-step and alignment checks off, and ID, which the host's kernel carries into later cases. */
const quietFlags: Adjust = (draft) => {
  putMemory(draft, word(draft.s, 32) & 0x3cd7n, 8, draft.stack - MEMORY_ADDRESS - draft.offset)
}

const smallCount: Adjust = (draft) => {
  draft.gpr[1] = draft.s.pick([0n, 1n, 2n, 1n << 32n, (1n << 32n) + 1n, draft.s.bits(64)])
}

const shallowFrame: Adjust = (draft) => {
  draft.args[0] = draft.s.pick([0, 1, 8, 16, 32, 40])
  draft.args[1] = draft.s.pick([0, 0, 1, 2, 3, 5, 31, 32, 33, 64])
}

/** Interrupts that the host's kernel does not take for a call of its own. */
const harmlessVector: Adjust = (draft) => {
  draft.args[0] = draft.s.pick([0, 1, 2, 3, 5, 6, 8, 13, 14, 0x20, 0x2e, 0x81, 0xff])
}

const tableLookup: Adjust = (draft) => {
  draft.gpr[3] = BigInt(draft.target) - (draft.gpr[0]! & 255n)
}

const ADJUSTMENTS: Readonly<Record<string, Adjust>> = {
  'JMP r/m': sometimes(7, 8, toCode),
  'CALL r/m': sometimes(7, 8, toCode),
  RET: sometimes(7, 8, returnToCode),
  DIV: sometimes(3, 4, dividend),
  IDIV: sometimes(3, 4, dividend),
  CMPXCHG: sometimes(1, 2, equalToAccumulator),
  CMPXCHG8B: sometimes(1, 2, equalPair(4)),
  CMPXCHG16B: sometimes(1, 2, equalPair(8)),
  BT: sometimes(7, 8, nearBit),
  BTS: sometimes(7, 8, nearBit),
  BTR: sometimes(7, 8, nearBit),
  BTC: sometimes(7, 8, nearBit),
  SHLD: definedCount,
  SHRD: definedCount,
  POPF: quietFlags,
  LOOP: smallCount,
  LOOPE: smallCount,
  LOOPNE: smallCount,
  JRCXZ: smallCount,
  ENTER: shallowFrame,
  INT: harmlessVector,
  XLATB: tableLookup,
  'MOV sreg': selectors,
}

/** Operand combinations in which processors differ though the table cannot say so. */
export function isComparable({ row, args }: Trial): boolean {
  const memory = args.some((argument) => typeof argument === 'object' && 'isMemory' in argument)
  // AMD's processors refuse the register form of 0F 0D, Intel's take it for a NOP.
  if (row.encoding.map === 1 && row.encoding.opcode === 0x0d) return memory
  // AMD's read 32 bits for a 16-bit MOVSXD: no difference but at the end of a page.
  if (row.form === 'MOVSXD r16, r16/m16') return !memory
  return true
}

export function adjustmentOf(form: string, mnemonic: string): Adjust | undefined {
  if (/^(JMP|CALL) r\d/.test(form)) return ADJUSTMENTS[`${mnemonic} r/m`]
  if (/^MOV sreg/.test(form)) return ADJUSTMENTS['MOV sreg']
  return ADJUSTMENTS[mnemonic]
}

/**
 * Look-up tables of the decoder, built once from the rows.
 *
 * A row is found by two loads: `start[code size, map, opcode]` gives the first of a run of slots, and the slot
 * within it is `modrm key * 12 + mandatory prefix * 3 + operand size`. How much of ModRM the key holds
 * depends on the opcode (`KEY_*`), so the usual opcode needs 12 or 24 slots and only x87 and the like 864.
 */
import type { Feature } from './features.ts'
import type { Row } from './row.ts'

/** Size of the modrm key: nothing, mod == 3, reg with mod == 3, or reg for memory and the whole byte for registers. */
export const KEY_NONE = 0
export const KEY_MOD = 1
export const KEY_REG = 2
export const KEY_FULL = 3
const KEYS = [1, 2, 16, 72] as const
/** Slots per key: four prefix states times three operand sizes. */
export const SLOTS = 12

/** Fields of `rowBits`. */
export const ROW_BITS = {
  immediate: 0xf,
  lockable: 0x10,
  rep: 0x20,
  anyMod: 0x40,
  /** What ModRM.reg is, see REG_*. */
  regShift: 8,
  /** ModRM.rm as a register: 8-bit, or without REX.B. */
  rm8: 0x1000,
  rmNoRex: 0x2000,
  /** The register in the opcode is 8-bit. */
  opcodeReg8: 0x4000,
  hasOpcodeReg: 0x8000,
  /** Operand size in bytes. */
  sizeShift: 16,
} as const

/** ModRM.reg: general or XMM register; 8-bit; no REX.R (MMX, /digit); segment; segment but CS; control; debug register. */
export const REG_ANY = 0
export const REG_8 = 1
export const REG_NO_REX = 2
export const REG_SEGMENT = 3
export const REG_SEGMENT_LOADED = 4
export const REG_CONTROL = 5
export const REG_DEBUG = 6

export interface DecodeTables {
  /** By (is64 << 10 | map << 8 | opcode): first slot, or -1 where nothing is defined. */
  readonly start: Int32Array
  /** Same index: KEY_* in bits 0-1, bit 2 set where ModRM follows. */
  readonly shape: Uint8Array
  /** Row index or -1. */
  readonly slots: Int16Array
  readonly rowBits: Int32Array
}

export function buildDecodeTables(rows: readonly Row[], features: ReadonlySet<Feature>): DecodeTables {
  const byOpcode: Row[][] = Array.from({ length: 2048 }, () => [])
  for (const row of rows) {
    if (!features.has(row.feature)) continue
    const { map, opcode, plusR } = row.encoding
    for (let is64 = 0; is64 < 2; is64++) {
      if (is64 === 1 ? row.no64 : row.only64) continue
      for (let i = 0; i < (plusR ? 8 : 1); i++) byOpcode[(is64 << 10) | (map << 8) | (opcode + i)]!.push(row)
    }
  }
  const start = new Int32Array(2048).fill(-1)
  const shape = new Uint8Array(2048)
  let total = 0
  for (let at = 0; at < 2048; at++) {
    const group = byOpcode[at]!
    if (group.length === 0) continue
    const key = keyOf(group)
    start[at] = total
    shape[at] = key | (group.some((row) => row.encoding.modrm) ? 4 : 0)
    total += KEYS[key] * SLOTS
  }
  const slots = new Int16Array(total).fill(-1)
  // The more a row demands, the later it is entered, over the more general ones.
  const rank = rows.map(demand)
  for (let at = 0; at < 2048; at++) {
    const group = byOpcode[at]!
    if (group.length > 1) group.sort((a, b) => rank[a.index]! - rank[b.index]!)
    for (const row of group) enter(slots, start[at]!, (shape[at]! & 3) as 0 | 1 | 2 | 3, row)
  }
  return { start, shape, slots, rowBits: Int32Array.from(rows, bitsOf) }
}

function keyOf(group: readonly Row[]): 0 | 1 | 2 | 3 {
  if (group.some((row) => row.encoding.fixedModrm >= 0)) return KEY_FULL
  if (group.some((row) => row.encoding.digit >= 0)) return KEY_REG
  return group.some(
    (row) => row.encoding.modrm && !(row.encoding.registerAllowed && row.encoding.memoryAllowed),
  )
    ? KEY_MOD
    : KEY_NONE
}

function demand(row: Row): number {
  const { mandatory, fixedModrm, digit, prefixes } = row.encoding
  return (
    (fixedModrm >= 0 ? 8 : 0) + (digit >= 0 ? 4 : 0) + (mandatory !== 0 ? 2 : 0) + (prefixes === 15 ? 0 : 1)
  )
}

function enter(slots: Int16Array, start: number, key: 0 | 1 | 2 | 3, row: Row): void {
  const { prefixes, sizes } = row.encoding
  for (let k = 0; k < KEYS[key]; k++) {
    if (!keyMatches(key, k, row)) continue
    for (let prefix = 0; prefix < 4; prefix++) {
      if (((prefixes >> prefix) & 1) === 0) continue
      for (let size = 0; size < 3; size++) {
        if (((sizes >> size) & 1) !== 0) slots[start + k * SLOTS + prefix * 3 + size] = row.index
      }
    }
  }
}

function keyMatches(key: 0 | 1 | 2 | 3, k: number, row: Row): boolean {
  if (key === KEY_NONE) return true
  const { registerAllowed, memoryAllowed, anyMod, digit, fixedModrm, plusI } = row.encoding
  const isRegister = key === KEY_MOD ? k === 1 : k >= 8
  if (isRegister ? !registerAllowed : !(memoryAllowed || anyMod)) return false
  if (key === KEY_MOD) return true
  const reg = key === KEY_REG ? k & 7 : isRegister ? (k - 8) >> 3 : k
  if (fixedModrm >= 0)
    return isRegister && (plusI ? (k - 8) >> 3 === ((fixedModrm >> 3) & 7) : k - 8 === (fixedModrm & 63))
  return digit < 0 || digit === reg
}

function bitsOf(row: Row): number {
  const { encoding, operands } = row
  const reg = operands.find((o) => o.where === 'reg')
  const rm = operands.find((o) => o.where === 'rm')
  const opcodeReg = operands.find((o) => o.where === 'reg2')
  let regKind = REG_ANY
  if (reg === undefined || reg.kind === 'mm') regKind = REG_NO_REX
  else if (reg.kind === 'sreg') regKind = reg.access === 'w' ? REG_SEGMENT_LOADED : REG_SEGMENT
  else if (reg.kind === 'cr') regKind = REG_CONTROL
  else if (reg.kind === 'dr') regKind = REG_DEBUG
  else if (reg.kind === 'r' && reg.width === 8) regKind = REG_8
  let bits = encoding.immediate | (regKind << ROW_BITS.regShift) | ((row.opSize >> 3) << ROW_BITS.sizeShift)
  if (row.lockable) bits |= ROW_BITS.lockable
  if (row.rep !== '') bits |= ROW_BITS.rep
  if (encoding.anyMod) bits |= ROW_BITS.anyMod
  if (rm !== undefined && (rm.kind === 'r' || rm.kind === 'rm') && rm.text.startsWith('r8'))
    bits |= ROW_BITS.rm8
  if (rm === undefined || rm.kind.startsWith('mm') || rm.kind === 'st') bits |= ROW_BITS.rmNoRex
  if (opcodeReg !== undefined) bits |= ROW_BITS.hasOpcodeReg
  if (opcodeReg?.width === 8) bits |= ROW_BITS.opcodeReg8
  return bits
}

/**
 * The instruction decoder: bytes to a row of the table and its operands (SDM vol. 2, chapter 2).
 *
 * One mutable `Decoded` is reused; nothing is allocated per instruction. Branches behave as on Intel's
 * processors (66 is ignored on near branches in 64-bit mode). Not here: VEX, EVEX and XOP, which raise #UD.
 */
import {
  buildDecodeTables,
  KEY_FULL,
  KEY_MOD,
  KEY_REG,
  REG_8,
  REG_ANY,
  REG_CONTROL,
  REG_DEBUG,
  REG_NO_REX,
  REG_SEGMENT_LOADED,
  ROW_BITS,
  SLOTS,
} from './decode-tables.ts'
import { ADVERTISED, type Feature } from './features.ts'
import { ROWS } from './table.ts'

/** Segment registers in encoding order. */
export const SEG = { none: -1, ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const
/** Numbers of AH, CH, DH, BH; other 8-bit registers are 0..15 as all registers. */
export const FIRST_HIGH_BYTE = 16

/** Results of `decode` that are not lengths. */
export const NEED_MORE = 0
export const INVALID = -1
/** More than 15 bytes: #GP(0). */
export const TOO_LONG = -2

/** What `decode` found. Fields that the row has no use for hold the values given by `reset`. */
export class Decoded {
  /** Index into ROWS. */
  row = 0
  length = 0
  /** Operand size in bits as the row says; 0 where it has none. */
  opSize = 0
  /** 64, 32 or 16. */
  addrSize = 64
  lock = false
  /** 0xF2 or 0xF3 on an instruction that can be repeated, else 0. */
  rep = 0
  /** Segment override, -1 for none. In 64-bit mode only FS and GS ever appear. */
  seg = -1
  /** Segment of the memory operand without an override: SS for a base of rSP or rBP, else DS. */
  defaultSeg = 3
  mod = 0
  reg = 0
  /** Register number when ModRM.mod is 3. */
  rm = 0
  isMem = false
  /** Register numbers of the address, -1 for none; `scale` is the shift. */
  base = -1
  index = -1
  scale = 0
  /** Sign-extended; the sum is truncated to the address size. */
  disp = 0
  /** The base is the address of the next instruction. */
  ripRelative = false
  /** Register in the low bits of the opcode. */
  reg2 = 0
  /** Immediate, relative displacement, far offset or moffs address as two signed 32-bit halves of the 64-bit value. */
  imm = 0
  immHi = 0
  /** Second immediate of ENTER, selector of a far pointer. */
  imm2 = 0
}

export type Decode = (
  bytes: Uint8Array,
  offset: number,
  end: number,
  mode: 64 | 32 | 16,
  out: Decoded,
) => number

/** Prefix bytes: 1 segment, 2 operand size, 3 address size, 4 lock, 5 repeat; 6 REX in 64-bit mode. */
const PREFIX = new Uint8Array(256)
for (const byte of [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]) PREFIX[byte] = 1
PREFIX[0x66] = 2
PREFIX[0x67] = 3
PREFIX[0xf0] = 4
PREFIX[0xf2] = 5
PREFIX[0xf3] = 5
for (let byte = 0x40; byte < 0x50; byte++) PREFIX[byte] = 6

/** Base and index of 16-bit addresses by ModRM.rm (SDM vol. 2, table 2-1). */
const BASE16 = Int8Array.of(3, 3, 5, 5, 6, 7, 5, 3)
const INDEX16 = Int8Array.of(6, 7, 6, 7, -1, -1, -1, -1)

/** A decoder for a processor with the given features; others' bytes raise #UD or keep their older meaning. */
export function makeDecoder(features: ReadonlySet<Feature>): Decode {
  const { start, shape, slots, rowBits } = buildDecodeTables(ROWS, features)

  /**
   * Decodes the instruction at `offset`; bytes from `end` on do not exist (yet). Returns its length, NEED_MORE
   * if it reaches past `end`, INVALID (#UD) or TOO_LONG (#GP). `out` is meaningful after a length only.
   */
  return (bytes, offset, end, mode, out) => {
    const limit = end - offset >= 15 ? offset + 15 : end
    const short = end - offset >= 15 ? TOO_LONG : NEED_MORE
    const is64 = mode === 64
    let at = offset
    let rex = 0
    let seg = -1
    let has66 = false
    let has67 = false
    let lock = false
    let rep = 0
    let byte = 0
    for (;;) {
      if (at >= limit) return short
      byte = bytes[at++]!
      const kind = PREFIX[byte]!
      if (kind === 0) break
      if (kind === 6) {
        if (!is64) break
        rex = byte
        continue
      }
      rex = 0 // A REX counts only right before the opcode.
      if (kind === 1) {
        if (byte >= 0x64) seg = byte - 0x60
        else if (!is64) seg = (byte - 0x26) >> 3
      } else if (kind === 2) has66 = true
      else if (kind === 3) has67 = true
      else if (kind === 4) lock = true
      else rep = byte
    }
    let map = 0
    if (byte === 0x0f) {
      if (at >= limit) return short
      byte = bytes[at++]!
      map = 1
      if (byte === 0x38 || byte === 0x3a) {
        map = byte === 0x38 ? 2 : 3
        if (at >= limit) return short
        byte = bytes[at++]!
      }
    }
    // 90 is NOP or PAUSE, but with REX.B an exchange with R8 like its neighbours.
    const opcode = byte === 0x90 && map === 0 && (rex & 1) !== 0 ? 0x91 : byte
    const entry = (is64 ? 0x400 : 0) | (map << 8) | opcode
    let slot = start[entry]!
    if (slot < 0) return INVALID
    const size = (rex & 8) !== 0 ? 2 : (mode === 16) === has66 ? 1 : 0
    slot += size + (rep !== 0 ? (rep === 0xf3 ? 6 : 9) : has66 ? 3 : 0)
    const how = shape[entry]!
    let modrm = 0xc0
    if ((how & 4) !== 0) {
      if (at >= limit) return short
      modrm = bytes[at++]!
      const key = how & 3
      if (key === KEY_MOD) slot += modrm >= 0xc0 ? SLOTS : 0
      else if (key === KEY_REG) slot += (((modrm >> 3) & 7) + (modrm >= 0xc0 ? 8 : 0)) * SLOTS
      else if (key === KEY_FULL) slot += (modrm >= 0xc0 ? 8 + (modrm & 63) : (modrm >> 3) & 7) * SLOTS
    }
    const row = slots[slot]!
    if (row < 0) return INVALID
    const bits = rowBits[row]!

    const addrSize = is64 ? (has67 ? 32 : 64) : (mode === 16) === has67 ? 32 : 16
    out.row = row
    out.opSize = (bits >> ROW_BITS.sizeShift) << 3
    out.addrSize = addrSize
    out.rep = (bits & ROW_BITS.rep) !== 0 ? rep : 0
    out.seg = seg
    out.defaultSeg = SEG.DS
    out.base = -1
    out.index = -1
    out.scale = 0
    out.disp = 0
    out.ripRelative = false
    out.isMem = false
    out.lock = lock
    out.mod = modrm >> 6
    out.reg = 0
    out.rm = 0
    out.reg2 = 0
    out.imm = 0
    out.immHi = 0
    out.imm2 = 0

    if ((bits & ROW_BITS.hasOpcodeReg) !== 0) {
      const low = byte & 7
      out.reg2 =
        (bits & ROW_BITS.opcodeReg8) !== 0 && rex === 0 && low >= 4
          ? low - 4 + FIRST_HIGH_BYTE
          : low | ((rex & 1) << 3)
    }
    if ((how & 4) !== 0) {
      const reg = (modrm >> 3) & 7
      const regKind = (bits >> ROW_BITS.regShift) & 7
      if (regKind === REG_ANY) out.reg = reg | ((rex & 4) << 1)
      else if (regKind === REG_8)
        out.reg = rex === 0 && reg >= 4 ? reg - 4 + FIRST_HIGH_BYTE : reg | ((rex & 4) << 1)
      else if (regKind === REG_NO_REX) out.reg = reg
      else if (regKind === REG_CONTROL) {
        const cr = reg | ((rex & 4) << 1)
        if (cr !== 0 && cr !== 2 && cr !== 3 && cr !== 4 && cr !== 8) return INVALID
        out.reg = cr
      } else if (regKind === REG_DEBUG) {
        if ((rex & 4) !== 0) return INVALID
        out.reg = reg
      } else {
        if (reg > SEG.GS || (regKind === REG_SEGMENT_LOADED && reg === SEG.CS)) return INVALID
        out.reg = reg
      }
      const low = modrm & 7
      if (modrm >= 0xc0 || (bits & ROW_BITS.anyMod) !== 0) {
        if ((bits & ROW_BITS.rmNoRex) !== 0) out.rm = low
        else if ((bits & ROW_BITS.rm8) !== 0 && rex === 0 && low >= 4) out.rm = low - 4 + FIRST_HIGH_BYTE
        else out.rm = low | ((rex & 1) << 3)
      } else {
        out.isMem = true
        let dispBytes = modrm >> 6
        if (addrSize === 16) {
          if (modrm < 0x40 && low === 6) dispBytes = 2
          else {
            out.base = BASE16[low]!
            out.index = INDEX16[low]!
            if (out.base === 5) out.defaultSeg = SEG.SS
          }
        } else {
          if (dispBytes === 2) dispBytes = 4
          let base = low
          if (low === 4) {
            if (at >= limit) return short
            const sib = bytes[at++]!
            const index = ((sib >> 3) & 7) | ((rex & 2) << 2)
            if (index !== 4) {
              out.index = index
              out.scale = sib >> 6
            }
            base = sib & 7
          }
          if (base === 5 && modrm < 0x40) {
            dispBytes = 4
            out.ripRelative = is64 && low === 5
          } else {
            out.base = base | ((rex & 1) << 3)
            if (out.base === 4 || out.base === 5) out.defaultSeg = SEG.SS
          }
        }
        if (dispBytes !== 0) {
          if (at + dispBytes > limit) return short
          if (dispBytes === 1) out.disp = (bytes[at]! << 24) >> 24
          else if (dispBytes === 2) out.disp = ((bytes[at]! | (bytes[at + 1]! << 8)) << 16) >> 16
          else out.disp = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
          at += dispBytes
        }
      }
    }
    if (lock && !((bits & ROW_BITS.lockable) !== 0 && out.isMem)) return INVALID

    const immediate = bits & ROW_BITS.immediate
    if (immediate !== 0) {
      const count = immediate === MOFFS ? addrSize >> 3 : IMMEDIATE_BYTES[immediate]!
      if (at + count > limit) return short
      readImmediate(bytes, at, immediate, count, out)
      at += count
    }
    out.length = at - offset
    return out.length
  }
}

// Indices into IMMEDIATES (row.ts): '', ib, ibs, iw, id, ids, io, iw ib, cp16, cp32, mo, iws.
const MOFFS = 10
const IMMEDIATE_BYTES = Uint8Array.of(0, 1, 1, 2, 4, 4, 8, 3, 4, 6, 0, 2)

function readImmediate(bytes: Uint8Array, at: number, kind: number, count: number, out: Decoded): void {
  switch (kind) {
    case 1:
      out.imm = bytes[at]!
      return
    case 2:
      out.imm = (bytes[at]! << 24) >> 24
      out.immHi = out.imm >> 31
      return
    case 3:
      out.imm = word(bytes, at)
      return
    case 11:
      out.imm = (word(bytes, at) << 16) >> 16
      out.immHi = out.imm >> 31
      return
    case 4:
      out.imm = dword(bytes, at)
      return
    case 5:
      out.imm = dword(bytes, at)
      out.immHi = out.imm >> 31
      return
    case 7:
      out.imm = word(bytes, at)
      out.imm2 = bytes[at + 2]!
      return
    case 8:
      out.imm = word(bytes, at)
      out.imm2 = word(bytes, at + 2)
      return
    case 9:
      out.imm = dword(bytes, at)
      out.imm2 = word(bytes, at + 4)
      return
    default:
      // imm64, and moffs of the address size.
      out.imm = count === 2 ? word(bytes, at) : dword(bytes, at)
      out.immHi = count === 8 ? dword(bytes, at + 4) : 0
  }
}

const word = (bytes: Uint8Array, at: number) => bytes[at]! | (bytes[at + 1]! << 8)
const dword = (bytes: Uint8Array, at: number) =>
  word(bytes, at) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)

/** The decoder of the processor this backend advertises. */
export const decode: Decode = makeDecoder(ADVERTISED)

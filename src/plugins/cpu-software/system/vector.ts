/**
 * Vector instructions with no like in WebAssembly's vectors: MASKMOVQ, MASKMOVDQU, PHMINPOSUW, MPSADBW and the
 * string comparisons PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI (SDM vol. 2, and vol. 2 section 4.1 for these).
 */
import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'
import { enterMmx, type FpCpu, hasPendingException, mmxOffset, xmmOffset } from '../fp/state.ts'
import { FLAG } from '../isa/row.ts'
import { EXCEPTION } from '../read/vocabulary.ts'
import { STATE } from '../state.ts'
import { type AssistRun, operandAddress } from './operands.ts'

const RAX = 0
const RCX = 1
const RDX = 2
const RDI = 7
const XMM_BYTES = 16
const MMX_BYTES = 8
const STATUS_FLAGS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF

const fpOf = (cpu: Cpu): FpCpu => ({ view: cpu.state.view, base: cpu.state.base + STATE.fp })

/** #UD or #NM as CR0 and CR4 have it. */
function requireUnit(cpu: Cpu, unit: 'sseFault' | 'mmxFault'): void {
  const fault = cpu.state.half(unit)
  if (fault !== 0) cpu.raise(fault === EXCEPTION.UD ? 'UD' : 'NM')
}

/** A register's bytes, in place. */
function registerBytes(cpu: Cpu, offset: number, length: number): Uint8Array {
  const at = cpu.state.base + STATE.fp + offset
  return cpu.state.memory.u8.subarray(at, at + length)
}
const xmm = (cpu: Cpu, n: number): Uint8Array => registerBytes(cpu, xmmOffset(n), XMM_BYTES)
const mmx = (cpu: Cpu, n: number): Uint8Array => registerBytes(cpu, mmxOffset(n & 7), MMX_BYTES)

/** The second operand: a copy, so that it may be the destination too. */
function source(cpu: Cpu, op: AssistOp): Uint8Array {
  if (!op.isMem) return xmm(cpu, op.rm).slice()
  const at = operandAddress(cpu)
  if (op.row.aligned && (at & 15n) !== 0n) cpu.raise('GP', 0)
  return cpu.loadBytes(at, XMM_BYTES)
}

/**
 * Stores the bytes whose mask byte is negative to DS:rDI. The whole operand must be writable, whatever the mask:
 * the manual leaves that to the processor.
 */
function storeMasked(cpu: Cpu, op: AssistOp, bytes: Uint8Array, mask: Uint8Array): void {
  const offset = cpu.state.regs[RDI]! & ((1n << BigInt(op.addrSize)) - 1n)
  const at = cpu.linear(op.segment, offset, bytes.length, true)
  cpu.probeStore(at, bytes.length)
  for (const [n, byte] of bytes.entries()) if (mask[n]! >= 0x80) cpu.store(at + BigInt(n), 1, BigInt(byte))
}

const word = (bytes: Uint8Array, n: number): number => bytes[2 * n]! | (bytes[2 * n + 1]! << 8)

/** Lanes of the string comparisons: bytes or words, signed or not. */
function lanes(bytes: Uint8Array, control: number): number[] {
  const wide = (control & 1) !== 0
  const unsigned = Array.from({ length: wide ? 8 : 16 }, (_, n) => (wide ? word(bytes, n) : bytes[n]!))
  if ((control & 2) === 0) return unsigned
  const shift = wide ? 16 : 24
  return unsigned.map((n) => (n << shift) >> shift)
}

/** Length of an explicit-length operand: the register's absolute value, at most all lanes. */
function explicitLength(cpu: Cpu, register: number, op: AssistOp, most: number): number {
  const bits = op.opSize === 64 ? 64 : 32
  const value = BigInt.asIntN(bits, cpu.state.regs[register]!)
  const length = value < 0n ? -value : value
  return length > BigInt(most) ? most : Number(length)
}
const implicitLength = (all: readonly number[]): number => {
  const end = all.indexOf(0)
  return end < 0 ? all.length : end
}

/** The intermediate result before polarity, a bit a lane of `b`: SDM vol. 2, 4.1.5 and table 4-6 (lanes behind an end). */
function compared(
  a: readonly number[],
  aLength: number,
  b: readonly number[],
  bLength: number,
  control: number,
): number {
  const count = a.length
  const matches = (j: number): boolean => {
    switch ((control >> 2) & 3) {
      case 0:
        return j < bLength && a.slice(0, aLength).includes(b[j]!)
      case 1: {
        if (j >= bLength) return false
        for (let i = 0; i + 1 < aLength; i += 2) if (a[i]! <= b[j]! && b[j]! <= a[i + 1]!) return true
        return false
      }
      case 2:
        return j < aLength && j < bLength ? a[j] === b[j] : j >= aLength && j >= bLength
      default:
        // The needle `a` starts at lane j; past the last lane of `b` nothing is asked.
        for (let i = 0; i < aLength && j + i < count; i++)
          if (j + i >= bLength || a[i] !== b[j + i]) return false
        return true
    }
  }
  let bits = 0
  for (let j = 0; j < count; j++) if (matches(j)) bits |= 1 << j
  return bits
}

interface Comparison {
  readonly bits: number
  readonly count: number
  readonly control: number
}

/** Compares, sets the flags, and gives the final bits. */
function compareStrings(cpu: Cpu, op: AssistOp, explicit: boolean): Comparison {
  requireUnit(cpu, 'sseFault')
  const control = op.imm & 255
  const second = source(cpu, op)
  const a = lanes(xmm(cpu, op.reg), control)
  const b = lanes(second, control)
  const count = a.length
  const aLength = explicit ? explicitLength(cpu, RAX, op, count) : implicitLength(a)
  const bLength = explicit ? explicitLength(cpu, RDX, op, count) : implicitLength(b)
  const all = (1 << count) - 1
  let bits = compared(a, aLength, b, bLength, control)
  if ((control & 0x10) !== 0) bits ^= (control & 0x20) !== 0 ? (1 << bLength) - 1 : all
  let flags = cpu.state.flags & ~STATUS_FLAGS
  if (bits !== 0) flags |= FLAG.CF
  if (bLength < count) flags |= FLAG.ZF
  if (aLength < count) flags |= FLAG.SF
  if ((bits & 1) !== 0) flags |= FLAG.OF
  cpu.state.flags = flags
  return { bits, count, control }
}

const toIndex =
  (explicit: boolean): AssistRun =>
  (cpu, op) => {
    const { bits, count, control } = compareStrings(cpu, op, explicit)
    const highest = (control & 0x40) !== 0
    const index = bits === 0 ? count : 31 - Math.clz32(highest ? bits : bits & -bits)
    cpu.state.regs[RCX] = BigInt(index)
  }

const toMask =
  (explicit: boolean): AssistRun =>
  (cpu, op) => {
    const { bits, count, control } = compareStrings(cpu, op, explicit)
    const result = xmm(cpu, 0).fill(0)
    if ((control & 0x40) === 0) {
      result[0] = bits & 255
      result[1] = bits >> 8
      return
    }
    const size = XMM_BYTES / count
    for (let n = 0; n < count; n++) if ((bits >> n) & 1) result.fill(255, n * size, (n + 1) * size)
  }

export const vector: Readonly<Record<string, AssistRun>> = {
  MASKMOVQ: (cpu, op) => {
    requireUnit(cpu, 'mmxFault')
    if (hasPendingException(fpOf(cpu))) cpu.raise('MF')
    storeMasked(cpu, op, mmx(cpu, op.reg), mmx(cpu, op.rm))
    enterMmx(fpOf(cpu))
  },
  MASKMOVDQU: (cpu, op) => {
    requireUnit(cpu, 'sseFault')
    storeMasked(cpu, op, xmm(cpu, op.reg), xmm(cpu, op.rm))
  },
  /** The smallest word and, above it, its lane. */
  PHMINPOSUW: (cpu, op) => {
    requireUnit(cpu, 'sseFault')
    const from = source(cpu, op)
    const words = Array.from({ length: 8 }, (_, n) => word(from, n))
    const least = Math.min(...words)
    xmm(cpu, op.reg)
      .fill(0)
      .set([least & 255, least >> 8, words.indexOf(least)])
  },
  /** Eight sums of four absolute differences: a block of the source against each place of the destination. */
  MPSADBW: (cpu, op) => {
    requireUnit(cpu, 'sseFault')
    const from = source(cpu, op)
    const destination = xmm(cpu, op.reg)
    const before = destination.slice()
    const block = (op.imm & 3) * 4
    const first = (op.imm & 4) === 0 ? 0 : 4
    for (let n = 0; n < 8; n++) {
      let sum = 0
      for (let k = 0; k < 4; k++) sum += Math.abs(before[first + n + k]! - from[block + k]!)
      destination[2 * n] = sum & 255
      destination[2 * n + 1] = sum >> 8
    }
  },
  PCMPESTRI: toIndex(true),
  PCMPISTRI: toIndex(false),
  PCMPESTRM: toMask(true),
  PCMPISTRM: toMask(false),
}

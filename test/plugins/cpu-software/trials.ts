/**
 * Trials: one row of the instruction table with operands, registers, flags and memory, ready for the software
 * CPU and for the host. Values are edges of the operand widths as often as random bits; memory operands lie
 * anywhere in the data pages, across their border, and now and then beyond their end.
 */
import { type EncodeOptions, encodeRow } from '../../../src/plugins/cpu-software/isa/encode.ts'
import {
  type Argument,
  type Memory,
  mem,
  REGISTERS,
  type RegisterName,
} from '../../../src/plugins/cpu-software/isa/operand.ts'
import type { Operand, Row } from '../../../src/plugins/cpu-software/isa/row.ts'
import { fxImage } from '../../host-oracle/fx-image.ts'
import { CODE_ADDRESS, type HostCase, MEMORY_ADDRESS, MEMORY_BYTES } from '../../host-oracle/oracle.ts'
import type { Source } from './fp/operands.ts'

export type Mode = 64 | 32

export interface Trial {
  readonly row: Row
  readonly mode: Mode
  readonly args: readonly Argument[]
  readonly options: EncodeOptions
  readonly case: HostCase
}

/** What a trial is made of before it is encoded; `adjust` functions change it to make a row's interesting cases likely. */
export interface Draft {
  readonly s: Source
  readonly row: Row
  readonly mode: Mode
  readonly args: Argument[]
  options: EncodeOptions
  readonly gpr: bigint[]
  rflags: bigint
  /** x87 status and abridged tag word. */
  fsw: number
  ftw: number
  readonly st: bigint[]
  readonly xmm: bigint[]
  /** The bytes around the memory operand and the stack, from MEMORY_ADDRESS + `offset`. */
  readonly bytes: Uint8Array
  readonly offset: number
  /** Address of the memory operand, if there is one. */
  readonly target: number
  /** Value of rSP and rBP: inside the bytes. */
  readonly stack: number
}
export type Adjust = (draft: Draft) => void

const WINDOW = 256
const STATUS_FLAGS = 0x8d5

/** A word whose low `width` bits are an edge, something small, or random; the rest is random too. */
export function word(s: Source, width = 64): bigint {
  const top = 1n << BigInt(width - 1)
  const mask = (1n << BigInt(width)) - 1n
  const low = (): bigint => {
    switch (s.below(4)) {
      case 0:
        return s.pick([0n, 1n, 2n, mask, mask - 1n, top, top - 1n, top + 1n])
      case 1:
        return s.pick([1n, -1n]) * s.bits(4)
      case 2:
        return 1n << BigInt(s.below(width))
      default:
        return s.bits(width)
    }
  }
  const high = s.pick([0n, s.bits(64), -1n])
  return BigInt.asUintN(64, (high & ~mask) | (low() & mask))
}

/** 128 bits as lanes of one size with edges in them. */
export function vector(s: Source): bigint {
  const lane = s.pick([8, 16, 32, 64])
  let value = 0n
  for (let at = 0; at < 128; at += lane) value = (value << BigInt(lane)) | BigInt.asUintN(lane, word(s, lane))
  return value
}

const registerNames = (kind: string, width: number, mode: Mode): RegisterName[] => {
  const names: RegisterName[] = []
  for (const [name, r] of REGISTERS) {
    if (r.kind !== kind || (kind === 'r' && r.width !== width)) continue
    if (mode === 32 && ((r.number >= 8 && r.number < 16) || r.rex === 'needed')) continue
    names.push(name as RegisterName)
  }
  return names
}
const KNOWN_NAMES = new Map<string, RegisterName[]>()
function namesOf(kind: string, width: number, mode: Mode): RegisterName[] {
  const key = `${kind} ${width} ${mode}`
  let names = KNOWN_NAMES.get(key)
  if (names === undefined) {
    names = registerNames(kind, width, mode)
    KNOWN_NAMES.set(key, names)
  }
  return names
}

/** Number of a general register by name; AH is 0 and so on. */
export const registerNumber = (name: RegisterName): number => REGISTERS.get(name)!.number & 15

/** Where a memory operand of `bytes` bytes is to lie, as an offset from MEMORY_ADDRESS. */
function place(s: Source, bytes: number, aligned: boolean): number {
  const kind = s.below(16)
  const spread = Math.max(1, bytes)
  let at = 512 + s.below(6000)
  if (kind < 4) at = 4096 - s.below(spread + 1)
  else if (kind === 4) at = MEMORY_BYTES - s.below(spread + 1)
  else if (kind === 5) at = -s.below(spread + 1)
  else if (kind < 9) at &= ~15
  return aligned && s.below(8) !== 0 ? at & ~15 : at
}

/** A memory operand that comes to `target`, and the register values it needs. */
function memoryOperand(draft: Draft, size: number): Memory {
  const { s, gpr, mode, target } = draft
  const narrow = mode === 64 && s.below(8) === 0
  const width = narrow || mode === 32 ? 32 : 64
  const sized = size > 0 ? { size } : {}
  if (mode === 64 && s.below(8) === 0) return mem({ ...sized, ripRelative: true, disp: 0 })
  if (s.below(8) === 0) return mem({ ...sized, disp: target })
  const base = s.pick(namesOf('r', width, mode))
  const disp = s.pick([0, s.below(256) - 128, s.below(4096) - 2048])
  const set = (name: RegisterName, value: number | bigint): void => {
    // Upper halves are ignored by 32-bit addresses.
    const noise = narrow ? s.bits(32) << 32n : 0n
    gpr[registerNumber(name)] = noise | BigInt.asUintN(width, BigInt(value))
  }
  const index = s.pick(namesOf('r', width, mode))
  if (s.below(3) !== 0 || registerNumber(index) === 4 || index === base) {
    set(base, target - disp)
    return mem({ ...sized, base, disp })
  }
  const scale = s.pick([1, 2, 4, 8] as const)
  const step = s.pick([0, 1, 5, -3, 100])
  set(index, step)
  set(base, target - disp - step * scale)
  return mem({ ...sized, base, index, scale, disp })
}

function operand(draft: Draft, o: Operand, memory: boolean): Argument {
  const { s, mode, row } = draft
  if (o.text === 'ST(0)') return 'st0'
  if (o.where === 'fixed') return o.text === '1' ? 1 : (o.text.toLowerCase() as RegisterName)
  const isMemory = o.kind === 'm' || (memory && /m$/.test(o.kind))
  if (isMemory) return memoryOperand(draft, o.memWidth)
  switch (o.kind) {
    case 'r':
    case 'rm':
      return s.pick(namesOf('r', o.width, mode))
    case 'xmm':
    case 'xmm/m':
      return s
        .pick(namesOf('xmm', 128, 64))
        .replace(/\d+/, (n) => String(mode === 32 ? Number(n) & 7 : n)) as RegisterName
    case 'mm':
    case 'mm/m':
      return s.pick(namesOf('mm', 64, mode))
    case 'sreg':
      return s.pick(namesOf('sreg', 16, mode).filter((name) => name !== 'cs' || o.access === 'r'))
    case 'st':
      return s.pick(namesOf('st', 80, mode))
    case 'cr':
      return 'cr0'
    case 'dr':
      return 'dr0'
    case 'rel':
      return Number(s.below(64) === 0 && o.width === 32 ? s.bits(30) : BigInt(s.below(256) - 128))
    case 'imm':
      return BigInt.asIntN(o.width, word(s, o.width)) as unknown as bigint
    case 'moffs':
      return { moffs: draft.target }
    case 'far':
      return { selector: 0x33, offset: CODE_ADDRESS + 16 }
    default:
      throw new Error(`no operand for ${row.form}: ${o.kind}`)
  }
}

/** A random trial of a row; undefined where the drawn operands cannot be encoded together (AH with REX). */
export function trial(
  s: Source,
  row: Row,
  mode: Mode,
  memory: boolean,
  options: EncodeOptions,
  adjust?: Adjust,
): Trial | undefined {
  const size = Math.max(0, ...row.operands.map((o) => o.memWidth / 8))
  const at = place(s, size, row.aligned)
  const offset = Math.max(0, Math.min(MEMORY_BYTES - WINDOW, (at & ~15) - WINDOW / 2))
  const bytes = new Uint8Array(WINDOW)
  for (let i = 0; i < WINDOW; i += 8) {
    const value = word(s, s.pick([8, 16, 32, 64]))
    for (let k = 0; k < 8; k++) bytes[i + k] = Number((value >> BigInt(8 * k)) & 255n)
  }
  const target = MEMORY_ADDRESS + at
  const stack = MEMORY_ADDRESS + offset + 64 + s.below(128)
  const width = row.opSize || 64
  const gpr = Array.from({ length: 16 }, () => word(s, s.pick([8, width, width, 64])))
  gpr[4] = BigInt(stack)
  gpr[5] = BigInt(stack + s.below(32))
  const draft: Draft = {
    s, row, mode, args: [], options, gpr, bytes, offset, target, stack,
    rflags: 0x202n | (s.bits(12) & BigInt(STATUS_FLAGS)),
    fsw: s.below(8) << 11,
    ftw: s.below(256),
    st: Array.from({ length: 8 }, () => vector(s) & ((1n << 80n) - 1n)),
    xmm: Array.from({ length: 16 }, () => vector(s)),
  } // biome-ignore format: one line each would be longer than the function
  for (const o of row.operands) draft.args.push(operand(draft, o, memory))
  if (row.operands.every((o) => o.where === 'fixed')) draft.args.length = 0
  adjust?.(draft)
  return finish(draft)
}

function finish(draft: Draft): Trial | undefined {
  const { row, mode, args, options, bytes, offset } = draft
  let code = encodeRow(row, args, mode, options)?.bytes
  if (code === undefined) return undefined
  const rip = args.findIndex((a) => typeof a === 'object' && 'ripRelative' in a && a.ripRelative === true)
  if (rip >= 0) {
    // The length does not depend on the displacement.
    args[rip] = mem({ ...(args[rip] as Memory), disp: draft.target - (CODE_ADDRESS + code.length) })
    code = encodeRow(row, args, mode, options)!.bytes
  }
  const gpr = mode === 32 ? draft.gpr.map((v) => v & 0xffff_ffffn) : draft.gpr
  const fx = fxImage({
    fsw: draft.fsw,
    ftw: draft.ftw,
    st: draft.st,
    xmm: mode === 32 ? draft.xmm.slice(0, 8) : draft.xmm,
  })
  return {
    row, mode, args, options,
    case: { code: Uint8Array.from(code), bits: mode, gpr, rflags: draft.rflags, fx, memory: { offset, bytes } },
  } // biome-ignore format: short
}

/** The forms of a row: register and memory operand, whichever it has. */
export function formsOf(row: Row): readonly boolean[] {
  if (!row.operands.some((o) => ['rm', 'xmm/m', 'mm/m'].includes(o.kind))) return [false]
  return row.encoding.registerAllowed ? [false, true] : [true]
}

export const modesOf = (row: Row): readonly Mode[] => [
  ...(row.no64 ? [] : [64 as const]),
  ...(row.only64 ? [] : [32 as const]),
]

/** Segment descriptors and the loading of segment registers (SDM vol. 3, 3.4 and 5.2-5.8). */
import type { Cpu } from '../cpu.ts'
import { type CpuState, UNUSABLE } from '../cpu-state.ts'
import { SEGMENT } from '../state.ts'

/** A descriptor as read from a table. */
export interface Descriptor {
  readonly base: bigint
  /** In bytes, the granularity bit applied. */
  readonly limit: number
  /** As in STATE.segAttributes. */
  readonly attributes: number
  /** Linear address of the entry. */
  readonly address: bigint
}

export const ATTRIBUTE = {
  accessed: 1,
  writable: 2,
  conforming: 4,
  code: 8,
  segment: 0x10,
  present: 0x80,
  long: 0x2000,
  big: 0x4000,
} as const
export const dplOf = (attributes: number): number => (attributes >> 5) & 3
/** Types of system descriptors (SDM vol. 3, table 3-2). */
export const SYSTEM_TYPE = {
  tss16: 1,
  ldt: 2,
  tss16Busy: 3,
  callGate16: 4,
  taskGate: 5,
  interrupt16: 6,
  trap16: 7,
  tss: 9,
  tssBusy: 11,
  callGate: 12,
  interrupt: 14,
  trap: 15,
} as const

/** Reads the entry a selector names; raises `exception`(selector) when it lies outside its table. */
export function readDescriptor(
  cpu: Cpu,
  selector: number,
  exception: 'GP' | 'TS' | 'NP' | 'SS' = 'GP',
  error = selector & 0xfffc,
): Descriptor {
  const found = findDescriptor(cpu, selector)
  if (found === undefined) return cpu.raise(exception, error)
  return found
}

/** The same, undefined instead of a fault for a selector outside its table (VERR, LAR). */
export function findDescriptor(cpu: Cpu, selector: number): Descriptor | undefined {
  const { state } = cpu
  const local = (selector & 4) !== 0
  const limit = local ? state.segmentLimit(SEGMENT.LDTR) : state.half('gdtLimit')
  if (local && state.segmentAttributes(SEGMENT.LDTR) & UNUSABLE) return undefined
  const index = selector & 0xfff8
  if (index + 7 > limit) return undefined
  const address = (local ? state.segmentBase(SEGMENT.LDTR) : state.word('gdtBase')) + BigInt(index)
  const raw = cpu.asSupervisor(() => cpu.load(address, 8))
  const low = Number(raw & 0xffffffffn)
  const high = Number(raw >> 32n)
  const attributes = (high >>> 8) & 0xf0ff
  let end = (low & 0xffff) | (high & 0xf0000)
  if (attributes & 0x8000) end = end * 4096 + 4095
  let base = BigInt(((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0)
  if (state.isLongMode && (attributes & ATTRIBUTE.segment) === 0) {
    // System descriptors are 16 bytes in IA-32e mode.
    if (index + 15 > limit) return undefined
    base |= cpu.asSupervisor(() => cpu.load(address + 8n, 4)) << 32n
  }
  return { base, limit: end, attributes, address }
}

export function markAccessed(cpu: Cpu, d: Descriptor): void {
  if (d.attributes & ATTRIBUTE.accessed) return
  cpu.asSupervisor(() => cpu.store(d.address + 5n, 1, BigInt((d.attributes | ATTRIBUTE.accessed) & 0xff)))
}

/** Real mode: the selector is the base. Attributes and limit keep what protected mode left ("unreal" mode). */
export function loadRealSegment(cpu: Cpu, segment: number, selector: number): void {
  const { state } = cpu
  const attributes = segment === SEGMENT.CS ? 0x93 : state.segmentAttributes(segment) & ~UNUSABLE
  state.setSegment(
    segment,
    selector,
    BigInt(selector << 4),
    segment === SEGMENT.CS ? 0xffff : state.segmentLimit(segment),
    attributes || 0x93,
  )
}

/** MOV, POP and LDS-like loads of ES, SS, DS, FS, GS. */
export function loadSegment(cpu: Cpu, segment: number, selector: number): void {
  const { state } = cpu
  if (!state.isProtected) {
    loadRealSegment(cpu, segment, selector)
    return
  }
  const error = selector & 0xfffc
  if (error === 0) {
    // A null selector: fine but for SS outside 64-bit code at CPL below 3.
    if (
      segment === SEGMENT.SS &&
      (state.half('mode') !== 0 || state.cpl === 3 || (selector & 3) !== state.cpl)
    )
      cpu.raise('GP', 0)
    state.setSegment(
      segment,
      selector,
      state.isLongMode && segment >= SEGMENT.FS ? state.segmentBase(segment) : 0n,
      0,
      UNUSABLE,
    )
    // AMD keeps the base on a null load, Intel clears it.
    if (segment >= SEGMENT.FS) state.setSegmentBase(segment, 0n)
    return
  }
  const d = readDescriptor(cpu, selector)
  const { attributes } = d
  const isData = (attributes & ATTRIBUTE.code) === 0
  const dpl = dplOf(attributes)
  const rpl = selector & 3
  if ((attributes & ATTRIBUTE.segment) === 0) cpu.raise('GP', error)
  if (segment === SEGMENT.SS) {
    if (!isData || (attributes & ATTRIBUTE.writable) === 0 || rpl !== state.cpl || dpl !== state.cpl)
      cpu.raise('GP', error)
    if ((attributes & ATTRIBUTE.present) === 0) cpu.raise('SS', error)
  } else {
    if (!isData && (attributes & ATTRIBUTE.writable) === 0) cpu.raise('GP', error)
    const conforming = !isData && (attributes & ATTRIBUTE.conforming) !== 0
    if (!conforming && (rpl > dpl || state.cpl > dpl)) cpu.raise('GP', error)
    if ((attributes & ATTRIBUTE.present) === 0) cpu.raise('NP', error)
  }
  markAccessed(cpu, d)
  state.setSegment(segment, selector, d.base, d.limit, attributes | ATTRIBUTE.accessed)
}

/** Code size and stack size from CS, SS and EFER; true if the code size changed. */
export function refreshMode(state: CpuState): boolean {
  const code = state.segmentAttributes(SEGMENT.CS)
  const long = state.isLongMode && (code & ATTRIBUTE.long) !== 0
  const mode = long ? 0 : code & ATTRIBUTE.big ? 1 : 2
  const stack = long
    ? (1n << 64n) - 1n
    : state.segmentAttributes(SEGMENT.SS) & ATTRIBUTE.big
      ? 0xffffffffn
      : 0xffffn
  state.setWord('stackMask', stack)
  if (mode === state.half('mode')) return false
  state.setHalf('mode', mode)
  return true
}

/** After any change of CS, SS, EFER or CR0. */
export function updateMode(cpu: Cpu): void {
  // The jump cache is by address only; the same bytes mean something else now.
  if (refreshMode(cpu.state)) cpu.flushJumps()
}

/** Loads CS from a checked descriptor at a privilege level. */
export function loadCode(cpu: Cpu, selector: number, d: Descriptor, cpl: number): void {
  markAccessed(cpu, d)
  cpu.state.setSegment(
    SEGMENT.CS,
    (selector & 0xfffc) | cpl,
    d.base,
    d.limit,
    d.attributes | ATTRIBUTE.accessed,
  )
  cpu.state.privilege = cpl
  updateMode(cpu)
}

/** Data segments that the new, lower privilege may not keep (IRET, RETF to an outer level). */
export function dropPrivilegedSegments(cpu: Cpu): void {
  const { state } = cpu
  for (const segment of [SEGMENT.ES, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS]) {
    const attributes = state.segmentAttributes(segment)
    if (attributes & UNUSABLE) continue
    const conforming =
      (attributes & (ATTRIBUTE.code | ATTRIBUTE.conforming)) === (ATTRIBUTE.code | ATTRIBUTE.conforming)
    if (!conforming && dplOf(attributes) < state.cpl) state.setSegment(segment, 0, 0n, 0, UNUSABLE)
  }
}

/** Stack for a privilege level from the task state segment (SDM vol. 3, 8.2 and 8.7). */
export function taskStack(cpu: Cpu, level: number): { pointer: bigint; selector: number } {
  const { state } = cpu
  const base = state.segmentBase(SEGMENT.TR)
  const limit = state.segmentLimit(SEGMENT.TR)
  const type = state.segmentAttributes(SEGMENT.TR) & 15
  const error = state.selector(SEGMENT.TR) & 0xfffc
  return cpu.asSupervisor(() => {
    if (state.isLongMode) {
      if (level * 8 + 11 > limit) cpu.raise('TS', error)
      return { pointer: cpu.load(base + BigInt(4 + level * 8), 8), selector: level }
    }
    if (type === SYSTEM_TYPE.tss || type === SYSTEM_TYPE.tssBusy) {
      if (level * 8 + 9 > limit) cpu.raise('TS', error)
      return {
        pointer: cpu.load(base + BigInt(4 + level * 8), 4),
        selector: Number(cpu.load(base + BigInt(8 + level * 8), 2)),
      }
    }
    if (level * 4 + 5 > limit) cpu.raise('TS', error)
    return {
      pointer: cpu.load(base + BigInt(2 + level * 4), 2),
      selector: Number(cpu.load(base + BigInt(4 + level * 4), 2)),
    }
  })
}

/** Segment, descriptor-table and task registers: MOV sreg, LGDT SGDT LIDT SIDT LLDT SLDT LTR STR SMSW LMSW, VERR VERW LAR LSL ARPL. */
import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'
import { CR4, UNUSABLE } from '../cpu-state.ts'
import { FLAG } from '../isa/row.ts'
import { OUTCOME, SEGMENT } from '../state.ts'
import { setControlRegister } from './control.ts'
import {
  ATTRIBUTE,
  type Descriptor,
  dplOf,
  findDescriptor,
  loadSegment,
  readDescriptor,
  SYSTEM_TYPE,
  updateMode,
} from './descriptors.ts'
import {
  type AssistRun,
  operandAddress,
  readOperand,
  readRegister,
  type Size,
  writeOperand,
  writeRegister,
} from './operands.ts'

const bytesOf = (op: AssistOp): Size => (op.opSize / 8) as Size

/** To memory 16 bits are written, to a register the operand size. */
const storeSelector = (cpu: Cpu, op: AssistOp, value: number): void => {
  if (cpu.state.word('cr4') & CR4.UMIP && cpu.state.cpl > 0 && op.row.mnemonic !== 'MOV') cpu.raise('GP', 0)
  writeOperand(cpu, op, op.isMem ? 2 : bytesOf(op), BigInt(value))
}

const loadTable =
  (base: 'gdtBase' | 'idtBase', limit: 'gdtLimit' | 'idtLimit'): AssistRun =>
  (cpu, op) => {
    const at = operandAddress(cpu)
    const long = cpu.state.half('mode') === 0
    const size = cpu.load(at, 2)
    let address = cpu.load(at + 2n, long ? 8 : 4)
    if (op.opSize === 16 && !long) address &= 0xffffffn
    cpu.state.setWord(base, address)
    cpu.state.setHalf(limit, Number(size))
  }
const storeTable =
  (base: 'gdtBase' | 'idtBase', limit: 'gdtLimit' | 'idtLimit'): AssistRun =>
  (cpu) => {
    if (cpu.state.word('cr4') & CR4.UMIP && cpu.state.cpl > 0) cpu.raise('GP', 0)
    const at = operandAddress(cpu)
    const bytes = new Uint8Array(cpu.state.half('mode') === 0 ? 10 : 6)
    const view = new DataView(bytes.buffer)
    view.setUint16(0, cpu.state.half(limit), true)
    if (bytes.length === 10) view.setBigUint64(2, cpu.state.word(base), true)
    else view.setUint32(2, Number(cpu.state.word(base) & 0xffffffffn), true)
    cpu.storeBytes(at, bytes)
  }

const needProtected = (cpu: Cpu): void => {
  if (!cpu.state.isProtected) cpu.undefinedInstruction()
}

/** Loads LDTR or TR. */
const loadSystem =
  (segment: number): AssistRun =>
  (cpu, op) => {
    needProtected(cpu)
    const selector = Number(readOperand(cpu, op, 2))
    const error = selector & 0xfffc
    if (error === 0) {
      if (segment === SEGMENT.TR) cpu.raise('GP', 0)
      cpu.state.setSegment(segment, selector, 0n, 0, UNUSABLE)
      return
    }
    if (selector & 4) cpu.raise('GP', error)
    const d = readDescriptor(cpu, selector)
    const type = d.attributes & 31
    const fits =
      segment === SEGMENT.LDTR
        ? type === SYSTEM_TYPE.ldt
        : type === SYSTEM_TYPE.tss || (type === SYSTEM_TYPE.tss16 && !cpu.state.isLongMode)
    if (!fits) cpu.raise('GP', error)
    if ((d.attributes & ATTRIBUTE.present) === 0) cpu.raise('NP', error)
    let { attributes } = d
    if (segment === SEGMENT.TR) {
      attributes |= 2
      cpu.asSupervisor(() => cpu.store(d.address + 5n, 1, BigInt(attributes & 0xff)))
    }
    cpu.state.setSegment(segment, selector, d.base, d.limit, attributes)
  }

const setZero = (cpu: Cpu, on: boolean): void => {
  cpu.state.flags = on ? cpu.state.flags | FLAG.ZF : cpu.state.flags & ~FLAG.ZF
}

/** A descriptor the program may see: privilege holds, or it is a conforming code segment. */
function visible(cpu: Cpu, selector: number): Descriptor | undefined {
  if ((selector & 0xfffc) === 0) return undefined
  const d = findDescriptor(cpu, selector)
  if (d === undefined) return undefined
  const conforming = (d.attributes & 0x1c) === 0x1c
  const dpl = dplOf(d.attributes)
  return conforming || (dpl >= cpu.state.cpl && dpl >= (selector & 3)) ? d : undefined
}

const verify =
  (accept: (attributes: number) => boolean): AssistRun =>
  (cpu, op) => {
    needProtected(cpu)
    const d = visible(cpu, Number(readOperand(cpu, op, 2)))
    setZero(cpu, d !== undefined && (d.attributes & ATTRIBUTE.segment) !== 0 && accept(d.attributes))
  }

/** System types that LAR and LSL accept. */
const LAR_TYPES = { legacy: new Set([1, 2, 3, 4, 5, 9, 11, 12]), long: new Set([2, 9, 11, 12]) }
const LSL_TYPES = { legacy: new Set([1, 2, 3, 9, 11]), long: new Set([2, 9, 11]) }
const inspect =
  (types: typeof LAR_TYPES, value: (cpu: Cpu, d: Descriptor) => bigint): AssistRun =>
  (cpu, op) => {
    needProtected(cpu)
    const d = visible(cpu, Number(readOperand(cpu, op, 2)))
    const system = d !== undefined && (d.attributes & ATTRIBUTE.segment) === 0
    const ok =
      d !== undefined && (!system || types[cpu.state.isLongMode ? 'long' : 'legacy'].has(d.attributes & 15))
    if (ok) writeRegister(cpu, op.reg, bytesOf(op), value(cpu, d))
    setZero(cpu, ok)
  }

export const registers: Record<string, AssistRun> = {
  'MOV r16/m16, sreg': (cpu, op) => storeSelector(cpu, op, cpu.state.selector(op.reg)),
  'MOV r32/m16, sreg': (cpu, op) => storeSelector(cpu, op, cpu.state.selector(op.reg)),
  'MOV r64/m16, sreg': (cpu, op) => storeSelector(cpu, op, cpu.state.selector(op.reg)),
  'MOV sreg, r16/m16': (cpu, op) => {
    loadSegment(cpu, op.reg, Number(readOperand(cpu, op, 2)))
    if (op.reg === SEGMENT.SS) updateMode(cpu)
  },
  LGDT: loadTable('gdtBase', 'gdtLimit'),
  LIDT: loadTable('idtBase', 'idtLimit'),
  SGDT: storeTable('gdtBase', 'gdtLimit'),
  SIDT: storeTable('idtBase', 'idtLimit'),
  SLDT: (cpu, op) => {
    needProtected(cpu)
    storeSelector(cpu, op, cpu.state.selector(SEGMENT.LDTR))
  },
  STR: (cpu, op) => {
    needProtected(cpu)
    storeSelector(cpu, op, cpu.state.selector(SEGMENT.TR))
  },
  LLDT: loadSystem(SEGMENT.LDTR),
  LTR: loadSystem(SEGMENT.TR),
  SMSW: (cpu, op) => {
    if (cpu.state.word('cr4') & CR4.UMIP && cpu.state.cpl > 0) cpu.raise('GP', 0)
    writeOperand(cpu, op, op.isMem ? 2 : bytesOf(op), cpu.state.word('cr0'))
  },
  // PE can be set but not cleared; the upper bits stay.
  LMSW: (cpu, op) => {
    const value = readOperand(cpu, op, 2)
    const cr0 = cpu.state.word('cr0')
    setControlRegister(cpu, 0, (cr0 & ~0xen) | (value & 0xfn))
    cpu.state.setWord('rip', cpu.state.word('nextRip'))
    return OUTCOME.jump
  },
  VERR: verify((a) => (a & ATTRIBUTE.code) === 0 || (a & ATTRIBUTE.writable) !== 0),
  VERW: verify((a) => (a & (ATTRIBUTE.code | ATTRIBUTE.writable)) === ATTRIBUTE.writable),
  LAR: inspect(LAR_TYPES, (cpu, d) => cpu.asSupervisor(() => cpu.load(d.address + 4n, 4)) & 0xffff00n),
  LSL: inspect(LSL_TYPES, (_, d) => BigInt(d.limit)),
  ARPL: (cpu, op) => {
    needProtected(cpu)
    const destination = Number(readOperand(cpu, op, 2))
    const wanted = Number(readRegister(cpu, op.reg, 2)) & 3
    const raised = (destination & 3) < wanted
    if (raised) writeOperand(cpu, op, 2, BigInt((destination & ~3) | wanted))
    setZero(cpu, raised)
  },
}

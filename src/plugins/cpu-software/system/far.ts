/** Far transfers and interrupt returns: JMPF CALLF RETF IRET INT, SYSCALL SYSRET SYSENTER SYSEXIT SWAPGS (SDM vol. 2). */
import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'
import { EFER, UNUSABLE } from '../cpu-state.ts'
import { FLAG } from '../isa/row.ts'
import { OUTCOME, SEGMENT } from '../state.ts'
import {
  ATTRIBUTE,
  type Descriptor,
  dplOf,
  dropPrivilegedSegments,
  loadCode,
  loadRealSegment,
  loadSegment,
  markAccessed,
  readDescriptor,
  updateMode,
} from './descriptors.ts'
import { softwareInterrupt } from './exceptions.ts'
import { changeableFlags } from './flags-stack.ts'
import {
  type AssistRun,
  operandAddress,
  peekStack,
  pushWords,
  type Size,
  setStackPointer,
  stackPointer,
} from './operands.ts'

const FLAT_LIMIT = 0xffffffff
const isCanonical = (address: bigint): boolean => BigInt.asIntN(48, address) === BigInt.asIntN(64, address)
const bytesOf = (op: AssistOp): Size => (op.opSize / 8) as Size

/** Offset and selector of a far pointer operand. */
function farPointer(cpu: Cpu, op: AssistOp): { offset: bigint; selector: number } {
  const size = bytesOf(op)
  if (!op.isMem) return { offset: BigInt.asUintN(op.opSize, BigInt(op.imm)), selector: op.imm2 & 0xffff }
  const at = operandAddress(cpu)
  return { offset: cpu.load(at, size), selector: Number(cpu.load(at + BigInt(size), 2)) }
}

/** Checks a code segment for a direct far jump or call. */
function checkCode(cpu: Cpu, selector: number): Descriptor {
  const error = selector & 0xfffc
  if (error === 0) cpu.raise('GP', 0)
  const d = readDescriptor(cpu, selector)
  const { attributes } = d
  if ((attributes & ATTRIBUTE.segment) === 0) {
    cpu.host.log.warn('a far transfer through a gate or task: not implemented, the guest gets #GP')
    cpu.raise('GP', error)
  }
  if ((attributes & ATTRIBUTE.code) === 0) cpu.raise('GP', error)
  const dpl = dplOf(attributes)
  const allowed =
    attributes & ATTRIBUTE.conforming
      ? dpl <= cpu.state.cpl
      : (selector & 3) <= cpu.state.cpl && dpl === cpu.state.cpl
  if (!allowed) cpu.raise('GP', error)
  if (
    cpu.state.isLongMode &&
    (attributes & (ATTRIBUTE.long | ATTRIBUTE.big)) === (ATTRIBUTE.long | ATTRIBUTE.big)
  )
    cpu.raise('GP', error)
  if ((attributes & ATTRIBUTE.present) === 0) cpu.raise('NP', error)
  return d
}

const jump = (cpu: Cpu, selector: number, offset: bigint, beforeJump?: () => void): number => {
  if (!cpu.state.isProtected) {
    beforeJump?.()
    loadRealSegment(cpu, SEGMENT.CS, selector)
    updateMode(cpu)
  } else {
    const d = checkCode(cpu, selector)
    beforeJump?.()
    loadCode(cpu, selector, d, cpu.state.cpl)
  }
  cpu.state.setInstructionPointer(offset)
  return OUTCOME.jump
}

/** Loads CS and, for an outer level, SS from popped words; shared by RETF and IRET. */
function returnTo(
  cpu: Cpu,
  selector: number,
  readStack: () => { pointer: bigint; selector: number },
  samePointer: bigint,
  isIretq: boolean,
): void {
  const { state } = cpu
  const error = selector & 0xfffc
  if (error === 0) cpu.raise('GP', 0)
  const d = readDescriptor(cpu, selector)
  const { attributes } = d
  const rpl = selector & 3
  if (
    (attributes & (ATTRIBUTE.segment | ATTRIBUTE.code)) !== (ATTRIBUTE.segment | ATTRIBUTE.code) ||
    rpl < state.cpl
  )
    cpu.raise('GP', error)
  const dpl = dplOf(attributes)
  if (attributes & ATTRIBUTE.conforming ? dpl > rpl : dpl !== rpl) cpu.raise('GP', error)
  if ((attributes & ATTRIBUTE.present) === 0) cpu.raise('NP', error)
  const outer = rpl > state.cpl
  if (!outer && !isIretq) {
    loadCode(cpu, selector, d, rpl)
    setStackPointer(cpu, samePointer)
    return
  }
  const stack = readStack()
  const toLong = state.isLongMode && (attributes & ATTRIBUTE.long) !== 0
  const stackError = stack.selector & 0xfffc
  let ss: Descriptor | undefined
  if (stackError === 0) {
    if (!toLong || rpl === 3 || (stack.selector & 3) !== rpl) cpu.raise('GP', 0)
  } else {
    ss = readDescriptor(cpu, stack.selector)
    const writable =
      (ss.attributes & (ATTRIBUTE.segment | ATTRIBUTE.code | ATTRIBUTE.writable)) ===
      (ATTRIBUTE.segment | ATTRIBUTE.writable)
    if (!writable || (stack.selector & 3) !== rpl || dplOf(ss.attributes) !== rpl) cpu.raise('GP', stackError)
    if ((ss.attributes & ATTRIBUTE.present) === 0) cpu.raise('SS', stackError)
    markAccessed(cpu, ss)
  }
  loadCode(cpu, selector, d, rpl)
  if (ss === undefined) state.setSegment(SEGMENT.SS, stack.selector, 0n, 0, UNUSABLE)
  else state.setSegment(SEGMENT.SS, stack.selector, ss.base, ss.limit, ss.attributes)
  updateMode(cpu)
  if (state.half('mode') === 0) state.regs[4] = stack.pointer
  else setStackPointer(cpu, stack.pointer)
  if (outer) dropPrivilegedSegments(cpu)
}

const iret =
  (size: Size): AssistRun =>
  (cpu) => {
    const { state } = cpu
    const offset = peekStack(cpu, 0, size)
    const selector = Number(peekStack(cpu, size, size) & 0xffffn)
    const image = Number(peekStack(cpu, 2 * size, size) & 0xffffffffn)
    const before = state.flags
    if (!state.isProtected) {
      setStackPointer(cpu, stackPointer(cpu) + BigInt(3 * size))
      loadRealSegment(cpu, SEGMENT.CS, selector)
      updateMode(cpu)
      state.setInstructionPointer(offset)
      const mask = changeableFlags(cpu, size)
      state.flags = (before & ~mask) | (image & mask)
    } else {
      if (before & FLAG.NT && !state.isLongMode) {
        cpu.host.log.warn('IRET to a nested task: not implemented, the guest gets #GP')
        cpu.raise('GP', 0)
      }
      if (before & FLAG.NT) cpu.raise('GP', 0)
      if (image & FLAG.VM && state.cpl === 0 && !state.isLongMode) {
        cpu.host.log.warn('IRET to virtual-8086 mode: not implemented, the guest gets #GP')
        cpu.raise('GP', 0)
      }
      if (size === 8 && !isCanonical(offset)) cpu.raise('GP', 0)
      // What may change is judged with the level before the return.
      let mask = changeableFlags(cpu, size) | FLAG.RF
      if (size === 2) mask &= 0xffff
      const long = state.half('mode') === 0
      const readStack = () => ({
        pointer: peekStack(cpu, 3 * size, size),
        selector: Number(peekStack(cpu, 4 * size, size) & 0xffffn),
      })
      returnTo(cpu, selector, readStack, stackPointer(cpu) + BigInt(3 * size), long)
      state.setInstructionPointer(offset)
      state.flags = ((before & ~mask) | (image & mask)) & ~(FLAG.VM | FLAG.RF)
    }
    cpu.lookSoon()
    return OUTCOME.jump
  }

const retf: AssistRun = (cpu, op) => {
  const size = bytesOf(op)
  const extra = BigInt(op.row.operands.length > 0 ? op.imm & 0xffff : 0)
  const offset = peekStack(cpu, 0, size)
  const selector = Number(peekStack(cpu, size, size) & 0xffffn)
  const same = stackPointer(cpu) + BigInt(2 * size) + extra
  if (!cpu.state.isProtected) {
    setStackPointer(cpu, same)
    return jump(cpu, selector, offset)
  }
  const readStack = () => ({
    pointer: peekStack(cpu, 2 * size + Number(extra), size) + extra,
    selector: Number(peekStack(cpu, 3 * size + Number(extra), size) & 0xffffn),
  })
  returnTo(cpu, selector, readStack, same, false)
  cpu.state.setInstructionPointer(offset)
  return OUTCOME.jump
}

const interrupt =
  (vector: (op: AssistOp) => number, checked = true): AssistRun =>
  (cpu, op) => {
    const { state } = cpu
    const here = state.word('rip')
    state.setWord('rip', state.word('nextRip'))
    try {
      softwareInterrupt(cpu, vector(op), checked)
    } catch (fault) {
      state.setWord('rip', here)
      throw fault
    }
    return OUTCOME.jump
  }

/** Flat segments that SYSCALL, SYSRET, SYSENTER and SYSEXIT set without reading descriptors. */
function flatSegments(cpu: Cpu, selector: number, stackSelector: number, cpl: number, long: boolean): void {
  const { state } = cpu
  const level = cpl << 5
  const code = 0x809b | level | (long ? ATTRIBUTE.long : ATTRIBUTE.big)
  state.setSegment(SEGMENT.CS, selector, 0n, FLAT_LIMIT, code)
  state.setSegment(SEGMENT.SS, stackSelector, 0n, FLAT_LIMIT, 0xc093 | level)
  state.privilege = cpl
  updateMode(cpu)
}

export const far: Record<string, AssistRun> = {
  JMPF: (cpu, op) => {
    const { offset, selector } = farPointer(cpu, op)
    return jump(cpu, selector, offset)
  },
  CALLF: (cpu, op) => {
    const { offset, selector } = farPointer(cpu, op)
    const back = [BigInt(cpu.state.selector(SEGMENT.CS)), cpu.state.offsetInCode(cpu.state.word('nextRip'))]
    return jump(cpu, selector, offset, () => pushWords(cpu, bytesOf(op), back))
  },
  RETF: retf,
  IRET: iret(2),
  IRETD: iret(4),
  IRETQ: iret(8),
  INT: interrupt((op) => op.imm & 255),
  INT3: interrupt(() => 3),
  INTO: (cpu, op) => (cpu.state.flags & FLAG.OF ? interrupt(() => 4)(cpu, op) : undefined),
  INT1: interrupt(() => 1, false),
  UD0: (cpu) => cpu.undefinedInstruction(),
  UD1: (cpu) => cpu.undefinedInstruction(),
  UD2: (cpu) => cpu.undefinedInstruction(),
  SYSCALL: (cpu) => {
    const { state } = cpu
    if ((state.word('efer') & EFER.SCE) === 0n) cpu.undefinedInstruction()
    const star = state.word('star')
    const selector = Number((star >> 32n) & 0xfffcn)
    const long = state.isLongMode
    const compatible = state.half('mode') !== 0
    const flags = state.flags
    state.regs[1] = long ? state.word('nextRip') : BigInt.asUintN(32, state.word('nextRip'))
    if (long) {
      state.regs[11] = BigInt(flags)
      state.flags = flags & ~(Number(state.word('sfmask') & 0xffffffffn) | FLAG.RF)
    } else state.flags = flags & ~(FLAG.IF | FLAG.VM)
    flatSegments(cpu, selector, selector + 8, 0, long)
    state.setInstructionPointer(long ? state.word(compatible ? 'cstar' : 'lstar') : star & 0xffffffffn)
    return OUTCOME.jump
  },
  SYSRET: (cpu, op) => {
    const { state } = cpu
    if ((state.word('efer') & EFER.SCE) === 0n) cpu.undefinedInstruction()
    const star = Number(state.word('star') >> 48n)
    const to64 = op.opSize === 64
    const target = state.regs[1]!
    if (to64 && !isCanonical(target)) cpu.raise('GP', 0)
    const kept = FLAG.RF | FLAG.VM
    if (state.isLongMode) state.flags = (Number(state.regs[11]! & 0x3c7fd7n) & ~kept) | 2
    else state.flags |= FLAG.IF
    flatSegments(cpu, ((to64 ? star + 16 : star) | 3) & 0xffff, ((star + 8) | 3) & 0xffff, 3, to64)
    state.setInstructionPointer(to64 ? target : target & 0xffffffffn)
    cpu.lookSoon()
    return OUTCOME.jump
  },
  SYSENTER: (cpu) => {
    const { state } = cpu
    const selector = Number(cpu.sysenter.cs & 0xfffcn)
    if (!state.isProtected || selector === 0) cpu.raise('GP', 0)
    const long = state.isLongMode
    state.flags &= ~(FLAG.IF | FLAG.VM)
    state.regs[4] = long ? cpu.sysenter.esp : cpu.sysenter.esp & 0xffffffffn
    flatSegments(cpu, selector, selector + 8, 0, long)
    state.setInstructionPointer(long ? cpu.sysenter.eip : cpu.sysenter.eip & 0xffffffffn)
    return OUTCOME.jump
  },
  SYSEXIT: (cpu, op) => {
    const { state } = cpu
    const selector = Number(cpu.sysenter.cs & 0xfffcn)
    if (!state.isProtected || selector === 0) cpu.raise('GP', 0)
    const to64 = op.opSize === 64
    const [target, stack] = [state.regs[2]!, state.regs[1]!]
    if (to64 && (!isCanonical(target) || !isCanonical(stack))) cpu.raise('GP', 0)
    const first = selector + (to64 ? 32 : 16)
    flatSegments(cpu, first | 3, (first + 8) | 3, 3, to64)
    state.regs[4] = to64 ? stack : stack & 0xffffffffn
    state.setInstructionPointer(to64 ? target : target & 0xffffffffn)
    return OUTCOME.jump
  },
  SWAPGS: (cpu) => {
    const { state } = cpu
    const base = state.segmentBase(SEGMENT.GS)
    state.setSegmentBase(SEGMENT.GS, state.word('kernelGsBase'))
    state.setWord('kernelGsBase', base)
  },
  ...Object.fromEntries(
    (['ES', 'SS', 'DS', 'FS', 'GS'] as const).map((name): [string, AssistRun] => [
      `L${name}`,
      (cpu, op) => {
        if (!op.isMem) cpu.undefinedInstruction()
        const { offset, selector } = farPointer(cpu, op)
        loadSegment(cpu, SEGMENT[name], selector)
        if (op.opSize === 16) cpu.state.regs[op.reg] = (cpu.state.regs[op.reg]! & ~0xffffn) | offset
        else cpu.state.regs[op.reg] = offset
        if (name === 'SS') updateMode(cpu)
        return undefined
      },
    ]),
  ),
}

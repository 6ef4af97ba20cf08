/** PUSHF POPF CLI STI CLD STD, PUSHA POPA ENTER, XLATB, CMPXCHG8B/16B, BOUND, pushes and pops of segment registers. */
import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'
import { FLAG } from '../isa/row.ts'
import { OUTCOME, SEGMENT } from '../state.ts'
import { loadSegment, updateMode } from './descriptors.ts'
import {
  type AssistRun,
  operandAddress,
  peekStack,
  pushWords,
  readRegister,
  type Size,
  setStackPointer,
  stackPointer,
  writeRegister,
} from './operands.ts'

const bytesOf = (op: AssistOp): Size => (op.opSize / 8) as Size
const iopl = (cpu: Cpu): number => (cpu.state.half('systemFlags') >> 12) & 3

/** RFLAGS bits that POPF may change at this privilege (SDM vol. 2, POPF). */
export function changeableFlags(cpu: Cpu, size: Size): number {
  let mask =
    FLAG.CF |
    FLAG.PF |
    FLAG.AF |
    FLAG.ZF |
    FLAG.SF |
    FLAG.TF |
    FLAG.DF |
    FLAG.OF |
    FLAG.NT |
    FLAG.AC |
    FLAG.ID
  if (cpu.state.cpl === 0) mask |= FLAG.IOPL
  if (cpu.state.cpl <= iopl(cpu) || !cpu.state.isProtected) mask |= FLAG.IF
  return size === 2 ? mask & 0xffff : mask
}

/** A change of IF may make a waiting interrupt deliverable: look before the next block. */
const lookSoon = (cpu: Cpu): number => {
  cpu.state.setWord('rip', cpu.state.word('nextRip'))
  cpu.leave = { kind: 'poll' }
  return OUTCOME.leave
}

const setIf = (cpu: Cpu, on: boolean): void => {
  if (cpu.state.isProtected && cpu.state.cpl > iopl(cpu)) cpu.raise('GP', 0)
  const flags = cpu.state.half('systemFlags')
  cpu.state.setHalf('systemFlags', on ? flags | FLAG.IF : flags & ~FLAG.IF)
}

const cmpxchg =
  (half: 4 | 8): AssistRun =>
  (cpu) => {
    const address = operandAddress(cpu)
    if (half === 8 && address & 15n) cpu.raise('GP', 0)
    const low = readRegister(cpu, 0, half)
    const high = readRegister(cpu, 2, half)
    // A lock word in shared memory would serialise vCPUs that use this instruction only; the page's own words do it for all.
    const found = cpu.exchangePair(
      address,
      half,
      [low, high],
      [readRegister(cpu, 3, half), readRegister(cpu, 1, half)],
    )
    const same = found[0] === low && found[1] === high
    if (!same) {
      writeRegister(cpu, 0, half, found[0])
      writeRegister(cpu, 2, half, found[1])
    }
    cpu.state.flags = same ? cpu.state.flags | FLAG.ZF : cpu.state.flags & ~FLAG.ZF
  }

const pushSegment =
  (segment: number): AssistRun =>
  (cpu, op) =>
    pushWords(cpu, bytesOf(op), [BigInt(cpu.state.selector(segment))])
const popSegment =
  (segment: number): AssistRun =>
  (cpu, op) => {
    const selector = Number(peekStack(cpu, 0, 2))
    const pointer = stackPointer(cpu) + BigInt(bytesOf(op))
    loadSegment(cpu, segment, selector)
    setStackPointer(cpu, pointer)
    if (segment === SEGMENT.SS) updateMode(cpu)
  }

export const flagsAndStack: Record<string, AssistRun> = {
  PUSHF: (cpu, op) => pushWords(cpu, bytesOf(op), [BigInt(cpu.state.flags & ~(FLAG.RF | FLAG.VM))]),
  POPF: (cpu, op) => {
    const value = Number(peekStack(cpu, 0, bytesOf(op)) & 0xffffffffn)
    const mask = changeableFlags(cpu, bytesOf(op))
    const before = cpu.state.flags
    setStackPointer(cpu, stackPointer(cpu) + BigInt(bytesOf(op)))
    cpu.state.flags = (before & ~mask) | (value & mask)
    if (cpu.state.flags & FLAG.TF || (!(before & FLAG.IF) && cpu.state.interruptsEnabled))
      return lookSoon(cpu)
  },
  CLI: (cpu) => setIf(cpu, false),
  // The instruction after an STI that opens the window still runs without interrupts; then one that waits is taken.
  STI: (cpu) => {
    const wasOff = !cpu.state.interruptsEnabled
    setIf(cpu, true)
    if (!wasOff || !cpu.host.interruptWaits()) return undefined
    cpu.state.setWord('rip', cpu.state.word('nextRip'))
    cpu.leave = { kind: 'shadow' }
    return OUTCOME.leave
  },
  CLD: (cpu) => cpu.state.setHalf('systemFlags', cpu.state.half('systemFlags') & ~FLAG.DF),
  STD: (cpu) => cpu.state.setHalf('systemFlags', cpu.state.half('systemFlags') | FLAG.DF),
  PUSHA: (cpu, op) => {
    const size = bytesOf(op)
    pushWords(
      cpu,
      size,
      [0, 1, 2, 3, 4, 5, 6, 7].map((n) => readRegister(cpu, n, size)),
    )
  },
  POPA: (cpu, op) => {
    const size = bytesOf(op)
    const values = [7, 6, 5, 4, 3, 2, 1, 0].map((n, i) => [n, peekStack(cpu, i * size, size)] as const)
    for (const [n, value] of values) if (n !== 4) writeRegister(cpu, n, size, value)
    setStackPointer(cpu, stackPointer(cpu) + BigInt(8 * size))
  },
  // SDM vol. 2, ENTER: the frame is made on the new stack before any register changes.
  ENTER: (cpu, op) => {
    const size = bytesOf(op)
    const level = op.imm2 & 31
    const mask = cpu.state.word('stackMask')
    const saved = stackPointer(cpu)
    let pointer = saved
    const push = (value: bigint) => {
      pointer = (pointer - BigInt(size)) & mask
      cpu.store(cpu.linear(SEGMENT.SS, pointer, size, true), size, value)
    }
    push(readRegister(cpu, 5, size))
    const frame = pointer
    let outer = cpu.state.regs[5]! & mask
    for (let n = 1; n < level; n++) {
      outer = (outer - BigInt(size)) & mask
      push(cpu.load(cpu.linear(SEGMENT.SS, outer, size, false), size))
    }
    if (level > 0) push(frame)
    const end = (pointer - BigInt(op.imm & 0xffff)) & mask
    // The last byte below must be writable, as the manual's final check says.
    cpu.load(cpu.linear(SEGMENT.SS, end, 1, false), 1)
    writeRegister(cpu, 5, size, frame)
    setStackPointer(cpu, end)
  },
  XLATB: (cpu, op) => {
    const mask = op.addrSize === 64 ? (1n << 64n) - 1n : op.addrSize === 32 ? 0xffffffffn : 0xffffn
    const offset = (cpu.state.regs[3]! + (cpu.state.regs[0]! & 0xffn)) & mask
    writeRegister(cpu, 0, 1, cpu.load(cpu.linear(op.segment, offset, 1, false), 1))
  },
  CMPXCHG8B: cmpxchg(4),
  CMPXCHG16B: cmpxchg(8),
  BOUND: (cpu, op) => {
    const size = bytesOf(op)
    const at = operandAddress(cpu)
    const index = BigInt.asIntN(op.opSize, readRegister(cpu, op.reg, size))
    const low = BigInt.asIntN(op.opSize, cpu.load(at, size))
    const high = BigInt.asIntN(op.opSize, cpu.load(at + BigInt(size), size))
    if (index < low || index > high) cpu.raise('BR')
  },
  'PUSH ES': pushSegment(SEGMENT.ES),
  'PUSH CS': pushSegment(SEGMENT.CS),
  'PUSH SS': pushSegment(SEGMENT.SS),
  'PUSH DS': pushSegment(SEGMENT.DS),
  'PUSH FS': pushSegment(SEGMENT.FS),
  'PUSH GS': pushSegment(SEGMENT.GS),
  'POP ES': popSegment(SEGMENT.ES),
  'POP SS': popSegment(SEGMENT.SS),
  'POP DS': popSegment(SEGMENT.DS),
  'POP FS': popSegment(SEGMENT.FS),
  'POP GS': popSegment(SEGMENT.GS),
}

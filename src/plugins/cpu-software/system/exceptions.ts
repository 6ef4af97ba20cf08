/**
 * Delivery of exceptions and interrupts through the IDT (SDM vol. 3, chapter 6): 64-bit, protected and real mode.
 *
 * Not here: task gates and virtual-8086 mode (no kernel this CPU boots uses them); both end in #GP with a log line.
 */
import type { Cpu } from '../cpu.ts'
import { UNUSABLE } from '../cpu-state.ts'
import { GUEST_FAULT } from '../fault.ts'
import { FLAG } from '../isa/row.ts'
import { NOT_CANONICAL } from '../mmu/emit-mmu.ts'
import { EXCEPTION } from '../read/vocabulary.ts'
import { SEGMENT } from '../state.ts'
import {
  ATTRIBUTE,
  dplOf,
  loadCode,
  loadRealSegment,
  readDescriptor,
  SYSTEM_TYPE,
  taskStack,
  updateMode,
} from './descriptors.ts'

/** Exceptions that push an error code. */
export const HAS_ERROR: ReadonlySet<number> = new Set<number>([
  EXCEPTION.DF,
  EXCEPTION.TS,
  EXCEPTION.NP,
  EXCEPTION.SS,
  EXCEPTION.GP,
  EXCEPTION.PF,
  EXCEPTION.AC,
])
const CONTRIBUTORY = new Set<number>([EXCEPTION.DE, EXCEPTION.TS, EXCEPTION.NP, EXCEPTION.SS, EXCEPTION.GP])
/** Bit of an error code: the event came from outside the program. */
const EXTERNAL = 1
/** Bit of an error code: the index is into the IDT. */
const IN_IDT = 2

/**
 * Delivers an exception whose instruction is at `rip`; nested faults become double and triple faults.
 * Undefined on success; else why the processor shuts down.
 */
export function deliverException(cpu: Cpu, vector: number, error: number): string | undefined {
  const first = `exception ${vector} (error 0x${error.toString(16)}) at rip 0x${cpu.state.word('rip').toString(16)}`
  let current = vector
  let code = error
  for (;;) {
    const failed = attempt(cpu, current, HAS_ERROR.has(current) ? code : undefined, false, false)
    if (failed === undefined) return undefined
    if (current === EXCEPTION.DF) return `triple fault: ${first}`
    const bothContribute = CONTRIBUTORY.has(current) && CONTRIBUTORY.has(failed.vector)
    const afterPageFault =
      current === EXCEPTION.PF && (CONTRIBUTORY.has(failed.vector) || failed.vector === EXCEPTION.PF)
    if (failed.vector === EXCEPTION.PF) cpu.state.setWord('cr2', cpu.state.word('faultAddress'))
    current = bothContribute || afterPageFault ? EXCEPTION.DF : failed.vector
    code = current === EXCEPTION.DF ? 0 : failed.error
  }
}

/** An interrupt from outside; the instruction at `rip` has not started. Undefined on success. */
export function deliverInterrupt(cpu: Cpu, vector: number): string | undefined {
  if (cpu.enterNatively(vector, 0, true)) return undefined
  const failed = attempt(cpu, vector, undefined, false, true)
  return failed === undefined ? undefined : deliverException(cpu, failed.vector, failed.error)
}

/** INT n, INT3, INTO and INT1: `rip` must already be that of the next instruction. Faults are raised as the instruction's own; only INT1 passes gates of any privilege. */
export function softwareInterrupt(cpu: Cpu, vector: number, checked = true): void {
  enter(cpu, vector, undefined, checked, false)
}

function attempt(
  cpu: Cpu,
  vector: number,
  error: number | undefined,
  software: boolean,
  external: boolean,
): { vector: number; error: number } | undefined {
  const { state } = cpu
  try {
    enter(cpu, vector, error, software, external)
    return undefined
  } catch (thrown) {
    if (thrown !== GUEST_FAULT) throw thrown
    const raised = state.half('faultVector')
    // What a delivery addresses that need not be canonical is the stack.
    const nested = {
      vector: raised === NOT_CANONICAL ? EXCEPTION.SS : raised,
      error: state.half('faultError'),
    }
    return external && nested.vector !== EXCEPTION.PF ? { ...nested, error: nested.error | EXTERNAL } : nested
  }
}

function enter(
  cpu: Cpu,
  vector: number,
  error: number | undefined,
  software: boolean,
  external: boolean,
): void {
  const { state } = cpu
  state.setHalf('entered', 1)
  if (!state.isProtected) {
    enterReal(cpu, vector)
    return
  }
  if (state.half('systemFlags') & FLAG.VM) {
    cpu.host.log.warn('an interrupt in virtual-8086 mode: not implemented, the guest gets #GP')
    cpu.raise('GP', 0)
  }
  const idtError = vector * 8 + IN_IDT + (external ? EXTERNAL : 0)
  const long = state.isLongMode
  const size = long ? 16 : 8
  if (vector * size + size - 1 > state.half('idtLimit')) cpu.raise('GP', idtError)
  const at = state.word('idtBase') + BigInt(vector * size)
  const gate = cpu.asSupervisor(() => cpu.load(at, 8))
  const attributes = Number((gate >> 40n) & 0xffn)
  const type = attributes & 31
  const wide = type === SYSTEM_TYPE.interrupt || type === SYSTEM_TYPE.trap
  const narrow = !long && (type === SYSTEM_TYPE.interrupt16 || type === SYSTEM_TYPE.trap16)
  if (!long && type === SYSTEM_TYPE.taskGate)
    cpu.host.log.warn('an interrupt through a task gate: not implemented, the guest gets #GP')
  if (!wide && !narrow) cpu.raise('GP', idtError)
  if (software && dplOf(attributes) < state.cpl) cpu.raise('GP', idtError & ~EXTERNAL)
  if ((attributes & ATTRIBUTE.present) === 0) cpu.raise('NP', idtError)
  const selector = Number((gate >> 16n) & 0xffffn)
  let target = (gate & 0xffffn) | ((gate >> 32n) & 0xffff0000n)
  if (narrow) target &= 0xffffn
  if (long) target |= cpu.asSupervisor(() => cpu.load(at + 8n, 4)) << 32n
  const external1 = external ? EXTERNAL : 0
  if ((selector & 0xfffc) === 0) cpu.raise('GP', external1)
  const code = readDescriptor(cpu, selector, 'GP', (selector & 0xfffc) | external1)
  const dpl = dplOf(code.attributes)
  const isCode =
    (code.attributes & (ATTRIBUTE.code | ATTRIBUTE.segment)) === (ATTRIBUTE.code | ATTRIBUTE.segment)
  if (!isCode || dpl > state.cpl) cpu.raise('GP', (selector & 0xfffc) | external1)
  if (long && (code.attributes & (ATTRIBUTE.long | ATTRIBUTE.big)) !== ATTRIBUTE.long)
    cpu.raise('GP', (selector & 0xfffc) | external1)
  if ((code.attributes & ATTRIBUTE.present) === 0) cpu.raise('NP', (selector & 0xfffc) | external1)
  const conforming = (code.attributes & ATTRIBUTE.conforming) !== 0
  const cpl = conforming ? state.cpl : dpl
  const inner = cpl < state.cpl
  // A fault's image has RF set: the instruction is tried again without its breakpoint (SDM vol. 3, 17.3.1.1).
  const isFault = !software && !external && vector !== EXCEPTION.DB
  const flags = state.flags | (isFault ? FLAG.RF : 0)
  const before = {
    cs: state.selector(SEGMENT.CS),
    ss: state.selector(SEGMENT.SS),
    rip: state.offsetInCode(state.word('rip')),
    rsp: state.regs[4]!,
  }
  if (long) {
    const ist = Number((gate >> 32n) & 7n)
    let rsp = before.rsp
    if (ist !== 0) rsp = readIst(cpu, ist)
    else if (inner) rsp = taskStack(cpu, cpl).pointer
    rsp = BigInt.asUintN(64, rsp) & ~15n
    const frame = [BigInt(before.ss), before.rsp, BigInt(flags), BigInt(before.cs), before.rip]
    if (error !== undefined) frame.push(BigInt(error))
    pushFrame(cpu, cpl, rsp, frame)
    state.regs[4] = BigInt.asUintN(64, rsp - BigInt(frame.length * 8))
    if (inner) state.setSegment(SEGMENT.SS, cpl, 0n, 0, UNUSABLE)
  } else enterLegacy(cpu, { cpl, inner, wide, error, before, flags })
  loadCode(cpu, selector, code, cpl)
  state.setInstructionPointer(target)
  let cleared = FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM
  if (type === SYSTEM_TYPE.interrupt || type === SYSTEM_TYPE.interrupt16) cleared |= FLAG.IF
  state.setHalf('systemFlags', state.half('systemFlags') & ~cleared)
}

function readIst(cpu: Cpu, ist: number): bigint {
  const { state } = cpu
  const offset = 0x24 + (ist - 1) * 8
  if (offset + 7 > state.segmentLimit(SEGMENT.TR)) cpu.raise('TS', state.selector(SEGMENT.TR) & 0xfffc)
  return cpu.asSupervisor(() => cpu.load(state.segmentBase(SEGMENT.TR) + BigInt(offset), 8))
}

/** Writes a frame below `top` with the rights of the new level; checked whole before the first word. */
function pushFrame(cpu: Cpu, cpl: number, top: bigint, words: readonly bigint[]): void {
  const bytes = new Uint8Array(words.length * 8)
  const view = new DataView(bytes.buffer)
  words.forEach((word, i) => {
    view.setBigUint64((words.length - 1 - i) * 8, BigInt.asUintN(64, word), true)
  })
  const write = () => cpu.storeBytes(BigInt.asUintN(64, top - BigInt(bytes.length)), bytes)
  if (cpl === 3) write()
  else cpu.asSupervisor(write)
}

interface LegacyEntry {
  readonly cpl: number
  readonly inner: boolean
  readonly wide: boolean
  readonly error: number | undefined
  readonly before: { cs: number; ss: number; rip: bigint; rsp: bigint }
  readonly flags: number
}

function enterLegacy(cpu: Cpu, entry: LegacyEntry): void {
  const { state } = cpu
  const { before } = entry
  const words: bigint[] = []
  let pointer = before.rsp
  let stackBase = state.segmentBase(SEGMENT.SS)
  let mask = state.word('stackMask')
  let newStack: (() => void) | undefined
  if (entry.inner) {
    const stack = taskStack(cpu, entry.cpl)
    const error = stack.selector & 0xfffc
    if (error === 0) cpu.raise('TS', 0)
    const d = readDescriptor(cpu, stack.selector, 'TS')
    const usable =
      (d.attributes & (ATTRIBUTE.segment | ATTRIBUTE.code | ATTRIBUTE.writable)) ===
      (ATTRIBUTE.segment | ATTRIBUTE.writable)
    if (!usable || dplOf(d.attributes) !== entry.cpl || (stack.selector & 3) !== entry.cpl)
      cpu.raise('TS', error)
    if ((d.attributes & ATTRIBUTE.present) === 0) cpu.raise('SS', error)
    words.push(BigInt(before.ss), before.rsp)
    pointer = stack.pointer
    stackBase = d.base
    mask = d.attributes & ATTRIBUTE.big ? 0xffffffffn : 0xffffn
    newStack = () => state.setSegment(SEGMENT.SS, stack.selector, d.base, d.limit, d.attributes)
  }
  words.push(BigInt(entry.flags), BigInt(before.cs), before.rip)
  if (entry.error !== undefined) words.push(BigInt(entry.error))
  const size = entry.wide ? 4 : 2
  cpu.asSupervisor(() => {
    for (const word of words) {
      pointer = (pointer - BigInt(size)) & mask
      cpu.store((stackBase + pointer) & 0xffffffffn, size, word)
    }
  })
  newStack?.()
  state.regs[4] = entry.inner ? pointer : (before.rsp & BigInt.asUintN(64, ~mask)) | pointer
}

function enterReal(cpu: Cpu, vector: number): void {
  const { state } = cpu
  if (vector * 4 + 3 > state.half('idtLimit')) cpu.raise('GP', vector * 8 + IN_IDT)
  const entry = cpu.load(state.word('idtBase') + BigInt(vector * 4), 4)
  let sp = state.regs[4]! & 0xffffn
  for (const word of [
    BigInt(state.flags & 0xffff),
    BigInt(state.selector(SEGMENT.CS)),
    state.offsetInCode(state.word('rip')),
  ]) {
    sp = (sp - 2n) & 0xffffn
    cpu.store(state.segmentBase(SEGMENT.SS) + sp, 2, word)
  }
  state.regs[4] = (state.regs[4]! & ~0xffffn) | sp
  state.setHalf('systemFlags', state.half('systemFlags') & ~(FLAG.IF | FLAG.TF | FLAG.AC | FLAG.RF))
  loadRealSegment(cpu, SEGMENT.CS, Number(entry >> 16n))
  updateMode(cpu)
  state.setInstructionPointer(entry & 0xffffn)
}

/** Control and debug registers, MSRs, CPUID, time, caches, HLT and hypercalls (SDM vol. 3, chapters 2 and 18). */
import type { Cpu } from '../cpu.ts'
import { CR0, CR4, EFER } from '../cpu-state.ts'
import { OUTCOME, SEGMENT } from '../state.ts'
import { ATTRIBUTE, updateMode } from './descriptors.ts'
import { refreshFloat } from './float.ts'
import { type AssistRun, operandAddress, readRegister, type Size, writeRegister } from './operands.ts'

/** CR4 bits of the features that CPUID advertises; any other is #GP. */
const CR4_ALLOWED =
  CR4.VME |
  CR4.PVI |
  CR4.TSD |
  CR4.DE |
  CR4.PSE |
  CR4.PAE |
  CR4.MCE |
  CR4.PGE |
  CR4.PCE |
  CR4.OSFXSR |
  CR4.OSXMMEXCPT |
  CR4.SMEP |
  CR4.UMIP
/** A change of these drops every cached translation. */
const CR4_PAGING = CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP | CR4.SMAP

/** MOV to CR0, CR2, CR3, CR4 with its checks; mode and translations follow. */
export function setControlRegister(cpu: Cpu, n: number, value: bigint): void {
  const { state } = cpu
  if (n === 0) {
    const before = state.word('cr0')
    if (value >> 32n !== 0n) cpu.raise('GP', 0)
    const next =
      (value & (CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG)) |
      CR0.ET
    if ((next & CR0.PG) !== 0n && (next & CR0.PE) === 0n) cpu.raise('GP', 0)
    if ((next & CR0.NW) !== 0n && (next & CR0.CD) === 0n) cpu.raise('GP', 0)
    const paging = (next & CR0.PG) !== 0n
    const efer = state.word('efer')
    if (paging && (before & CR0.PG) === 0n && (efer & EFER.LME) !== 0n) {
      if ((state.word('cr4') & CR4.PAE) === 0n || state.segmentAttributes(SEGMENT.CS) & ATTRIBUTE.long)
        cpu.raise('GP', 0)
      state.setWord('efer', efer | EFER.LMA)
    }
    if (!paging && (efer & EFER.LMA) !== 0n) {
      if (state.half('mode') === 0) cpu.raise('GP', 0)
      state.setWord('efer', efer & ~EFER.LMA)
    }
    state.setWord('cr0', next)
    if ((before ^ next) & (CR0.PG | CR0.WP | CR0.PE)) cpu.flushTlb()
  } else if (n === 2) state.setWord('cr2', value)
  else if (n === 3) {
    if (state.isLongMode && value >> 52n !== 0n) cpu.raise('GP', 0)
    state.setWord('cr3', value)
    cpu.flushTlb()
  } else if (n === 4) {
    const before = state.word('cr4')
    if ((value & ~CR4_ALLOWED) !== 0n) cpu.raise('GP', 0)
    if (state.isLongMode && (value & CR4.PAE) === 0n) cpu.raise('GP', 0)
    state.setWord('cr4', value)
    if ((before ^ value) & CR4_PAGING) cpu.flushTlb()
  } else if (n === 8) {
    if (value >> 4n !== 0n) cpu.raise('GP', 0)
    cpu.host.taskPriority(Number(value))
  } else cpu.undefinedInstruction()
  refreshPaging(cpu)
  refreshFloat(cpu.state)
  updateMode(cpu)
}

/** Whether the interpreter's own page walk applies. */
export function refreshPaging(cpu: Cpu): void {
  const long = cpu.state.isLongMode && (cpu.state.word('cr0') & CR0.PG) !== 0n
  cpu.state.setHalf('longPaging', long ? 1 : 0)
}

function controlRegister(cpu: Cpu, n: number): bigint {
  if (n === 8) return BigInt(cpu.host.taskPriority())
  if (n !== 0 && n !== 2 && n !== 3 && n !== 4) cpu.undefinedInstruction()
  return cpu.state.word(`cr${n}` as 'cr0')
}

const registerSize = (cpu: Cpu): Size => (cpu.state.half('mode') === 0 ? 8 : 4)
const onward = (cpu: Cpu): number => {
  cpu.state.setWord('rip', cpu.state.word('nextRip'))
  return OUTCOME.jump
}
const readControl: AssistRun = (cpu, op) =>
  writeRegister(cpu, op.rm, registerSize(cpu), controlRegister(cpu, op.reg))
const writeControl: AssistRun = (cpu, op) => {
  setControlRegister(cpu, op.reg, readRegister(cpu, op.rm, registerSize(cpu)))
  cpu.lookSoon()
  return onward(cpu)
}

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE. Breakpoints are kept, not acted on: docs/quirks.md. */
function debugIndex(cpu: Cpu, n: number): number {
  if (n !== 4 && n !== 5) return n > 7 ? cpu.undefinedInstruction() : n
  if (cpu.state.word('cr4') & CR4.DE) cpu.undefinedInstruction()
  return n + 2
}
const DR_FIXED = { 6: [0xffff0ff0n, 0xe00fn], 7: [0x400n, 0xffff2fffn] } as const
const readDebug: AssistRun = (cpu, op) =>
  writeRegister(cpu, op.rm, registerSize(cpu), cpu.debugRegister(debugIndex(cpu, op.reg)))
const writeDebug: AssistRun = (cpu, op) => {
  const n = debugIndex(cpu, op.reg)
  const value = readRegister(cpu, op.rm, registerSize(cpu))
  if (n >= 6) {
    if (value >> 32n !== 0n) cpu.raise('GP', 0)
    const [ones, kept] = DR_FIXED[n as 6 | 7]
    cpu.setDebugRegister(n, (value & kept) | ones)
  } else cpu.setDebugRegister(n, value)
}

const split = (cpu: Cpu, value: bigint): void => {
  cpu.state.regs[0] = value & 0xffffffffn
  cpu.state.regs[2] = (value >> 32n) & 0xffffffffn
}
const msrIndex = (cpu: Cpu): number => Number(cpu.state.regs[1]! & 0xffffffffn)

const checkTime = (cpu: Cpu): void => {
  if (cpu.state.word('cr4') & CR4.TSD && cpu.state.cpl !== 0) cpu.raise('GP', 0)
}

export const control: Record<string, AssistRun> = {
  'MOV r32, cr': readControl,
  'MOV r64, cr': readControl,
  'MOV cr, r32': writeControl,
  'MOV cr, r64': writeControl,
  'MOV r32, dr': readDebug,
  'MOV r64, dr': readDebug,
  'MOV dr, r32': writeDebug,
  'MOV dr, r64': writeDebug,
  CLTS: (cpu) => {
    cpu.state.setWord('cr0', cpu.state.word('cr0') & ~CR0.TS)
    refreshFloat(cpu.state)
  },
  HLT: (cpu) => {
    cpu.state.setWord('rip', cpu.state.word('nextRip'))
    cpu.leave = { kind: 'halt' }
    return OUTCOME.leave
  },
  CPUID: (cpu) => {
    const { regs } = cpu.state
    const { eax, ebx, ecx, edx } = cpu.host.cpuid(
      Number(regs[0]! & 0xffffffffn),
      Number(regs[1]! & 0xffffffffn),
    )
    regs[0] = BigInt(eax >>> 0)
    regs[3] = BigInt(ebx >>> 0)
    regs[1] = BigInt(ecx >>> 0)
    regs[2] = BigInt(edx >>> 0)
    cpu.host.serialize()
  },
  RDTSC: (cpu) => {
    checkTime(cpu)
    cpu.setTimeStamp()
  },
  RDTSCP: (cpu) => {
    checkTime(cpu)
    cpu.setTimeStamp()
    cpu.state.regs[1] = cpu.state.word('tscAux') & 0xffffffffn
  },
  RDPMC: (cpu) => cpu.raise('GP', 0),
  RDMSR: (cpu) => {
    const value = cpu.readMsr(msrIndex(cpu))
    if (value === undefined) return cpu.raise('GP', 0)
    split(cpu, value)
    return undefined
  },
  WRMSR: (cpu) => {
    const value = (cpu.state.regs[0]! & 0xffffffffn) | ((cpu.state.regs[2]! & 0xffffffffn) << 32n)
    if (!cpu.writeMsr(msrIndex(cpu), value)) cpu.raise('GP', 0)
    cpu.lookSoon()
    return onward(cpu)
  },
  VMCALL: (cpu) => hypercall(cpu),
  VMMCALL: (cpu) => hypercall(cpu),
  INVD: () => undefined,
  WBINVD: () => undefined,
  CLFLUSH: (cpu) => void cpu.load(operandAddress(cpu), 1),
  INVLPG: (cpu) => {
    // Entries of two-level paging's 4 MiB pages are not marked: everything goes.
    if (cpu.state.half('longPaging') === 0) cpu.flushTlb()
    else cpu.flushPage(operandAddress(cpu))
    return onward(cpu)
  },
  MFENCE: (cpu) => cpu.fence(),
  PAUSE: (cpu) => cpu.pause(),
}

function hypercall(cpu: Cpu): number {
  if (!cpu.host.hypercall()) cpu.undefinedInstruction()
  // The call may have changed memory maps, or want this vCPU to sleep.
  cpu.lookSoon()
  return onward(cpu)
}

/**
 * Floating-point instructions as the interpreter calls them: who may run them (#UD, #NM, #MF), operands from and
 * to registers and memory, then the meaning from x87.ts, x87-images.ts and sse.ts. Intel SDM volume 3, sections
 * 2.5 (CR0.EM, TS, MP), 13.1 (OSFXSR, OSXMMEXCPT); volume 2, section 2.8 (exception classes).
 * Every load and check comes before the first change of state.
 */

import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'
import { CR0, CR4 } from '../cpu-state.ts'
import type { Operand, Row } from '../isa/row.ts'
import { STATE } from '../state.ts'
import { type SseAssist, sseAssistOf } from './sse.ts'
import {
  emms,
  enterMmx,
  type FpCpu,
  getMxcsr,
  hasPendingException,
  MXCSR_MASK,
  markMmxWritten,
  mmxOffset,
  setMxcsr,
  xmmOffset,
} from './state.ts'
import { type X87Instruction, x87Instructions } from './x87.ts'
import type { X87Operand } from './x87-execution.ts'
import {
  type EnvironmentLayout,
  environmentBytes,
  type FxLayout,
  fxBytes,
  fxrstor,
  fxsave,
  loadEnvironment,
  restoreState,
  saveState,
  stateBytes,
  storeEnvironment,
} from './x87-images.ts'

/** What these instructions need of a CPU. */
export type FpMachine = Pick<
  Cpu,
  'state' | 'load' | 'store' | 'loadBytes' | 'storeBytes' | 'probeStore' | 'raise' | 'undefinedInstruction'
>
type FpRun = (cpu: FpMachine, op: AssistOp) => void

const fpOf = (cpu: FpMachine): FpCpu => ({ view: cpu.state.view, base: cpu.state.base + STATE.fp })
const addressOf = (cpu: FpMachine): bigint => cpu.state.word('tmpAddress')
const isSet = (cpu: FpMachine, register: 'cr0' | 'cr4', bits: bigint): boolean =>
  (cpu.state.word(register) & bits) !== 0n

/** x87 and FXSAVE: no coprocessor, or its state belongs to another task. */
function requireX87(cpu: FpMachine): void {
  if (isSet(cpu, 'cr0', CR0.EM | CR0.TS)) cpu.raise('NM')
}

function requireSse(cpu: FpMachine): void {
  if (isSet(cpu, 'cr0', CR0.EM) || !isSet(cpu, 'cr4', CR4.OSFXSR)) cpu.undefinedInstruction()
  if (isSet(cpu, 'cr0', CR0.TS)) cpu.raise('NM')
}

function requireMmx(cpu: FpMachine): void {
  if (isSet(cpu, 'cr0', CR0.EM)) cpu.undefinedInstruction()
  if (isSet(cpu, 'cr0', CR0.TS)) cpu.raise('NM')
  requireNothingPending(cpu)
}

function requireNothingPending(cpu: FpMachine): void {
  if (hasPendingException(fpOf(cpu))) cpu.raise('MF')
}

/** Memory operands of 2, 4, 8, 10 and 16 bytes as one integer. */
function loadInteger(cpu: FpMachine, bytes: number): bigint {
  const at = addressOf(cpu)
  if (bytes <= 8) return cpu.load(at, bytes as 2 | 4 | 8)
  return cpu.load(at, 8) | (cpu.load(at + 8n, (bytes - 8) as 2 | 8) << 64n)
}

function storeInteger(cpu: FpMachine, bytes: number, value: bigint): void {
  const at = addressOf(cpu)
  if (bytes <= 8) cpu.store(at, bytes as 2 | 4 | 8, value)
  else
    cpu.storeBytes(
      at,
      Uint8Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 255n)),
    )
}

/** Faults now if a store of this many bytes (at most a page) would, at the address where it would. */
function probe(cpu: FpMachine, bytes: number): void {
  const first = addressOf(cpu)
  const lastPage = (first + BigInt(bytes - 1)) & ~4095n
  cpu.probeStore(first, 1)
  if (lastPage > first) cpu.probeStore(lastPage, 1)
}

/** ST(i), RFLAGS and pointers of an x87 instruction, the costly ones made only when asked for. */
function x87Operand(cpu: FpMachine, op: AssistOp, memory: bigint): X87Operand {
  const { state } = cpu
  const rip = state.word('rip')
  const pointers = {
    opcode: () => opcodeAt(cpu, rip, op.length),
    cs: state.selector(1),
    ip: state.offsetInCode(rip),
  }
  return {
    i: op.rm & 7,
    memory,
    get eflags() {
      return state.flags
    },
    pointers: op.isMem
      ? {
          ...pointers,
          data: {
            ds: state.selector(op.segment),
            address: BigInt.asUintN(64, addressOf(cpu) - state.segmentBase(op.segment)),
          },
        }
      : pointers,
  }
}

/** The escape byte is the first of D8 to DF: no prefix is. */
function opcodeAt(cpu: FpMachine, rip: bigint, length: number): number {
  const bytes = cpu.loadBytes(rip, length)
  const at = bytes.findIndex((byte) => (byte & 0xf8) === 0xd8)
  return at < 0 ? 0 : ((bytes[at]! & 7) << 8) | (bytes[at + 1] ?? 0)
}

const ARITHMETIC_FLAGS = 0x8d5

function setCompared(cpu: FpMachine, eflags: number): void {
  cpu.state.flags = (cpu.state.flags & ~ARITHMETIC_FLAGS) | eflags
}

function x87(row: Row, instruction: X87Instruction): FpRun {
  const memory = row.operands.find((o) => o.memWidth > 0)
  const bytes = (memory?.memWidth ?? 0) / 8
  const loads = memory?.access === 'r'
  const toAx = row.operands[0]?.text === 'AX'
  return (cpu, op) => {
    if (row.mnemonic === 'FWAIT') {
      if (isSet(cpu, 'cr0', CR0.MP) && isSet(cpu, 'cr0', CR0.TS)) cpu.raise('NM')
    } else requireX87(cpu)
    if (instruction.waits) requireNothingPending(cpu)
    const value = loads ? loadInteger(cpu, bytes) : 0n
    if (memory !== undefined && !loads) probe(cpu, bytes)
    const outcome = instruction.run(fpOf(cpu), x87Operand(cpu, op, value))
    if (outcome.eflags !== undefined) setCompared(cpu, outcome.eflags)
    if (outcome.store === undefined) return
    if (toAx) cpu.state.regs[0] = (cpu.state.regs[0]! & ~0xffffn) | outcome.store
    else storeInteger(cpu, bytes, outcome.store)
  }
}

function layoutOf(cpu: FpMachine, op: AssistOp): EnvironmentLayout {
  const virtual8086 = (cpu.state.flags & 0x20000) !== 0
  return {
    operandSize: op.opSize === 16 ? 16 : 32,
    mode: cpu.state.isProtected && !virtual8086 ? 'protected' : 'real',
  }
}

type StoreImage = (cpu: FpCpu, layout: EnvironmentLayout) => Uint8Array
type LoadImage = (cpu: FpCpu, layout: EnvironmentLayout, image: Uint8Array) => void
type ImageBytes = (layout: EnvironmentLayout) => number

const storing =
  (store: StoreImage, bytesOf: ImageBytes): FpRun =>
  (cpu, op) => {
    requireX87(cpu)
    const layout = layoutOf(cpu, op)
    probe(cpu, bytesOf(layout))
    cpu.storeBytes(addressOf(cpu), store(fpOf(cpu), layout))
  }

const loading =
  (load: LoadImage, bytesOf: ImageBytes): FpRun =>
  (cpu, op) => {
    requireX87(cpu)
    requireNothingPending(cpu)
    const layout = layoutOf(cpu, op)
    load(fpOf(cpu), layout, cpu.loadBytes(addressOf(cpu), bytesOf(layout)))
  }

function fxLayoutOf(cpu: FpMachine, wide: boolean): FxLayout {
  requireX87(cpu)
  if ((addressOf(cpu) & 15n) !== 0n) cpu.raise('GP', 0)
  const sse = isSet(cpu, 'cr4', CR4.OSFXSR)
  return { wide, xmmRegisters: !sse ? 0 : cpu.state.codeSize === 64 ? 16 : 8 }
}

const fxsaveRun =
  (wide: boolean): FpRun =>
  (cpu) => {
    const layout = fxLayoutOf(cpu, wide)
    cpu.storeBytes(addressOf(cpu), fxsave(fpOf(cpu), layout))
  }

const fxrstorRun =
  (wide: boolean): FpRun =>
  (cpu) => {
    const layout = fxLayoutOf(cpu, wide)
    const image = cpu.loadBytes(addressOf(cpu), fxBytes(layout))
    if (!fxrstor(fpOf(cpu), layout, image)) cpu.raise('GP', 0)
  }

const named: Readonly<Record<string, FpRun>> = {
  FNSTENV: storing(storeEnvironment, environmentBytes),
  FNSAVE: storing(saveState, stateBytes),
  FLDENV: loading(loadEnvironment, environmentBytes),
  FRSTOR: loading(restoreState, stateBytes),
  FXSAVE: fxsaveRun(false),
  FXSAVE64: fxsaveRun(true),
  FXRSTOR: fxrstorRun(false),
  FXRSTOR64: fxrstorRun(true),
  LDMXCSR: (cpu) => {
    requireSse(cpu)
    const value = Number(cpu.load(addressOf(cpu), 4))
    if ((value & ~MXCSR_MASK) !== 0) cpu.raise('GP', 0)
    setMxcsr(fpOf(cpu), value)
  },
  STMXCSR: (cpu) => {
    requireSse(cpu)
    cpu.store(addressOf(cpu), 4, BigInt(getMxcsr(fpOf(cpu))))
  },
  EMMS: (cpu) => {
    requireMmx(cpu)
    emms(fpOf(cpu))
  },
}

const registerNumber = (op: AssistOp, operand: Operand): number => (operand.where === 'reg' ? op.reg : op.rm)

/** Value of a register operand of this kind. */
function readRegister(cpu: FpMachine, operand: Operand, n: number): bigint {
  const { view, base } = fpOf(cpu)
  if (operand.kind.startsWith('xmm')) {
    const at = base + xmmOffset(n)
    return view.getBigUint64(at, true) | (view.getBigUint64(at + 8, true) << 64n)
  }
  if (operand.kind.startsWith('mm')) return view.getBigUint64(base + mmxOffset(n & 7), true)
  return BigInt.asUintN(operand.width, cpu.state.regs[n]!)
}

function writeRegister(cpu: FpMachine, operand: Operand, n: number, value: bigint): void {
  const fp = fpOf(cpu)
  if (operand.kind === 'xmm') {
    const at = fp.base + xmmOffset(n)
    fp.view.setBigUint64(at, BigInt.asUintN(64, value), true)
    fp.view.setBigUint64(at + 8, value >> 64n, true)
  } else if (operand.kind === 'mm') {
    fp.view.setBigUint64(fp.base + mmxOffset(n & 7), value, true)
    markMmxWritten(fp, n & 7)
  } else cpu.state.regs[n] = value
}

function sse(row: Row, assist: SseAssist): FpRun {
  const [destination, source] = row.operands as readonly [Operand, Operand]
  return (cpu, op) => {
    requireSse(cpu)
    // With its MMX operand in memory, a conversion leaves the x87 alone.
    const usesMmx = destination.kind === 'mm' || (source.kind.startsWith('mm') && !op.isMem)
    if (usesMmx) requireNothingPending(cpu)
    if (op.isMem && row.aligned && (addressOf(cpu) & 15n) !== 0n) cpu.raise('GP', 0)
    const src = op.isMem
      ? loadInteger(cpu, source.memWidth / 8)
      : readRegister(cpu, source, registerNumber(op, source))
    const fp = fpOf(cpu)
    if (usesMmx) enterMmx(fp)
    const n = registerNumber(op, destination)
    const outcome = assist(getMxcsr(fp), readRegister(cpu, destination, n), src, op.imm & 255)
    setMxcsr(fp, outcome.mxcsr)
    if (outcome.fault) cpu.raise(isSet(cpu, 'cr4', CR4.OSXMMEXCPT) ? 'XM' : 'UD')
    if (outcome.eflags !== undefined) setCompared(cpu, outcome.eflags)
    if (destination.access !== 'r') writeRegister(cpu, destination, n, outcome.result)
  }
}

/** What executes a row of the instruction table, undefined if it is none of floating point. */
export function floatingPointAssist(row: Row): FpRun | undefined {
  const run = named[row.mnemonic]
  if (run !== undefined) return run
  const instruction = x87Instructions.get(row.form)
  if (instruction !== undefined) return x87(row, instruction)
  const assist = sseAssistOf(row.mnemonic, row.opSize)
  return assist === undefined ? undefined : sse(row, assist)
}

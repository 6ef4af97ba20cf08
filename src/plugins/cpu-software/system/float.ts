/**
 * x87, SSE arithmetic and FXSAVE as assists: what surrounds fp/ (SDM vol. 1, chapters 8 and 11): availability
 * (#UD, #NM), pending exceptions (#MF), operands, destinations, #XM.
 *
 * MMX and the SSE instructions that only move, shuffle and calculate with integers are WebAssembly: sem/vector-meanings.ts.
 */
import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'
import { CR0, CR4 } from '../cpu-state.ts'
import { type FpCpu, getMxcsr, hasPendingException, markMmxWritten, enterMmx, mmxOffset, MXCSR_MASK, setMxcsr, xmmOffset } from '../fp/state.ts'
import { sseAssistOf } from '../fp/sse.ts'
import { x87Instructions } from '../fp/x87.ts'
import { environmentBytes, fxBytes, fxrstor, fxsave, loadEnvironment, restoreState, saveState, stateBytes, storeEnvironment } from '../fp/x87-images.ts'
import { FLAG, type Row } from '../isa/row.ts'
import { ROWS } from '../isa/table.ts'
import { EXCEPTION } from '../read/vocabulary.ts'
import { SEGMENT, STATE } from '../state.ts'
import { type AssistRun, operandAddress, readOperand, type Size, writeRegister } from './assists.ts'

const COMPARED = FLAG.OF | FLAG.SF | FLAG.ZF | FLAG.AF | FLAG.PF | FLAG.CF
const FXSAVE_ALIGN = 15n
const fpOf = (cpu: Cpu): FpCpu => ({ view: cpu.state.view, base: cpu.state.base + STATE.fp })

/** Exceptions that MMX, SSE and x87 instructions raise for being there, 0 for none: kept in the state block for the interpreter. */
export function refreshFloat(cpu: Cpu): void {
  const cr0 = cpu.state.word('cr0')
  const emulated = (cr0 & CR0.EM) !== 0n
  const switched = (cr0 & CR0.TS) !== 0n
  const sse = emulated || (cpu.state.word('cr4') & CR4.OSFXSR) === 0n
  cpu.state.setHalf('sseFault', sse ? EXCEPTION.UD : switched ? EXCEPTION.NM : 0)
  cpu.state.setHalf('mmxFault', emulated ? EXCEPTION.UD : switched ? EXCEPTION.NM : 0)
}

function needX87(cpu: Cpu): void {
  if (cpu.state.word('cr0') & (CR0.EM | CR0.TS)) cpu.raise('NM')
}
function needVector(cpu: Cpu, kind: 'sseFault' | 'mmxFault'): void {
  const fault = cpu.state.half(kind)
  if (fault === EXCEPTION.UD) cpu.raise('UD')
  if (fault === EXCEPTION.NM) cpu.raise('NM')
}
function needNoPending(cpu: Cpu, fp: FpCpu): void {
  if (hasPendingException(fp)) cpu.raise('MF')
}

const toBig = (bytes: Uint8Array): bigint => {
  let value = 0n
  for (let n = bytes.length - 1; n >= 0; n--) value = (value << 8n) | BigInt(bytes[n]!)
  return value
}
const toBytes = (value: bigint, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let n = 0; n < length; n++) bytes[n] = Number((value >> BigInt(8 * n)) & 0xffn)
  return bytes
}

/** Escape opcode and ModRM as the x87 keeps them, read again from the code. */
function escapeOpcode(cpu: Cpu, op: AssistOp): number {
  const bytes = cpu.asSupervisor(() => cpu.loadBytes(cpu.state.word('rip'), op.length))
  const at = bytes.findIndex((byte) => byte >= 0xd8 && byte <= 0xdf)
  return ((bytes[at]! & 7) << 8) | (bytes[at + 1] ?? 0)
}

function x87(row: Row): AssistRun | undefined {
  const instruction = x87Instructions.get(row.form)
  if (instruction === undefined) return undefined
  const memory = row.operands.find((o) => o.kind === 'm')
  const length = memory === undefined ? 0 : memory.memWidth / 8
  return (cpu, op) => {
    if (row.mnemonic === 'FWAIT') {
      const both = CR0.MP | CR0.TS
      if ((cpu.state.word('cr0') & both) === both) cpu.raise('NM')
    } else needX87(cpu)
    const fp = fpOf(cpu)
    if (instruction.waits) needNoPending(cpu, fp)
    const address = operandAddress(cpu)
    let loaded = 0n
    if (memory !== undefined) {
      if (memory.access === 'r') loaded = toBig(cpu.loadBytes(address, length))
      else cpu.probeBytes(address, length)
    }
    const outcome = instruction.run(fp, {
      i: op.rm & 7,
      memory: loaded,
      eflags: cpu.state.flags,
      pointers: {
        opcode: () => escapeOpcode(cpu, op),
        cs: cpu.state.selector(SEGMENT.CS),
        ip: cpu.state.offsetInCode(cpu.state.word('rip')),
        ...(memory === undefined ? {} : { data: { ds: cpu.state.selector(op.segment), address } }),
      },
    })
    if (outcome.store !== undefined) {
      if (memory !== undefined) cpu.storeBytes(address, toBytes(outcome.store, length))
      else writeRegister(cpu, 0, 2, outcome.store)
    }
    if (outcome.eflags !== undefined) cpu.state.flags = (cpu.state.flags & ~COMPARED) | outcome.eflags
  }
}

const environment = (cpu: Cpu, op: AssistOp) => ({
  operandSize: op.row.encoding.text.includes('o16') ? (16 as const) : (32 as const),
  mode: cpu.state.isProtected ? ('protected' as const) : ('real' as const),
})
const fxLayout = (cpu: Cpu, wide: boolean) => ({
  wide,
  xmmRegisters: (cpu.state.word('cr4') & CR4.OSFXSR) === 0n ? (0 as const) : cpu.state.half('mode') === 0 ? (16 as const) : (8 as const),
})
const fxImage = (cpu: Cpu): bigint => {
  if (cpu.state.word('cr0') & (CR0.EM | CR0.TS)) cpu.raise('NM')
  const address = operandAddress(cpu)
  if (address & FXSAVE_ALIGN) cpu.raise('GP', 0)
  return address
}
const save = (wide: boolean): AssistRun => (cpu) => {
  const address = fxImage(cpu)
  cpu.storeBytes(address, fxsave(fpOf(cpu), fxLayout(cpu, wide)))
}
const restore = (wide: boolean): AssistRun => (cpu) => {
  const address = fxImage(cpu)
  const layout = fxLayout(cpu, wide)
  if (!fxrstor(fpOf(cpu), layout, cpu.loadBytes(address, fxBytes(layout)))) cpu.raise('GP', 0)
}

/** SSE arithmetic, conversions and comparisons with exact rounding and MXCSR flags. */
function sse(row: Row): AssistRun | undefined {
  const general = row.operands.find((o) => o.kind === 'r' || o.kind === 'rm')
  const assist = sseAssistOf(row.mnemonic, general?.width ?? 0)
  const [destination, source] = row.operands
  if (assist === undefined || destination === undefined || source === undefined) return undefined
  if (row.mnemonic === 'CMPSD' && destination.kind !== 'xmm') return undefined
  const usesMmx = row.operands.some((o) => o.kind === 'mm' || o.kind === 'mm/m')
  return (cpu, op) => {
    needVector(cpu, 'sseFault')
    const fp = fpOf(cpu)
    if (usesMmx) {
      needNoPending(cpu, fp)
      enterMmx(fp)
    }
    const vectorAt = (n: number, mmx: boolean): number => fp.base + (mmx ? mmxOffset(n) : xmmOffset(n))
    const readVector = (n: number, mmx: boolean): bigint => toBig(cpu.state.memory.u8.slice(vectorAt(n, mmx), vectorAt(n, mmx) + (mmx ? 8 : 16)))
    let src: bigint
    if (source.kind === 'r' || source.kind === 'rm') src = readOperand(cpu, op, (source.width / 8) as Size)
    else if (op.isMem) {
      const address = operandAddress(cpu)
      if (row.aligned && address & 15n) cpu.raise('GP', 0)
      src = toBig(cpu.loadBytes(address, source.memWidth / 8))
    } else src = readVector(op.rm, source.kind === 'mm' || source.kind === 'mm/m')
    const isRegister = destination.kind === 'r'
    const isMmx = destination.kind === 'mm'
    const dst = isRegister ? 0n : readVector(op.reg, isMmx)
    const outcome = assist(getMxcsr(fp), dst, src, op.imm & 255)
    setMxcsr(fp, outcome.mxcsr)
    if (outcome.fault) {
      if ((cpu.state.word('cr4') & CR4.OSXMMEXCPT) === 0n) cpu.raise('UD')
      cpu.raise('XM')
    }
    if (outcome.eflags !== undefined) cpu.state.flags = (cpu.state.flags & ~COMPARED) | outcome.eflags
    else if (isRegister) writeRegister(cpu, op.reg, (destination.width / 8) as Size, outcome.result)
    else {
      cpu.state.memory.u8.set(toBytes(outcome.result, isMmx ? 8 : 16), vectorAt(op.reg, isMmx))
      if (isMmx) markMmxWritten(fp, op.reg)
    }
  }
}

const images: Record<string, AssistRun> = {
  FNSTENV: (cpu, op) => {
    needX87(cpu)
    const layout = environment(cpu, op)
    cpu.probeBytes(operandAddress(cpu), environmentBytes(layout))
    cpu.storeBytes(operandAddress(cpu), storeEnvironment(fpOf(cpu), layout))
  },
  FLDENV: (cpu, op) => {
    needX87(cpu)
    needNoPending(cpu, fpOf(cpu))
    const layout = environment(cpu, op)
    loadEnvironment(fpOf(cpu), layout, cpu.loadBytes(operandAddress(cpu), environmentBytes(layout)))
  },
  FNSAVE: (cpu, op) => {
    needX87(cpu)
    const layout = environment(cpu, op)
    cpu.probeBytes(operandAddress(cpu), stateBytes(layout))
    cpu.storeBytes(operandAddress(cpu), saveState(fpOf(cpu), layout))
  },
  FRSTOR: (cpu, op) => {
    needX87(cpu)
    needNoPending(cpu, fpOf(cpu))
    const layout = environment(cpu, op)
    restoreState(fpOf(cpu), layout, cpu.loadBytes(operandAddress(cpu), stateBytes(layout)))
  },
  FXSAVE: save(false),
  FXSAVE64: save(true),
  FXRSTOR: restore(false),
  FXRSTOR64: restore(true),
  LDMXCSR: (cpu) => {
    needVector(cpu, 'sseFault')
    const value = Number(cpu.load(operandAddress(cpu), 4))
    if (value & ~MXCSR_MASK) cpu.raise('GP', 0)
    setMxcsr(fpOf(cpu), value)
  },
  STMXCSR: (cpu) => {
    needVector(cpu, 'sseFault')
    cpu.store(operandAddress(cpu), 4, BigInt(getMxcsr(fpOf(cpu))))
  },
}

function all(): Record<string, AssistRun> {
  const found: Record<string, AssistRun> = { ...images }
  for (const row of ROWS) {
    const run = x87(row) ?? sse(row)
    if (run !== undefined) found[row.form] = run
  }
  return found
}

/** By form. */
export const float: Readonly<Record<string, AssistRun>> = all()

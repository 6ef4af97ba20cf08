/** Register state at power-on, INIT, SIPI and PVH entry (SDM vol. 3, table 10-1; xen-abi: PVH boot state). */
import { REG, type VcpuStart } from '../../base/vcpu.ts'
import type { Cpu } from './cpu.ts'
import { type CpuState, CR0, EFER, UNUSABLE } from './cpu-state.ts'
import { resetFpState } from './fp/state.ts'
import { FLAG } from './isa/row.ts'
import { SEGMENT, STATE } from './state.ts'
import { ATTRIBUTE, refreshMode } from './system/descriptors.ts'
import { refreshFloat } from './system/float.ts'

const REAL_DATA = 0x93
const FLAT_CODE = 0xc09b
const FLAT_DATA = 0xc093
const BUSY_TSS = 0x8b
const LIMIT_4G = 0xffffffff

/** Clears what INIT clears; caches of translations and code are the caller's. */
export function powerOn(cpu: Cpu): void {
  resetRegisters(cpu.state)
  cpu.flushTlb()
}

function resetRegisters(state: CpuState): void {
  state.regs.fill(0n)
  state.regs[REG.rdx] = 0x6fbn
  state.flags = 2
  for (const name of [
    'cr2',
    'cr3',
    'cr4',
    'efer',
    'star',
    'lstar',
    'cstar',
    'sfmask',
    'kernelGsBase',
    'tscAux',
    'gdtBase',
    'idtBase',
  ] as const)
    state.setWord(name, 0n)
  state.setWord('cr0', CR0.ET | CR0.NW | CR0.CD)
  state.setHalf('longPaging', 0)
  state.setHalf('gdtLimit', 0xffff)
  state.setHalf('idtLimit', 0xffff)
  for (let segment = SEGMENT.ES; segment <= SEGMENT.GS; segment++)
    state.setSegment(segment, 0, 0n, 0xffff, REAL_DATA)
  state.setSegment(SEGMENT.LDTR, 0, 0n, 0xffff, UNUSABLE)
  state.setSegment(SEGMENT.TR, 0, 0n, 0xffff, BUSY_TSS)
  state.view.setBigUint64(state.base + STATE.dr + 6 * 8, 0xffff0ff0n, true)
  state.view.setBigUint64(state.base + STATE.dr + 7 * 8, 0x400n, true)
  resetFpState({ view: state.view, base: state.base + STATE.fp })
  refreshFloat(state)
  setMode(state)
}

/** Mode and stack size from CS, SS and EFER, at the highest privilege. Whoever lets the CPU run drops its caches. */
function setMode(state: CpuState): void {
  refreshMode(state)
  state.privilege = 0
}

/** SIPI: real mode at vector * 4096. */
export function startSipi(cpu: Cpu, vector: number): void {
  const { state } = cpu
  state.setSegment(SEGMENT.CS, vector << 8, BigInt(vector << 12), 0xffff, REAL_DATA)
  setMode(state)
  state.setWord('rip', BigInt(vector << 12))
}

/** Flat segments in the wanted mode: PVH entry and VCPUOP_initialise. The vCPU is offline. */
export function startFlat(state: CpuState, start: VcpuStart): void {
  resetRegisters(state)
  const efer = start.efer ?? (start.mode === 64 ? EFER.LME | EFER.LMA : 0n)
  state.setWord('efer', efer)
  state.setWord('cr0', (start.cr0 ?? CR0.PE) | CR0.ET)
  state.setWord('cr3', start.cr3 ?? 0n)
  state.setWord('cr4', start.cr4 ?? 0n)
  state.setHalf('longPaging', start.mode === 64 ? 1 : 0)
  if (start.mode === 16) {
    state.setSegment(SEGMENT.CS, start.cs ?? 0, BigInt((start.cs ?? 0) << 4), 0xffff, REAL_DATA)
  } else {
    const code = start.mode === 64 ? (FLAT_CODE & ~ATTRIBUTE.big) | ATTRIBUTE.long : FLAT_CODE
    state.setSegment(SEGMENT.CS, 0, 0n, LIMIT_4G, code)
    for (const segment of [SEGMENT.ES, SEGMENT.SS, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS])
      state.setSegment(segment, 0, 0n, LIMIT_4G, FLAT_DATA)
    state.setSegment(SEGMENT.TR, 0, 0n, 0x67, BUSY_TSS)
  }
  for (const [name, value] of Object.entries(start.regs ?? {}))
    state.regs[REG[name as keyof typeof REG]] = value
  state.flags = Number(start.rflags ?? 2n) & ~FLAG.VM
  setMode(state)
  state.setInstructionPointer(start.rip)
}

/** The processor's own model-specific registers (SDM vol. 4). Others are asked of the host; unknown ones are #GP. */
import type { Cpu } from '../cpu.ts'
import { EFER } from '../cpu-state.ts'
import { SEGMENT } from '../state.ts'

export const MSR = {
  TSC: 0x10,
  APIC_BASE: 0x1b,
  SPEC_CTRL: 0x48,
  PRED_CMD: 0x49,
  BIOS_SIGN_ID: 0x8b,
  MTRRCAP: 0xfe,
  ARCH_CAPABILITIES: 0x10a,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MCG_CAP: 0x179,
  MCG_STATUS: 0x17a,
  PERF_STATUS: 0x198,
  MISC_ENABLE: 0x1a0,
  PAT: 0x277,
  MTRR_DEF_TYPE: 0x2ff,
  TSC_DEADLINE: 0x6e0,
  EFER: 0xc0000080,
  STAR: 0xc0000081,
  LSTAR: 0xc0000082,
  CSTAR: 0xc0000083,
  SFMASK: 0xc0000084,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
  TSC_AUX: 0xc0000103,
} as const

const isCanonical = (value: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value
const PAT_RESET = 0x0007040600070406n
/** Fast strings and nothing else. */
const MISC_ENABLE_VALUE = 1n
/** Memory type write-back, MTRRs on, fixed ranges off: what a PVH guest finds. */
const MTRR_DEF_TYPE_RESET = 0x806n
/** Eight variable ranges, write-combining allowed. */
const MTRRCAP_VALUE = 0x408n
/** IBRS, STIBP, SSBD, BHI_DIS_S. */
const SPEC_CTRL_BITS = 0x407n
const isMtrr = (index: number): boolean =>
  (index >= 0x200 && index <= 0x20f) ||
  index === 0x250 ||
  index === 0x258 ||
  index === 0x259 ||
  (index >= 0x268 && index <= 0x26f)

/** Registers that are plain storage: they say how memory would be cached, which nothing here depends on. */
export class MsrStore {
  readonly #values = new Map<number, bigint>([
    [MSR.PAT, PAT_RESET],
    [MSR.MTRR_DEF_TYPE, MTRR_DEF_TYPE_RESET],
    // Speculation control: nothing speculates here, the register only remembers.
    [MSR.SPEC_CTRL, 0n],
  ])

  read(cpu: Cpu, index: number): bigint | undefined {
    const { state } = cpu
    switch (index) {
      case MSR.TSC:
        return BigInt(cpu.host.ticks())
      case MSR.EFER:
        return state.word('efer')
      case MSR.STAR:
        return state.word('star')
      case MSR.LSTAR:
        return state.word('lstar')
      case MSR.CSTAR:
        return state.word('cstar')
      case MSR.SFMASK:
        return state.word('sfmask')
      case MSR.FS_BASE:
        return state.segmentBase(SEGMENT.FS)
      case MSR.GS_BASE:
        return state.segmentBase(SEGMENT.GS)
      case MSR.KERNEL_GS_BASE:
        return state.word('kernelGsBase')
      case MSR.TSC_AUX:
        return state.word('tscAux')
      case MSR.SYSENTER_CS:
        return cpu.sysenter.cs
      case MSR.SYSENTER_ESP:
        return cpu.sysenter.esp
      case MSR.SYSENTER_EIP:
        return cpu.sysenter.eip
      case MSR.MTRRCAP:
        return MTRRCAP_VALUE
      case MSR.MISC_ENABLE:
        return MISC_ENABLE_VALUE
      case MSR.BIOS_SIGN_ID:
      case MSR.MCG_CAP:
      case MSR.MCG_STATUS:
      case MSR.PERF_STATUS:
        return 0n
    }
    if (isMtrr(index) || this.#values.has(index)) return this.#values.get(index) ?? 0n
    return cpu.host.rdmsr(index)
  }

  write(cpu: Cpu, index: number, value: bigint): boolean {
    const { state } = cpu
    switch (index) {
      case MSR.EFER: {
        const allowed = EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE
        if ((value & ~allowed) !== 0n) return false
        const before = state.word('efer')
        const paging = state.word('cr0') >> 31n !== 0n
        if (paging && ((before ^ value) & EFER.LME) !== 0n) return false
        state.setWord('efer', (value & ~EFER.LMA) | (before & EFER.LMA))
        if ((before ^ value) & EFER.NXE) cpu.flushTlb()
        return true
      }
      case MSR.STAR:
        state.setWord('star', value)
        return true
      case MSR.LSTAR:
        if (!isCanonical(value)) return false
        state.setWord('lstar', value)
        return true
      case MSR.CSTAR:
        if (!isCanonical(value)) return false
        state.setWord('cstar', value)
        return true
      case MSR.SFMASK:
        state.setWord('sfmask', value & 0xffffffffn)
        return true
      case MSR.FS_BASE:
        if (!isCanonical(value)) return false
        state.setSegmentBase(SEGMENT.FS, value)
        return true
      case MSR.GS_BASE:
        if (!isCanonical(value)) return false
        state.setSegmentBase(SEGMENT.GS, value)
        return true
      case MSR.KERNEL_GS_BASE:
        if (!isCanonical(value)) return false
        state.setWord('kernelGsBase', value)
        return true
      case MSR.TSC_AUX:
        state.setWord('tscAux', value & 0xffffffffn)
        return true
      case MSR.SYSENTER_CS:
        cpu.sysenter.cs = value
        return true
      case MSR.SYSENTER_ESP:
        if (!isCanonical(value)) return false
        cpu.sysenter.esp = value
        return true
      case MSR.SYSENTER_EIP:
        if (!isCanonical(value)) return false
        cpu.sysenter.eip = value
        return true
      case MSR.BIOS_SIGN_ID:
      case MSR.MCG_STATUS:
      case MSR.MISC_ENABLE:
        return true
      case MSR.PAT: {
        // Types 2, 3 and above 7 are reserved.
        for (let n = 0n; n < 8n; n++) {
          const type = (value >> (n * 8n)) & 0xffn
          if (type > 7n || type === 2n || type === 3n) return false
        }
        this.#values.set(index, value)
        return true
      }
      case MSR.PRED_CMD:
        return value <= 1n
      case MSR.SPEC_CTRL:
        if ((value & ~SPEC_CTRL_BITS) !== 0n) return false
        this.#values.set(index, value)
        return true
      case MSR.MTRR_DEF_TYPE:
        this.#values.set(index, value)
        return true
    }
    if (isMtrr(index)) {
      this.#values.set(index, value)
      return true
    }
    return cpu.host.wrmsr(index, value)
  }
}

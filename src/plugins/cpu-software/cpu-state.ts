/**
 * The TypeScript view of a vCPU's state block: registers, flags, segments, control registers.
 *
 * 64-bit values are bigints; this is the slow side (exceptions, system instructions, debugging).
 */
import type { MachineMemory } from '../../base/machine-memory.ts'
import { FLAG } from './isa/row.ts'
import { STATE, TLB_SUPERVISOR, TLB_USER } from './state.ts'

/** Control-register and EFER bits (SDM vol. 3, 2.5 and 2.2.1). */
export const CR0 = {
  PE: 1n,
  MP: 2n,
  EM: 4n,
  TS: 8n,
  ET: 16n,
  NE: 32n,
  WP: 0x10000n,
  AM: 0x40000n,
  NW: 1n << 29n,
  CD: 1n << 30n,
  PG: 1n << 31n,
} as const
export const CR4 = {
  VME: 1n,
  PVI: 2n,
  TSD: 4n,
  DE: 8n,
  PSE: 16n,
  PAE: 32n,
  MCE: 64n,
  PGE: 128n,
  PCE: 256n,
  OSFXSR: 512n,
  OSXMMEXCPT: 1024n,
  UMIP: 2048n,
  FSGSBASE: 1n << 16n,
  PCIDE: 1n << 17n,
  OSXSAVE: 1n << 18n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
} as const
export const EFER = { SCE: 1n, LME: 0x100n, LMA: 0x400n, NXE: 0x800n } as const

const ARITHMETIC = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF

/** Attributes bit that says a segment register holds nothing usable. */
export const UNUSABLE = 1 << 16

type Word64 = { [K in keyof typeof STATE]: K }[keyof typeof STATE]

export class CpuState {
  readonly memory: MachineMemory
  /** Address of the state block in machine memory. */
  readonly base: number
  readonly view: DataView<SharedArrayBuffer>
  readonly regs: BigUint64Array<SharedArrayBuffer>

  constructor(memory: MachineMemory, base: number) {
    this.memory = memory
    this.base = base
    this.view = memory.view
    this.regs = new BigUint64Array(memory.buffer, base + STATE.gpr, 16)
  }

  word(name: Word64): bigint {
    return this.view.getBigUint64(this.base + STATE[name], true)
  }
  setWord(name: Word64, value: bigint): void {
    this.view.setBigUint64(this.base + STATE[name], value, true)
  }
  half(name: Word64): number {
    return this.view.getUint32(this.base + STATE[name], true)
  }
  setHalf(name: Word64, value: number): void {
    this.view.setUint32(this.base + STATE[name], value, true)
  }

  get cpl(): number {
    return this.half('cpl')
  }
  get isLongMode(): boolean {
    return (this.word('efer') & EFER.LMA) !== 0n
  }
  get isProtected(): boolean {
    return (this.word('cr0') & CR0.PE) !== 0n
  }
  get codeSize(): 64 | 32 | 16 {
    const mode = this.half('mode')
    return mode === 0 ? 64 : mode === 1 ? 32 : 16
  }

  /** RFLAGS as PUSHF would show it. */
  get flags(): number {
    const result = this.view.getBigInt64(this.base + STATE.flagResult, true)
    const carries = this.word('flagCarries')
    const fixes = this.word('flagFixes')
    let flags = this.half('systemFlags') | 2
    if (carries >> 63n !== 0n) flags |= FLAG.CF
    if (((carries >> 63n) ^ (carries >> 62n)) & 1n) flags |= FLAG.OF
    if (result === 0n) flags |= FLAG.ZF
    if ((BigInt.asUintN(64, result) ^ fixes) >> 63n !== 0n) flags |= FLAG.SF
    if (fixes & 16n) flags |= FLAG.AF
    let parity = Number(result & 255n)
    parity ^= parity >> 4
    parity ^= parity >> 2
    parity ^= parity >> 1
    if (((parity & 1) === 0) !== ((fixes & 4n) !== 0n)) flags |= FLAG.PF
    return flags
  }
  set flags(flags: number) {
    const zf = (flags & FLAG.ZF) !== 0
    const pf = (flags & FLAG.PF) !== 0
    const cf = (flags & FLAG.CF) !== 0
    const of = (flags & FLAG.OF) !== 0
    this.setWord('flagResult', zf ? 0n : 1n)
    // Result 0 has even parity, result 1 odd.
    const fixes = (zf !== pf ? 4n : 0n) | (flags & FLAG.AF ? 16n : 0n) | (flags & FLAG.SF ? 1n << 63n : 0n)
    this.setWord('flagFixes', fixes)
    this.setWord('flagCarries', (cf ? 1n << 63n : 0n) | (cf !== of ? 1n << 62n : 0n))
    this.setHalf('systemFlags', flags & ~(ARITHMETIC | 2))
  }
  get interruptsEnabled(): boolean {
    return (this.half('systemFlags') & FLAG.IF) !== 0
  }

  selector(segment: number): number {
    return this.view.getUint32(this.base + STATE.segSelector + segment * 4, true)
  }
  segmentBase(segment: number): bigint {
    return this.view.getBigUint64(this.base + STATE.segBase + segment * 8, true)
  }
  setSegmentBase(segment: number, value: bigint): void {
    this.view.setBigUint64(this.base + STATE.segBase + segment * 8, value, true)
  }
  segmentLimit(segment: number): number {
    return this.view.getUint32(this.base + STATE.segLimit + segment * 4, true)
  }
  segmentAttributes(segment: number): number {
    return this.view.getUint32(this.base + STATE.segAttributes + segment * 4, true)
  }
  /** Loads the hidden part as given; `updateMode` must follow for CS and SS. */
  setSegment(segment: number, selector: number, base: bigint, limit: number, attributes: number): void {
    this.view.setUint32(this.base + STATE.segSelector + segment * 4, selector, true)
    this.setSegmentBase(segment, base)
    this.view.setUint32(this.base + STATE.segLimit + segment * 4, limit, true)
    this.view.setUint32(this.base + STATE.segAttributes + segment * 4, attributes, true)
  }

  /** Sets the privilege level and with it the TLB in use. */
  set privilege(cpl: number) {
    this.setHalf('cpl', cpl)
    this.setHalf('tlb', this.base + (cpl === 3 ? TLB_USER : TLB_SUPERVISOR))
  }

  /** Instruction pointer relative to CS, from a linear address. */
  offsetInCode(linear: bigint): bigint {
    return this.half('mode') === 0 ? linear : (linear - this.segmentBase(1)) & 0xffffffffn
  }
  /** Goes to CS:offset. */
  setInstructionPointer(offset: bigint): void {
    this.setWord(
      'rip',
      this.half('mode') === 0 ? BigInt.asUintN(64, offset) : (offset + this.segmentBase(1)) & 0xffffffffn,
    )
  }
}

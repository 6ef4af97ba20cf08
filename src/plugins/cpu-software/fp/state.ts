/**
 * Layout of the floating-point part of a CPU's state block, and access to it: XMM registers, the x87 register
 * stack with its words, MXCSR. Intel SDM volume 1, section 8.1. MMX registers are the significands of the x87
 * registers (`mmxOffset`), which is why those lie by physical number.
 */

/** Byte offsets from `FpCpu.base`, which must be 16-byte aligned. */
export const FP_STATE = {
  /** XMM0-15, 16 bytes each. */
  xmm: 0,
  /** Physical x87 registers 0-7, 16 bytes each: 10 used, little-endian. */
  st: 256,
  /** u32 */
  mxcsr: 384,
  /** u16: control word */
  fcw: 388,
  /** u16: status word, TOP and B included */
  fsw: 390,
  /** u8: abridged tag word; bit i set = physical register i is in use */
  ftw: 392,
  /** u16: last opcode, 11 bits */
  fop: 394,
  /** u16: last instruction's CS, last operand's DS */
  fcs: 396,
  fds: 398,
  /** u64: last instruction pointer, last data pointer */
  fip: 400,
  fdp: 408,
  bytes: 416,
} as const

/** The state block as the floating-point code sees it. */
export interface FpCpu {
  readonly view: DataView
  readonly base: number
}

export const MXCSR_DEFAULT = 0x1f80
/** MXCSR bits that may be set; others are #GP for LDMXCSR and FXRSTOR. */
export const MXCSR_MASK = 0xffff
export const FCW_DEFAULT = 0x37f

/** Status word bits beside the exceptions. */
export const SF = 0x40
export const ES = 0x80
export const C0 = 0x100
export const C1 = 0x200
export const C2 = 0x400
export const C3 = 0x4000
export const BUSY = 0x8000
const TOP_SHIFT = 11

export const xmmOffset = (i: number): number => FP_STATE.xmm + 16 * i
export const physicalOffset = (i: number): number => FP_STATE.st + 16 * i
/** MMi is the significand of physical register i. */
export const mmxOffset = physicalOffset

export const getFcw = (cpu: FpCpu): number => cpu.view.getUint16(cpu.base + FP_STATE.fcw, true)
export const setFcw = (cpu: FpCpu, value: number): void =>
  cpu.view.setUint16(cpu.base + FP_STATE.fcw, value, true)
export const getFsw = (cpu: FpCpu): number => cpu.view.getUint16(cpu.base + FP_STATE.fsw, true)
export const setFsw = (cpu: FpCpu, value: number): void =>
  cpu.view.setUint16(cpu.base + FP_STATE.fsw, value, true)
export const getFtw = (cpu: FpCpu): number => cpu.view.getUint8(cpu.base + FP_STATE.ftw)
export const setFtw = (cpu: FpCpu, value: number): void => cpu.view.setUint8(cpu.base + FP_STATE.ftw, value)
export const getMxcsr = (cpu: FpCpu): number => cpu.view.getUint32(cpu.base + FP_STATE.mxcsr, true)
export const setMxcsr = (cpu: FpCpu, value: number): void =>
  cpu.view.setUint32(cpu.base + FP_STATE.mxcsr, value, true)

export const getTop = (cpu: FpCpu): number => (getFsw(cpu) >> TOP_SHIFT) & 7
export function setTop(cpu: FpCpu, top: number): void {
  setFsw(cpu, (getFsw(cpu) & ~(7 << TOP_SHIFT)) | ((top & 7) << TOP_SHIFT))
}

/** Physical number of ST(i). */
export const physical = (cpu: FpCpu, i: number): number => (getTop(cpu) + i) & 7

export const isEmpty = (cpu: FpCpu, i: number): boolean => ((getFtw(cpu) >> physical(cpu, i)) & 1) === 0

export function setInUse(cpu: FpCpu, i: number, inUse: boolean): void {
  const bit = 1 << physical(cpu, i)
  setFtw(cpu, inUse ? getFtw(cpu) | bit : getFtw(cpu) & ~bit)
}

export const getSt = (cpu: FpCpu, i: number): bigint => getPhysical(cpu, physical(cpu, i))

/** Writes ST(i) and marks it as in use. */
export function setSt(cpu: FpCpu, i: number, value: bigint): void {
  setPhysical(cpu, physical(cpu, i), value)
  setInUse(cpu, i, true)
}

export function getPhysical(cpu: FpCpu, i: number): bigint {
  const at = cpu.base + physicalOffset(i)
  return cpu.view.getBigUint64(at, true) | (BigInt(cpu.view.getUint16(at + 8, true)) << 64n)
}

export function setPhysical(cpu: FpCpu, i: number, value: bigint): void {
  const at = cpu.base + physicalOffset(i)
  cpu.view.setBigUint64(at, BigInt.asUintN(64, value), true)
  cpu.view.setUint16(at + 8, Number(value >> 64n), true)
}

/** ES and B follow from the exception bits and their masks; call after either changed. */
export function updateErrorSummary(cpu: FpCpu): void {
  const fsw = getFsw(cpu)
  const pending = (fsw & ~getFcw(cpu) & 0x3f) !== 0
  setFsw(cpu, pending ? fsw | ES | BUSY : fsw & ~(ES | BUSY))
}

/** An unmasked exception waits: every waiting x87 instruction and every MMX one must raise #MF (vector 16) instead. */
export const hasPendingException = (cpu: FpCpu): boolean => (getFsw(cpu) & ES) !== 0

/** Before any MMX instruction but EMMS, even one that then faults with #XM: TOP becomes 0 and all registers count as in use (section 9.5.1). */
export function enterMmx(cpu: FpCpu): void {
  setTop(cpu, 0)
  setFtw(cpu, 0xff)
}

/** After an MMX instruction wrote MMi: sign and exponent of the aliased x87 register become all ones. */
export function markMmxWritten(cpu: FpCpu, i: number): void {
  cpu.view.setUint16(cpu.base + physicalOffset(i) + 8, 0xffff, true)
}

/** EMMS: as any MMX instruction, but all registers are empty afterwards. */
export function emms(cpu: FpCpu): void {
  setTop(cpu, 0)
  setFtw(cpu, 0)
}

/** Power-up and INIT values: as FNINIT, with all registers zero and MXCSR's default. */
export function resetFpState(cpu: FpCpu): void {
  for (let at = 0; at < FP_STATE.bytes; at++) cpu.view.setUint8(cpu.base + at, 0)
  setFcw(cpu, FCW_DEFAULT)
  setMxcsr(cpu, MXCSR_DEFAULT)
}

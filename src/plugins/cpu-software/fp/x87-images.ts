/**
 * Memory images of the floating-point state: FNSTENV FLDENV FNSAVE FRSTOR in their four layouts, FXSAVE FXRSTOR in
 * both of theirs. Intel SDM volume 1, sections 8.1.10 and 10.5; figures 8-9 to 8-12. As in x87.ts, the caller has
 * checked #NM and, for loads, #MF (`hasPendingException`), and that a destination can be written.
 */

import { FINITE, f80, unpack, x87Context, ZERO } from './format.ts'
import {
  FCW_DEFAULT,
  FP_STATE,
  type FpCpu,
  getFcw,
  getFsw,
  getFtw,
  getMxcsr,
  getPhysical,
  getSt,
  MXCSR_MASK,
  physical,
  setFcw,
  setFsw,
  setFtw,
  setMxcsr,
  setPhysical,
  updateErrorSummary,
  xmmOffset,
} from './state.ts'
import { initialise, writableFcw } from './x87-control.ts'

export interface EnvironmentLayout {
  readonly operandSize: 16 | 32
  /** Real and virtual-8086 mode keep linear addresses instead of selector and offset. */
  readonly mode: 'protected' | 'real'
}

export const environmentBytes = (layout: EnvironmentLayout): 14 | 28 => (layout.operandSize === 16 ? 14 : 28)
const REGISTER_BYTES = 10
export const stateBytes = (layout: EnvironmentLayout): number => environmentBytes(layout) + 8 * REGISTER_BYTES

/** FNSTENV: the image; afterwards all exceptions are masked. */
export function storeEnvironment(cpu: FpCpu, layout: EnvironmentLayout): Uint8Array {
  const image = new Uint8Array(environmentBytes(layout))
  writeEnvironment(cpu, layout, image)
  setFcw(cpu, getFcw(cpu) | 0x3f)
  updateErrorSummary(cpu)
  return image
}

/** FNSAVE: the image; afterwards as after FNINIT. */
export function saveState(cpu: FpCpu, layout: EnvironmentLayout): Uint8Array {
  const image = new Uint8Array(stateBytes(layout))
  writeEnvironment(cpu, layout, image)
  for (let i = 0; i < 8; i++) {
    copyRegister(getSt(cpu, i), new DataView(image.buffer, environmentBytes(layout) + REGISTER_BYTES * i))
  }
  initialise(cpu)
  return image
}

function copyRegister(value: bigint, to: DataView): void {
  to.setBigUint64(0, BigInt.asUintN(64, value), true)
  to.setUint16(8, Number(value >> 64n), true)
}

function readRegister(from: DataView): bigint {
  return from.getBigUint64(0, true) | (BigInt(from.getUint16(8, true)) << 64n)
}

/** Fields in the order of the image; 16-bit layouts keep the low halves. */
function writeEnvironment(cpu: FpCpu, layout: EnvironmentLayout, image: Uint8Array): void {
  const { view, base } = cpu
  const fip = Number(view.getBigUint64(base + FP_STATE.fip, true) & 0xffff_ffffn)
  const fdp = Number(view.getBigUint64(base + FP_STATE.fdp, true) & 0xffff_ffffn)
  const fcs = view.getUint16(base + FP_STATE.fcs, true)
  const fds = view.getUint16(base + FP_STATE.fds, true)
  const fop = view.getUint16(base + FP_STATE.fop, true)
  const small = layout.operandSize === 16
  const unused = 0xffff_0000
  const words = [getFcw(cpu) | unused, getFsw(cpu) | unused, fullTagWord(cpu) | unused]
  if (layout.mode === 'protected') {
    words.push(fip, small ? fcs : fcs | (fop << 16), fdp, fds | unused)
  } else {
    const ip = (fcs << 4) + fip
    const dp = (fds << 4) + fdp
    words.push(
      ip | (small ? 0 : unused),
      highPart(ip, small) | fop,
      dp | (small ? 0 : unused),
      highPart(dp, small),
    )
  }
  const to = new DataView(image.buffer)
  for (const [i, word] of words.entries()) {
    if (small) to.setUint16(2 * i, word & 0xffff, true)
    else to.setUint32(4 * i, word >>> 0, true)
  }
}

/** Linear address bits from 16 up, at bit 12 of their field. */
const highPart = (address: number, small: boolean): number =>
  ((address >>> 16) & (small ? 0xf : 0xffff)) << 12

/** Two bits per physical register: 0 valid, 1 zero, 2 special, 3 empty. */
function fullTagWord(cpu: FpCpu): number {
  const c = x87Context(FCW_DEFAULT)
  let tags = 0
  for (let i = 0; i < 8; i++) {
    const x = unpack(c, f80, getPhysical(cpu, i))
    const content = x.kind === ZERO ? 1 : x.kind === FINITE && !x.denormal ? 0 : 2
    tags |= (((getFtw(cpu) >> i) & 1) === 0 ? 3 : content) << (2 * i)
  }
  return tags
}

/** FLDENV. GUEST: any bytes are a valid image; reserved control bits are dropped. */
export function loadEnvironment(cpu: FpCpu, layout: EnvironmentLayout, image: Uint8Array): void {
  const from = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const small = layout.operandSize === 16
  const word = (i: number): number => (small ? from.getUint16(2 * i, true) : from.getUint32(4 * i, true))
  setFcw(cpu, writableFcw(word(0)))
  setFsw(cpu, word(1) & 0xffff)
  setFtw(cpu, abridged(word(2)))
  const { view, base } = cpu
  const protectedMode = layout.mode === 'protected'
  const address = (low: number, high: number): bigint =>
    BigInt(protectedMode ? low : (low & 0xffff) + ((high >>> 12) & 0xffff) * 65536)
  view.setBigUint64(base + FP_STATE.fip, address(word(3), word(4)), true)
  view.setBigUint64(base + FP_STATE.fdp, address(word(5), word(6)), true)
  view.setUint16(base + FP_STATE.fcs, protectedMode ? word(4) & 0xffff : 0, true)
  view.setUint16(base + FP_STATE.fds, protectedMode ? word(6) & 0xffff : 0, true)
  const fop = protectedMode ? word(4) >>> 16 : word(4)
  view.setUint16(base + FP_STATE.fop, small && protectedMode ? 0 : fop & 0x7ff, true)
  updateErrorSummary(cpu)
}

function abridged(tags: number): number {
  let inUse = 0
  for (let i = 0; i < 8; i++) if (((tags >> (2 * i)) & 3) !== 3) inUse |= 1 << i
  return inUse
}

/** FRSTOR */
export function restoreState(cpu: FpCpu, layout: EnvironmentLayout, image: Uint8Array): void {
  loadEnvironment(cpu, layout, image)
  for (let i = 0; i < 8; i++) {
    const at = image.byteOffset + environmentBytes(layout) + REGISTER_BYTES * i
    setPhysical(cpu, physical(cpu, i), readRegister(new DataView(image.buffer, at, REGISTER_BYTES)))
  }
}

export interface FxLayout {
  /** REX.W: 64-bit instruction and data pointers, no selectors. */
  readonly wide: boolean
  /** 16 in 64-bit mode, 8 outside, 0 (and no MXCSR) where CR4.OSFXSR is clear. */
  readonly xmmRegisters: 0 | 8 | 16
}

/** Bytes of the 512 that FXSAVE writes and FXRSTOR reads; the rest stays as it is. */
export const fxBytes = (layout: FxLayout): number => 160 + 16 * layout.xmmRegisters

/** FXSAVE: the leading `fxBytes` of the image. Changes nothing, waits for nothing. */
export function fxsave(cpu: FpCpu, layout: FxLayout): Uint8Array {
  const { view, base } = cpu
  const image = new Uint8Array(fxBytes(layout))
  const to = new DataView(image.buffer)
  to.setUint16(0, getFcw(cpu), true)
  to.setUint16(2, getFsw(cpu), true)
  to.setUint8(4, getFtw(cpu))
  to.setUint16(6, view.getUint16(base + FP_STATE.fop, true), true)
  for (const [at, pointer, selector] of [
    [8, FP_STATE.fip, FP_STATE.fcs],
    [16, FP_STATE.fdp, FP_STATE.fds],
  ] as const) {
    to.setBigUint64(at, view.getBigUint64(base + pointer, true), true)
    if (!layout.wide) to.setUint32(at + 4, view.getUint16(base + selector, true), true)
  }
  if (layout.xmmRegisters > 0) {
    to.setUint32(24, getMxcsr(cpu), true)
    to.setUint32(28, MXCSR_MASK, true)
  }
  for (let i = 0; i < 8; i++) copyRegister(getSt(cpu, i), new DataView(image.buffer, 32 + 16 * i))
  for (let i = 0; i < 2 * layout.xmmRegisters; i++) {
    to.setBigUint64(160 + 8 * i, view.getBigUint64(base + xmmOffset(0) + 8 * i, true), true)
  }
  return image
}

/** FXRSTOR from the leading `fxBytes` of the image; false if MXCSR's reserved bits demand #GP(0), nothing changed. */
export function fxrstor(cpu: FpCpu, layout: FxLayout, image: Uint8Array): boolean {
  const { view, base } = cpu
  const from = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const mxcsr = from.getUint32(24, true)
  if (layout.xmmRegisters > 0 && (mxcsr & ~MXCSR_MASK) !== 0) return false
  setFcw(cpu, writableFcw(from.getUint16(0, true)))
  setFsw(cpu, from.getUint16(2, true))
  setFtw(cpu, from.getUint8(4))
  view.setUint16(base + FP_STATE.fop, from.getUint16(6, true) & 0x7ff, true)
  for (const [at, pointer, selector] of [
    [8, FP_STATE.fip, FP_STATE.fcs],
    [16, FP_STATE.fdp, FP_STATE.fds],
  ] as const) {
    const value = layout.wide ? from.getBigUint64(at, true) : BigInt(from.getUint32(at, true))
    view.setBigUint64(base + pointer, value, true)
    view.setUint16(base + selector, layout.wide ? 0 : from.getUint16(at + 4, true), true)
  }
  for (let i = 0; i < 8; i++) {
    const at = image.byteOffset + 32 + 16 * i
    setPhysical(cpu, physical(cpu, i), readRegister(new DataView(image.buffer, at, REGISTER_BYTES)))
  }
  if (layout.xmmRegisters > 0) setMxcsr(cpu, mxcsr)
  for (let i = 0; i < 2 * layout.xmmRegisters; i++) {
    view.setBigUint64(base + xmmOffset(0) + 8 * i, from.getBigUint64(160 + 8 * i, true), true)
  }
  updateErrorSummary(cpu)
  return true
}

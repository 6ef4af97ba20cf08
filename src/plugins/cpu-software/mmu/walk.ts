/**
 * Address translation when four-level paging is off: none, two-level and PAE (SDM vol. 3, 4.3 and 4.4).
 * Rare (early boot, 32-bit guests), so in TypeScript; the interpreter's own walk serves 64-bit mode.
 */
import type { Cpu } from '../cpu.ts'
import { CR0, CR4, EFER } from '../cpu-state.ts'
import { EXCEPTION } from '../read/vocabulary.ts'
import { ACCESS, PF, PTE, TRANSLATED } from './emit-mmu.ts'

const WRITABLE = 2
const EXECUTABLE = 4

/** Translates `faultAddress`: host page address with WRITABLE and EXECUTABLE in its low bits, or a TRANSLATED. */
export function walkLegacy(cpu: Cpu, kind: number): number {
  const { state } = cpu
  const linear = Number(state.word('faultAddress') & 0xffffffffn)
  const cr0 = state.word('cr0')
  if ((cr0 & CR0.PG) === 0n) return land(cpu, linear, WRITABLE | EXECUTABLE)
  const user = state.cpl === 3
  const cr4 = state.word('cr4')
  const nxe = (state.word('efer') & EFER.NXE) !== 0n
  const pae = (cr4 & CR4.PAE) !== 0n
  const fault = (bits: number): number => {
    const fetch = kind === ACCESS.execute && ((nxe && pae) || (cr4 & CR4.SMEP) !== 0n) ? PF.fetch : 0
    cpu.recordFault(
      EXCEPTION.PF,
      bits | (kind === ACCESS.write ? PF.write : 0) | (user ? PF.user : 0) | fetch,
    )
    return TRANSLATED.fault
  }
  const { view } = state
  let rights = PTE.writable | PTE.user
  let noExecute = false
  let table: number
  let shift: number
  const bits = pae ? 9 : 10
  if (pae) {
    const pointer = state.memory.hostOffset(Number(state.word('cr3') & 0xffffffe0n) + (linear >>> 30) * 8)
    if (pointer < 0) return fault(0)
    const entry = view.getBigUint64(pointer, true)
    if ((entry & 1n) === 0n) return fault(0)
    table = Number(entry & 0xffffff000n)
    shift = 21
  } else {
    table = Number(state.word('cr3') & 0xfffff000n)
    shift = 22
  }
  for (;;) {
    const index = (linear >>> shift) & ((1 << bits) - 1)
    const at = state.memory.hostOffset(table + index * (pae ? 8 : 4))
    if (at < 0) return fault(0)
    const entry = pae ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true))
    const low = Number(entry & 0xfffn)
    if ((low & PTE.present) === 0) return fault(0)
    if (pae && entry >> 63n !== 0n && !nxe) return fault(PF.present | PF.reserved)
    rights &= low
    noExecute ||= pae && entry >> 63n !== 0n
    const large = shift > 12 && (low & PTE.large) !== 0 && (pae || (cr4 & CR4.PSE) !== 0n)
    if (shift > 12 && !large) {
      if ((low & PTE.accessed) === 0) view.setUint8(at, low | PTE.accessed)
      table = Number(entry & 0xffffff000n)
      shift = 12
      continue
    }
    const mayWrite = (rights & PTE.writable) !== 0 || (!user && (cr0 & CR0.WP) === 0n)
    const mayExecute = !(nxe && noExecute) && !(!user && (rights & PTE.user) !== 0 && (cr4 & CR4.SMEP) !== 0n)
    const smap =
      !user &&
      (rights & PTE.user) !== 0 &&
      (cr4 & CR4.SMAP) !== 0n &&
      kind !== ACCESS.execute &&
      (state.half('systemFlags') & (1 << 18)) === 0
    const denied =
      (user && (rights & PTE.user) === 0) ||
      (kind === ACCESS.write && !mayWrite) ||
      (kind === ACCESS.execute && !mayExecute) ||
      smap
    if (denied) return fault(PF.present)
    const marks = PTE.accessed | (kind === ACCESS.write ? PTE.dirty : 0)
    if ((low & marks) !== marks) view.setUint8(at, (low | marks) & 0xff)
    const dirty = kind === ACCESS.write || (low & PTE.dirty) !== 0
    const mask = 2 ** shift - 1
    const frame = Number(entry & 0xffffff000n)
    const page = frame - (frame & mask) + (linear & mask)
    return land(cpu, page, (mayWrite && dirty ? WRITABLE : 0) | (mayExecute ? EXECUTABLE : 0))
  }
}

function land(cpu: Cpu, gpa: number, bits: number): number {
  const host = cpu.state.memory.hostOffset(gpa)
  if (host < 0) {
    cpu.state.setWord('mmioAddress', BigInt(gpa))
    return TRANSLATED.device
  }
  // The low bits must not look like a TRANSLATED.
  return (Math.floor(host / 4096) * 4096 + (bits | (1 << 3))) | 0
}

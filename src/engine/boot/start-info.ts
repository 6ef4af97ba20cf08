/**
 * hvm_start_info, version 1: what a PVH guest is told in memory (xen/include/public/arch-x86/hvm/start_info.h).
 * The structure, its lists and the command line are built as one piece:
 *
 *   start_info (56) | memory map (24 each) | module list (32 each) | command line, NUL
 */
import type { MemoryRange } from './e820.ts'

const XEN_HVM_START_MAGIC_VALUE = 0x336ec578
const START_INFO_BYTES = 56
const MEMMAP_ENTRY_BYTES = 24
const MODLIST_ENTRY_BYTES = 32

export interface StartInfoInput {
  /** UTF-8, without NUL. */
  readonly cmdline: Uint8Array
  readonly memoryMap: readonly MemoryRange[]
  /** Physical address of the RSDP. */
  readonly rsdp: number
  /** Module 0 of a Linux guest is its initramfs. */
  readonly modules: readonly { readonly start: number; readonly size: number }[]
}

export function startInfoSize(input: {
  cmdline: Uint8Array
  memoryMap: ArrayLike<unknown>
  modules: ArrayLike<unknown>
}): number {
  const lists = input.memoryMap.length * MEMMAP_ENTRY_BYTES + input.modules.length * MODLIST_ENTRY_BYTES
  return START_INFO_BYTES + lists + input.cmdline.length + 1
}

/** The bytes for guest-physical address `at`. */
export function buildStartInfo(at: number, input: StartInfoInput): Uint8Array {
  const bytes = new Uint8Array(startInfoSize(input))
  const view = new DataView(bytes.buffer)
  const u64 = (offset: number, value: number): void => view.setBigUint64(offset, BigInt(value), true)
  const memmap = START_INFO_BYTES
  const modlist = memmap + input.memoryMap.length * MEMMAP_ENTRY_BYTES
  const cmdline = modlist + input.modules.length * MODLIST_ENTRY_BYTES

  view.setUint32(0, XEN_HVM_START_MAGIC_VALUE, true)
  view.setUint32(4, 1, true) // version
  view.setUint32(8, 0, true) // flags: neither privileged nor the initial domain
  view.setUint32(12, input.modules.length, true)
  u64(16, input.modules.length === 0 ? 0 : at + modlist)
  u64(24, at + cmdline)
  u64(32, input.rsdp)
  u64(40, at + memmap)
  view.setUint32(48, input.memoryMap.length, true)

  input.memoryMap.forEach((range, i) => {
    const entry = memmap + i * MEMMAP_ENTRY_BYTES
    u64(entry, range.start)
    u64(entry + 8, range.size)
    view.setUint32(entry + 16, range.type, true)
  })
  // A module's command line address stays 0: xl has no way to give one.
  input.modules.forEach((module, i) => {
    u64(modlist + i * MODLIST_ENTRY_BYTES, module.start)
    u64(modlist + i * MODLIST_ENTRY_BYTES + 8, module.size)
  })
  bytes.set(input.cmdline, cmdline)
  return bytes
}

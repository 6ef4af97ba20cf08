/**
 * What a PVH guest is told in memory: hvm_start_info version 1 with its lists and the command line, built as one
 * piece (xen/include/public/arch-x86/hvm/start_info.h):
 *
 *   start_info | memory map | module list | command line, NUL
 */
import {
  hvm_memmap_table_entry,
  hvm_modlist_entry,
  hvm_start_info,
  XEN_HVM_START_MAGIC_VALUE,
} from '../../xen/abi/arch-x86/hvm/start_info.ts'
import type { MemoryRange } from './e820.ts'

export interface StartInfoInput {
  /** UTF-8, without NUL. */
  readonly cmdline: Uint8Array
  readonly memoryMap: readonly MemoryRange[]
  /** Physical address of the RSDP. */
  readonly rsdp: number
  /** Module 0 of a Linux guest is its initramfs. */
  readonly modules: readonly { readonly start: number; readonly size: number }[]
}

/** Sizes need the lists' lengths only. */
type Lengths = { readonly cmdline: Uint8Array } & Record<'memoryMap' | 'modules', { readonly length: number }>

function layOut(input: Lengths) {
  const memmap = hvm_start_info.size
  const modlist = memmap + input.memoryMap.length * hvm_memmap_table_entry.size
  const cmdline = modlist + input.modules.length * hvm_modlist_entry.size
  return { memmap, modlist, cmdline, end: cmdline + input.cmdline.length + 1 }
}

/** Bytes that `buildStartInfo` will need. */
export function startInfoSize(input: Lengths): number {
  return layOut(input).end
}

/** The bytes for guest-physical address `at`. */
export function buildStartInfo(at: number, input: StartInfoInput): Uint8Array {
  const layout = layOut(input)
  const bytes = new Uint8Array(layout.end)
  const view = new DataView(bytes.buffer)
  // Flags stay 0: the guest is neither privileged nor the initial domain.
  hvm_start_info.x64.write(view, 0, {
    magic: XEN_HVM_START_MAGIC_VALUE,
    version: 1,
    nr_modules: input.modules.length,
    modlist_paddr: input.modules.length === 0 ? 0n : BigInt(at + layout.modlist),
    cmdline_paddr: BigInt(at + layout.cmdline),
    rsdp_paddr: BigInt(input.rsdp),
    memmap_paddr: BigInt(at + layout.memmap),
    memmap_entries: input.memoryMap.length,
  })
  for (const [i, range] of input.memoryMap.entries()) {
    const entry = { addr: BigInt(range.start), size: BigInt(range.size), type: range.type }
    hvm_memmap_table_entry.x64.write(view, layout.memmap + i * hvm_memmap_table_entry.size, entry)
  }
  // A module's command line stays empty: xl has no way to give one.
  for (const [i, module] of input.modules.entries()) {
    const entry = { paddr: BigInt(module.start), size: BigInt(module.size) }
    hvm_modlist_entry.x64.write(view, layout.modlist + i * hvm_modlist_entry.size, entry)
  }
  bytes.set(input.cmdline, layout.cmdline)
  return bytes
}

/** arch-x86/hvm/start_info.h: what a PVH guest finds at EBX. */
import { struct, u32, u64 } from '../../struct.ts'

const H = 'arch-x86/hvm/start_info.h'

export const XEN_HVM_START_MAGIC_VALUE = 0x336ec578

export const hvm_start_info = struct('hvm_start_info', H, {
  magic: u32('0x336ec578'),
  version: u32('1: the memory map is there'),
  flags: u32('SIF_*'),
  nr_modules: u32(),
  modlist_paddr: u64('list of hvm_modlist_entry'),
  cmdline_paddr: u64('NUL ended'),
  rsdp_paddr: u64(),
  memmap_paddr: u64('list of hvm_memmap_table_entry'),
  memmap_entries: u32(),
  reserved: u32(),
})
export const hvm_modlist_entry = struct('hvm_modlist_entry', H, {
  paddr: u64(),
  size: u64('bytes'),
  cmdline_paddr: u64(),
  reserved: u64(),
})
export const hvm_memmap_table_entry = struct('hvm_memmap_table_entry', H, {
  addr: u64(),
  size: u64('bytes'),
  type: u32('XEN_HVM_MEMMAP_TYPE_*'),
  reserved: u32(),
})

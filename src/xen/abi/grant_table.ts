/** grant_table.h: version 1 grant entries and the operations on them. Version 2 tables are not offered. */
import { constants, handle, i16, struct, u16, u32, u64, ulong, union } from './struct.ts'

const H = 'grant_table.h'

export const GNTTABOP = constants('GNTTABOP', {
  map_grant_ref: 0,
  unmap_grant_ref: 1,
  setup_table: 2,
  dump_table: 3,
  transfer: 4,
  copy: 5,
  query_size: 6,
  unmap_and_replace: 7,
  set_version: 8,
  get_status_frames: 9,
  get_version: 10,
  swap_grant_ref: 11,
  cache_flush: 12,
})

/** Bits of `grant_entry_v1.flags`. */
export const GTF = constants('GTF', {
  invalid: 0,
  permit_access: 1,
  accept_transfer: 2,
  transitive: 3,
  type_mask: 3,
  readonly: 4,
  reading: 8,
  writing: 16,
  PWT: 32,
  PCD: 64,
  PAT: 128,
  sub_page: 256,
})

export const GNTST = constants('GNTST', {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  bad_dev_addr: -6,
  no_device_space: -7,
  permission_denied: -8,
  bad_page: -9,
  bad_copy_arg: -10,
  address_too_big: -11,
  eagain: -12,
  no_space: -13,
})

export const GNTMAP = constants('GNTMAP', { device_map: 1, host_map: 2, readonly: 4 })
export const GNTCOPY = constants('GNTCOPY', { source_gref: 1, dest_gref: 2 })

export const GNTTAB_RESERVED_CONSOLE = 0
export const GNTTAB_RESERVED_XENSTORE = 1

export const grant_entry_v1 = struct('grant_entry_v1', H, {
  flags: u16('GTF_*'),
  domid: u16('domain allowed to map'),
  frame: u32('gfn granted'),
})
/** Entries in one 4 KiB frame of the table. */
export const GRANTS_PER_FRAME = 4096 / grant_entry_v1.size

export const gnttab_map_grant_ref = struct('gnttab_map_grant_ref', H, {
  host_addr: u64('where'),
  flags: u32('GNTMAP_*'),
  ref: u32(),
  dom: u16('who granted'),
  status: i16('out: GNTST_*'),
  handle: u32('out'),
  dev_bus_addr: u64('out'),
})
export const gnttab_unmap_grant_ref = struct('gnttab_unmap_grant_ref', H, {
  host_addr: u64(),
  dev_bus_addr: u64(),
  handle: u32(),
  status: i16('out: GNTST_*'),
})
export const gnttab_unmap_and_replace = struct('gnttab_unmap_and_replace', H, {
  host_addr: u64(),
  new_addr: u64(),
  handle: u32(),
  status: i16('out: GNTST_*'),
})
export const gnttab_setup_table = struct('gnttab_setup_table', H, {
  dom: u16(),
  nr_frames: u32(),
  status: i16('out: GNTST_*'),
  frame_list: handle('out: list of xen_pfn_t'),
})
export const gnttab_dump_table = struct('gnttab_dump_table', H, { dom: u16(), status: i16('out: GNTST_*') })
export const gnttab_transfer = struct('gnttab_transfer', H, {
  mfn: ulong(),
  domid: u16(),
  ref: u32(),
  status: i16('out: GNTST_*'),
})
const gnttab_copy_ptr_u = union('gnttab_copy_ptr_u', '', {
  ref: u32('with GNTCOPY_*_gref'),
  gmfn: ulong('without'),
})
const gnttab_copy_ptr = struct('gnttab_copy_ptr', '', {
  u: gnttab_copy_ptr_u.in(),
  domid: u16(),
  offset: u16('in the page'),
})
export const gnttab_copy = struct('gnttab_copy', H, {
  source: gnttab_copy_ptr.in(),
  dest: gnttab_copy_ptr.in(),
  len: u16('bytes'),
  flags: u16('GNTCOPY_*'),
  status: i16('out: GNTST_*'),
})
export const gnttab_query_size = struct('gnttab_query_size', H, {
  dom: u16(),
  nr_frames: u32('out'),
  max_nr_frames: u32('out'),
  status: i16('out: GNTST_*'),
})
export const gnttab_set_version = struct('gnttab_set_version', H, { version: u32('in and out') })
export const gnttab_get_status_frames = struct('gnttab_get_status_frames', H, {
  nr_frames: u32(),
  dom: u16(),
  status: i16('out: GNTST_*'),
  frame_list: handle('out'),
})
export const gnttab_get_version = struct('gnttab_get_version', H, {
  dom: u16(),
  pad: u16(),
  version: u32('out'),
})
export const gnttab_swap_grant_ref = struct('gnttab_swap_grant_ref', H, {
  ref_a: u32(),
  ref_b: u32(),
  status: i16('out: GNTST_*'),
})
export const gnttab_cache_flush = struct('gnttab_cache_flush', H, {
  a: u64('dev_bus_addr, or ref in its first half'),
  offset: u16(),
  length: u16(),
  op: u32(),
})

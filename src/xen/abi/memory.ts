/** memory.h: XENMEM operations. */
import { constants, handle, struct, u16, u32, u64, ulong } from './struct.ts'

const H = 'memory.h'

export const XENMEM = constants('XENMEM', {
  increase_reservation: 0,
  decrease_reservation: 1,
  maximum_ram_page: 2,
  current_reservation: 3,
  maximum_reservation: 4,
  machphys_mfn_list: 5,
  populate_physmap: 6,
  add_to_physmap: 7,
  memory_map: 9,
  machine_memory_map: 10,
  exchange: 11,
  machphys_mapping: 12,
  set_memory_map: 13,
  maximum_gpfn: 14,
  remove_from_physmap: 15,
  set_pod_target: 16,
  get_pod_target: 17,
  get_sharing_freed_pages: 18,
  get_sharing_shared_pages: 19,
  paging_op: 20,
  access_op: 21,
  sharing_op: 22,
  add_to_physmap_batch: 23,
  claim_pages: 24,
  machphys_compat_mfn_list: 25,
  get_vnumainfo: 26,
  reserved_device_memory_map: 27,
  acquire_resource: 28,
})
/** Bits of `cmd` above the operation: where a continuation goes on (MEMOP_EXTENT_SHIFT). */
export const MEMOP_EXTENT_SHIFT = 6
export const MEMOP_CMD_MASK = (1 << MEMOP_EXTENT_SHIFT) - 1

export const XENMAPSPACE = constants('XENMAPSPACE', {
  shared_info: 0,
  grant_table: 1,
  gmfn: 2,
  gmfn_range: 3,
  gmfn_foreign: 4,
  dev_mmio: 5,
})
/** In `idx` of space grant_table: a status frame of a version 2 table. */
export const XENMAPIDX_grant_table_status = 0x80000000n

export const xen_memory_reservation = struct('xen_memory_reservation', H, {
  extent_start: handle('list of frames'),
  nr_extents: ulong(),
  extent_order: u32(),
  mem_flags: u32('XENMEMF_*'),
  domid: u16(),
})
export const xen_add_to_physmap = struct('xen_add_to_physmap', H, {
  domid: u16(),
  size: u16('frames, only for gmfn_range'),
  space: u32('XENMAPSPACE_*'),
  idx: ulong('index in the space'),
  gpfn: ulong('where it goes'),
})
export const xen_add_to_physmap_batch = struct(
  'xen_add_to_physmap_batch',
  H,
  {
    domid: u16(),
    space: u16('XENMAPSPACE_*'),
    size: u16('entries'),
    foreign_domid: u16('space gmfn_foreign: whose'),
    idxs: handle('list of ulong'),
    gpfns: handle('list of xen_pfn_t'),
    errs: handle('out: list of int'),
  },
  { cnames: { foreign_domid: 'u.foreign_domid' } },
)
export const xen_remove_from_physmap = struct('xen_remove_from_physmap', H, { domid: u16(), gpfn: ulong() })
export const xen_memory_map = struct('xen_memory_map', H, {
  nr_entries: u32('in: room, out: entries'),
  buffer: handle('list of e820entry'),
})
/** struct e820entry of hvm/e820.h is packed: 20 bytes for everyone. */
export const E820_ENTRY_BYTES = 20

export const xen_vnuma_topology_info = struct(
  'xen_vnuma_topology_info',
  H,
  {
    domid: u16(),
    pad: u16(),
    nr_vnodes: u32(),
    nr_vcpus: u32(),
    nr_vmemranges: u32(),
    vdistance: u64(),
    vcpu_to_vnode: u64(),
    vmemrange: u64(),
  },
  { cnames: { vdistance: 'vdistance.pad', vcpu_to_vnode: 'vcpu_to_vnode.pad', vmemrange: 'vmemrange.pad' } },
)

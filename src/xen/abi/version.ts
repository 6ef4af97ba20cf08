/** version.h and features.h: what the hypervisor says of itself. */
import { array, bytes, constants, struct, u32, ulong } from './struct.ts'

export const XENVER = constants('XENVER', {
  version: 0,
  extraversion: 1,
  compile_info: 2,
  capabilities: 3,
  changeset: 4,
  platform_parameters: 5,
  get_features: 6,
  pagesize: 7,
  guest_handle: 8,
  commandline: 9,
  build_id: 10,
})

export const xen_compile_info = struct('xen_compile_info', 'version.h', {
  compiler: bytes(64),
  compile_by: bytes(16),
  compile_domain: bytes(32),
  compile_date: bytes(32),
})
export const xen_feature_info = struct('xen_feature_info', 'version.h', {
  submap_idx: u32('in: which 32 features'),
  submap: u32('out: XENFEAT_* bits'),
})
export const xen_platform_parameters = struct('xen_platform_parameters', 'version.h', { virt_start: ulong() })
/** xen_domain_handle_t: the domain's UUID. */
export const xen_domain_handle = struct('xen_domain_handle', '', { handle: array(u32(), 4) })

/** XENFEAT_*: bit numbers of submap 0. */
export const XENFEAT = constants('XENFEAT', {
  writable_page_tables: 0,
  writable_descriptor_tables: 1,
  auto_translated_physmap: 2,
  supervisor_mode_kernel: 3,
  pae_pgdir_above_4gb: 4,
  mmu_pt_update_preserve_ad: 5,
  highmem_assist: 6,
  gnttab_map_avail_bits: 7,
  hvm_callback_vector: 8,
  hvm_safe_pvclock: 9,
  hvm_pirqs: 10,
  dom0: 11,
  memory_op_vnode_supported: 13,
  linux_rsdp_unrestricted: 15,
  not_direct_mapped: 16,
  direct_mapped: 17,
  runstate_phys_area: 18,
  vcpu_time_phys_area: 19,
})

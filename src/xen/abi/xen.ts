/** xen.h and arch-x86/xen.h: hypercall numbers, domids, VIRQs, shared_info, vcpu_info, time. */
import { array, constants, i8, struct, u8, u32, u64, ulong } from './struct.ts'

/** __HYPERVISOR_*. Numbers 0..41 are Xen's, 48..55 architecture specific. */
export const HYPERVISOR = constants('__HYPERVISOR', {
  set_trap_table: 0,
  mmu_update: 1,
  set_gdt: 2,
  stack_switch: 3,
  set_callbacks: 4,
  fpu_taskswitch: 5,
  sched_op_compat: 6,
  platform_op: 7,
  set_debugreg: 8,
  get_debugreg: 9,
  update_descriptor: 10,
  memory_op: 12,
  multicall: 13,
  update_va_mapping: 14,
  set_timer_op: 15,
  event_channel_op_compat: 16,
  xen_version: 17,
  console_io: 18,
  physdev_op_compat: 19,
  grant_table_op: 20,
  vm_assist: 21,
  update_va_mapping_otherdomain: 22,
  iret: 23,
  vcpu_op: 24,
  set_segment_base: 25,
  mmuext_op: 26,
  xsm_op: 27,
  nmi_op: 28,
  sched_op: 29,
  callback_op: 30,
  xenoprof_op: 31,
  event_channel_op: 32,
  physdev_op: 33,
  hvm_op: 34,
  sysctl: 35,
  domctl: 36,
  kexec_op: 37,
  tmem_op: 38,
  argo_op: 39,
  xenpmu_op: 40,
  dm_op: 41,
})

/** Special domids. */
export const DOMID = constants('DOMID', {
  FIRST_RESERVED: 0x7ff0,
  SELF: 0x7ff0,
  IO: 0x7ff1,
  XEN: 0x7ff2,
  COW: 0x7ff3,
  INVALID: 0x7ff4,
})

export const VIRQ = constants('VIRQ', {
  TIMER: 0,
  DEBUG: 1,
  CONSOLE: 2,
  DOM_EXC: 3,
  TBUF: 4,
  DEBUGGER: 6,
  XENOPROF: 7,
  CON_RING: 8,
  PCPU_STATE: 9,
  MEM_EVENT: 10,
  ARGO: 11,
  ENOMEM: 12,
  XENPMU: 13,
})
/** Number of VIRQs (NR_VIRQS): 16 global ones and 8 of the architecture. */
export const NR_VIRQS = 24

/** vcpu_info slots in shared_info; further vCPUs must register their own. */
export const LEGACY_MAX_VCPUS = 32

export const VMASST_CMD = constants('VMASST_CMD', { enable: 0, disable: 1 })
export const VMASST_TYPE = constants('VMASST_TYPE', { runstate_update_flag: 5 })

export const CONSOLEIO = constants('CONSOLEIO', { write: 0, read: 1 })

export const XEN_PVCLOCK_TSC_STABLE_BIT = 1
export const XEN_PVCLOCK_GUEST_STOPPED = 2

export const vcpu_time_info = struct('vcpu_time_info', 'xen.h', {
  version: u32('odd while the others change'),
  pad0: u32(),
  tsc_timestamp: u64('TSC at system_time'),
  system_time: u64('ns since the domain started'),
  tsc_to_system_mul: u32('32.32 factor, applied after tsc_shift'),
  tsc_shift: i8('left shift of the TSC difference, negative: right'),
  flags: u8('XEN_PVCLOCK_*'),
  pad1: array(u8(), 2),
})

export const arch_vcpu_info = struct('arch_vcpu_info', 'xen.h', {
  cr2: ulong('PV only'),
  pad: array(ulong(), { 64: 1, 32: 5 }),
})

export const vcpu_info = struct('vcpu_info', 'xen.h', {
  evtchn_upcall_pending: u8('an event waits'),
  evtchn_upcall_mask: u8('PV only'),
  evtchn_pending_sel: ulong('words of evtchn_pending to look at'),
  arch: arch_vcpu_info.in(),
  time: vcpu_time_info.in('clock of this vCPU'),
})

export const arch_shared_info = struct(
  'arch_shared_info',
  'xen.h',
  {
    max_pfn: ulong('PV only'),
    pfn_to_mfn_frame_list_list: ulong('PV only'),
    nmi_reason: ulong('PV only'),
    p2m_cr3: ulong('PV only'),
    p2m_vaddr: ulong('PV only'),
    p2m_generation: ulong('PV only'),
  },
  { abis: [64] },
)

const shared_info_head = {
  vcpu_info: array(vcpu_info.in(), LEGACY_MAX_VCPUS, 'first 32 vCPUs'),
  evtchn_pending: array(ulong(), { 64: 64, 32: 32 }, 'bit = port has an event'),
  evtchn_mask: array(ulong(), { 64: 64, 32: 32 }, 'bit = port is masked'),
  wc_version: u32('odd while the wall clock changes'),
  wc_sec: u32('UTC at system time 0, low word'),
  wc_nsec: u32(),
}
/** The page's layout for a 64-bit guest: wc_sec_hi lies before the architecture's part. */
export const shared_info = struct(
  'shared_info',
  'xen.h',
  {
    ...shared_info_head,
    wc_sec_hi: u32('UTC at system time 0, high word'),
    arch: arch_shared_info.in(),
  },
  { abis: [64] },
)

export const arch_shared_info_32 = struct(
  'arch_shared_info_32',
  'xen.h',
  {
    ...arch_shared_info.fields,
    wc_sec_hi: u32('UTC at system time 0, high word'),
  },
  { ctype: 'struct arch_shared_info', abis: [32] },
)

/** The page's layout for a 32-bit guest: only `x32` of it means anything. */
export const shared_info_32 = struct(
  'shared_info_32',
  'xen.h',
  {
    ...shared_info_head,
    arch: arch_shared_info_32.in(),
  },
  { ctype: 'struct shared_info', abis: [32] },
)

export const multicall_entry = struct('multicall_entry', 'xen.h', {
  op: ulong('__HYPERVISOR_*'),
  result: ulong('answer'),
  args: array(ulong(), 6),
})

/** hvm/hvm_op.h: operations of HVM and PVH guests. */
import { array, constants, struct, u8, u16, u32, u64 } from '../struct.ts'

const H = 'hvm/hvm_op.h'

export const HVMOP = constants('HVMOP', {
  set_param: 0,
  get_param: 1,
  set_pci_intx_level: 2,
  set_isa_irq_level: 3,
  set_pci_link_route: 4,
  flush_tlbs: 5,
  pagetable_dying: 9,
  get_time: 10,
  xentrace: 11,
  get_mem_type: 15,
  set_evtchn_upcall_vector: 23,
  guest_request_vm_event: 24,
  altp2m: 25,
})
/** hvmmem_type_t as get_mem_type answers it. */
export const HVMMEM = constants('HVMMEM', { ram_rw: 0, ram_ro: 1, mmio_dm: 2 })

export const xen_hvm_param = struct('xen_hvm_param', H, {
  domid: u16('DOMID_SELF or own'),
  pad: u16(),
  index: u32('HVM_PARAM_*'),
  value: u64(),
})
export const xen_hvm_evtchn_upcall_vector = struct('xen_hvm_evtchn_upcall_vector', H, {
  vcpu: u32(),
  vector: u8('at least 0x10'),
})
export const xen_hvm_get_time = struct('xen_hvm_get_time', H, { now: u64('out: system time') })
export const xen_hvm_get_mem_type = struct('xen_hvm_get_mem_type', H, {
  domid: u16(),
  mem_type: u16('out: HVMMEM_*'),
  pad: array(u16(), 2),
  pfn: u64(),
})

/** __HYPERVISOR_hvm_op (hvm/hvm_op.h): params, upcall vector, and small questions. */
import { EFAULT, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP } from '../abi/errno.ts'
import {
  HVMMEM,
  xen_hvm_evtchn_upcall_vector,
  xen_hvm_get_mem_type,
  xen_hvm_get_time,
  xen_hvm_param,
} from '../abi/hvm/hvm_op.ts'
import { HVM_PARAM } from '../abi/hvm/params.ts'
import { frameNumber } from '../physmap.ts'
import { refuse, type SubOps } from './call.ts'

/** Vectors below are exceptions. */
const LEAST_VECTOR = 0x10

export const hvmOp: SubOps = {
  set_param: (call, arg) => {
    const p = call.fetch(arg, xen_hvm_param)
    if (p === undefined) return -EFAULT
    const { domain } = call
    const denied = domain.evtchn.own(p.domid) || domain.params.writable(p.index)
    if (denied !== 0) return denied
    domain.params.set(p.index, p.value)
    if (p.index === HVM_PARAM.CALLBACK_IRQ) {
      domain.latchLayout(call.abi === 64)
      domain.setCallback(p.value)
    }
    return 0
  },
  get_param: (call, arg) => {
    const p = call.fetch(arg, xen_hvm_param)
    if (p === undefined) return -EFAULT
    const denied = call.domain.evtchn.own(p.domid) || call.domain.params.readable(p.index)
    if (denied !== 0) return denied
    return call.answer(arg, xen_hvm_param, { value: call.domain.params.get(p.index) })
  },
  set_pci_intx_level: refuse(ENOSYS, 'moved to dm_op'),
  set_isa_irq_level: refuse(ENOSYS, 'moved to dm_op'),
  set_pci_link_route: refuse(ENOSYS, 'moved to dm_op'),
  flush_tlbs: (call, arg) => {
    if (arg !== 0n) return -EINVAL
    call.vcpu.physmapChanged()
    return 0
  },
  pagetable_dying: refuse(EINVAL, 'only with shadow paging'),
  get_time: (call, arg) => call.answer(arg, xen_hvm_get_time, { now: BigInt(Math.floor(call.vcpu.now())) }),
  xentrace: { run: () => 0, note: '0: accepted, traced nowhere' },
  get_mem_type: (call, arg) => {
    const q = call.fetch(arg, xen_hvm_get_mem_type)
    if (q === undefined) return -EFAULT
    const denied = call.domain.evtchn.own(q.domid)
    if (denied !== 0) return denied
    const mapped = call.domain.memory.frame(frameNumber(q.pfn)) !== 0
    return call.answer(arg, xen_hvm_get_mem_type, { mem_type: mapped ? HVMMEM.ram_rw : HVMMEM.mmio_dm })
  },
  set_evtchn_upcall_vector: (call, arg) => {
    const op = call.fetch(arg, xen_hvm_evtchn_upcall_vector)
    if (op === undefined) return -EFAULT
    if (op.vcpu >= call.domain.vcpus) return -ENOENT
    if (op.vector < LEAST_VECTOR) return -EINVAL
    call.vcpu.log.info(`vCPU ${op.vcpu} takes events at vector 0x${op.vector.toString(16)} of its LAPIC`)
    call.domain.upcall.setVector(op.vcpu, op.vector)
    return 0
  },
  guest_request_vm_event: {
    run: (_call, arg) => (arg === 0n ? 0 : -EINVAL),
    note: '0: accepted, nobody listens',
  },
  altp2m: refuse(EOPNOTSUPP, 'no alternate physmaps'),
}

/** __HYPERVISOR_event_channel_op (event_channel.h). */
import { domid } from '../../base/brand.ts'
import { EFAULT, EINVAL } from '../abi/errno.ts'
import {
  EVTCHN_FIFO_LINK_BITS,
  EVTCHNSTAT,
  evtchn_alloc_unbound,
  evtchn_bind_interdomain,
  evtchn_bind_ipi,
  evtchn_bind_vcpu,
  evtchn_bind_virq,
  evtchn_close,
  evtchn_expand_array,
  evtchn_init_control,
  evtchn_reset,
  evtchn_send,
  evtchn_set_priority,
  evtchn_status,
  evtchn_unmask,
} from '../abi/event_channel.ts'
import { DOMID } from '../abi/xen.ts'
import { frameNumber } from '../physmap.ts'
import { type Call, refuse, type SubOps } from './call.ts'

/** Answers with the new port, or gives it back where the guest's structure cannot be written. */
function give(call: Call, port: number, written: () => boolean): number {
  if (port < 0) return port
  if (written()) return 0
  call.domain.evtchn.close(port)
  return -EFAULT
}

const other = (call: Call, dom: number) => (dom === DOMID.SELF ? call.domain.domid : domid(dom))

export const eventChannelOp: SubOps = {
  bind_interdomain: (call, arg) => {
    const op = call.fetch(arg, evtchn_bind_interdomain)
    if (op === undefined) return -EFAULT
    const local_port = call.domain.evtchn.bindInterdomain(other(call, op.remote_dom), op.remote_port)
    return give(call, local_port, () => call.put(arg, evtchn_bind_interdomain, { local_port }))
  },
  bind_virq: (call, arg) => {
    const op = call.fetch(arg, evtchn_bind_virq)
    if (op === undefined) return -EFAULT
    const port = call.domain.evtchn.bindVirq(op.virq, op.vcpu)
    return give(call, port, () => call.put(arg, evtchn_bind_virq, { port }))
  },
  bind_pirq: refuse(EINVAL, 'a PVH guest has no PIRQs'),
  close: (call, arg) => {
    const op = call.fetch(arg, evtchn_close)
    return op === undefined ? -EFAULT : call.domain.evtchn.close(op.port)
  },
  send: (call, arg) => {
    const op = call.fetch(arg, evtchn_send)
    return op === undefined ? -EFAULT : call.domain.evtchn.send(op.port)
  },
  status: (call, arg) => {
    const op = call.fetch(arg, evtchn_status)
    if (op === undefined) return -EFAULT
    const { evtchn } = call.domain
    const denied = evtchn.own(op.dom)
    if (denied !== 0) return denied
    if (!evtchn.isValid(op.port)) return -EINVAL
    const { status, vcpu, remoteDomid, remotePort, virq } = evtchn.status(op.port)
    // Only the member of the union that the status names is written.
    const u =
      status === EVTCHNSTAT.unbound
        ? { unbound: { dom: remoteDomid } }
        : status === EVTCHNSTAT.interdomain
          ? { interdomain: { dom: remoteDomid, port: remotePort } }
          : status === EVTCHNSTAT.virq
            ? { virq }
            : {}
    return call.answer(arg, evtchn_status, { status, vcpu, u: { ...op.u, ...u } })
  },
  alloc_unbound: (call, arg) => {
    const op = call.fetch(arg, evtchn_alloc_unbound)
    if (op === undefined) return -EFAULT
    const denied = call.domain.evtchn.own(op.dom)
    if (denied !== 0) return denied
    const port = call.domain.evtchn.allocUnbound(other(call, op.remote_dom))
    return give(call, port, () => call.put(arg, evtchn_alloc_unbound, { port }))
  },
  bind_ipi: (call, arg) => {
    const op = call.fetch(arg, evtchn_bind_ipi)
    if (op === undefined) return -EFAULT
    const port = call.domain.evtchn.bindIpi(op.vcpu)
    return give(call, port, () => call.put(arg, evtchn_bind_ipi, { port }))
  },
  bind_vcpu: (call, arg) => {
    const op = call.fetch(arg, evtchn_bind_vcpu)
    return op === undefined ? -EFAULT : call.domain.evtchn.bindVcpu(op.port, op.vcpu)
  },
  unmask: (call, arg) => {
    const op = call.fetch(arg, evtchn_unmask)
    return op === undefined ? -EFAULT : call.domain.evtchn.unmask(op.port)
  },
  reset: (call, arg) => {
    const op = call.fetch(arg, evtchn_reset)
    if (op === undefined) return -EFAULT
    const denied = call.domain.evtchn.own(op.dom)
    if (denied !== 0) return denied
    call.domain.evtchn.reset()
    return 0
  },
  init_control: (call, arg) => {
    const op = call.fetch(arg, evtchn_init_control)
    if (op === undefined) return -EFAULT
    const done = call.domain.evtchn.initControl(op.vcpu, frameNumber(op.control_gfn), op.offset)
    return done < 0 ? done : call.answer(arg, evtchn_init_control, { link_bits: EVTCHN_FIFO_LINK_BITS })
  },
  expand_array: (call, arg) => {
    const op = call.fetch(arg, evtchn_expand_array)
    return op === undefined ? -EFAULT : call.domain.evtchn.expandArray(frameNumber(op.array_gfn))
  },
  set_priority: (call, arg) => {
    const op = call.fetch(arg, evtchn_set_priority)
    return op === undefined ? -EFAULT : call.domain.evtchn.setPriority(op.port, op.priority)
  },
}

/** __HYPERVISOR_sched_op (sched.h): yield, sleep, poll, shut down, watchdog. */
import { EFAULT, EINVAL, EPERM, ESRCH } from '../abi/errno.ts'
import {
  SCHED_POLL_MAX_PORTS,
  sched_poll,
  sched_remote_shutdown,
  sched_shutdown,
  sched_watchdog,
} from '../abi/sched.ts'
import { DOM0 } from '../evtchn/ports.ts'
import { refuse, type SubOps } from './call.ts'

export const schedOp: SubOps = {
  yield: () => 0,
  block: (call) => {
    const { upcall } = call.domain
    const { index } = call.vcpu
    call.vcpu.block(Infinity, () => upcall.isPending(index))
    return 0
  },
  shutdown: (call, arg) => {
    const op = call.fetch(arg, sched_shutdown)
    if (op === undefined) return -EFAULT
    call.domain.state.set('shutdownDone', 1)
    call.vcpu.shutdown(call.domain.shutdownReason(op.reason & 0xff))
    return 0
  },
  poll: (call, arg) => {
    const op = call.fetch(arg, sched_poll)
    if (op === undefined) return -EFAULT
    if (op.nr_ports > SCHED_POLL_MAX_PORTS) return -EINVAL
    const bytes = call.vcpu.readVirtual(op.ports, op.nr_ports * 4)
    if (bytes === undefined) return -EFAULT
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const { evtchn } = call.domain
    const ports: number[] = []
    for (let i = 0; i < op.nr_ports; i++) {
      const port = view.getUint32(i * 4, true)
      if (!evtchn.isValid(port)) return -EINVAL
      ports.push(port)
    }
    const ready = () => {
      const some = ports.some((port) => evtchn.delivery.isPending(port))
      if (some) evtchn.endPoll(call.vcpu.index)
      return some
    }
    evtchn.beginPoll(call.vcpu.index, ports)
    if (!ready()) call.vcpu.block(op.timeout === 0n ? Infinity : Number(op.timeout), ready)
    return 0
  },
  remote_shutdown: (call, arg) => {
    const op = call.fetch(arg, sched_remote_shutdown)
    if (op === undefined) return -EFAULT
    return op.domain_id === DOM0 || op.domain_id === call.domain.domid ? -EPERM : -ESRCH
  },
  shutdown_code: (call, arg) => {
    const op = call.fetch(arg, sched_shutdown)
    if (op === undefined) return -EFAULT
    call.domain.state.set('shutdownCode', (op.reason & 0xff) + 1)
    return 0
  },
  watchdog: (call, arg) => {
    const op = call.fetch(arg, sched_watchdog)
    return op === undefined ? -EFAULT : call.domain.timers.watchdog(op.id, op.timeout, call.vcpu.now())
  },
  pin_override: refuse(EPERM, 'only dom0'),
}

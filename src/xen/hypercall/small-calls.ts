/** Hypercalls of a few lines: set_timer_op, vm_assist, console_io, physdev_op. */
import { EFAULT, EINVAL, ENOSYS, EPERM } from '../abi/errno.ts'
import { CONSOLEIO, VMASST_CMD, VMASST_TYPE } from '../abi/xen.ts'
import type { Call, Result } from './call.ts'

/** Bytes of one CONSOLEIO_write that are read at most. */
const WRITE_BYTES = 4096

/** set_timer_op: an absolute system time in ns, 0 stops. A 32-bit caller gives it in two words. */
export function setTimerOp(call: Call, a1: bigint, a2: bigint): Result {
  const ns = call.abi === 64 ? BigInt.asIntN(64, a1) : BigInt.asIntN(64, (a2 << 32n) | a1)
  // A negative time is the largest one, as for Xen: kernels ask for "never" so.
  const at = ns === 0n || ns < 0n ? Infinity : Number(ns)
  call.domain.timers.setSingleshot(call.vcpu.index, at)
  return 0
}

/** vm_assist: only the runstate update flag has a meaning for HVM guests. */
export function vmAssist(call: Call, cmd: bigint, type: bigint): Result {
  if (type !== BigInt(VMASST_TYPE.runstate_update_flag)) return -EINVAL
  const { state } = call.domain
  const bit = 1 << VMASST_TYPE.runstate_update_flag
  if (cmd === BigInt(VMASST_CMD.enable)) Atomics.or(state.i32, state.domain('vmAssist'), bit)
  else if (cmd === BigInt(VMASST_CMD.disable)) Atomics.and(state.i32, state.domain('vmAssist'), ~bit)
  else return -ENOSYS
  return 0
}

/** console_io: writes go to the log, as a debug build of Xen does; reads are refused. */
export function consoleIo(call: Call, cmd: bigint, count: bigint, buffer: bigint): Result {
  if (cmd !== BigInt(CONSOLEIO.write)) return cmd === BigInt(CONSOLEIO.read) ? -EPERM : -ENOSYS
  // GUEST: a longer text is cut.
  const bytes = call.vcpu.readVirtual(
    buffer,
    Number(count > BigInt(WRITE_BYTES) ? BigInt(WRITE_BYTES) : count),
  )
  if (bytes === undefined) return -EFAULT
  for (const byte of bytes) call.lines.put(byte)
  return 0
}

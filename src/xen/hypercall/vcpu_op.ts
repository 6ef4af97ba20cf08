/** __HYPERVISOR_vcpu_op (vcpu.h): bring-up, timers, registered areas. */
import { PAGE_SIZE } from '../../base/machine-memory.ts'
import type { VcpuStart } from '../../base/vcpu.ts'
import { CONTROL_WORD, controlWord, requestVcpu, VCPU_REQUEST, VCPU_STATE } from '../../base/vcpu-control.ts'
import { EBUSY, EEXIST, EFAULT, EINVAL, ENOSYS } from '../abi/errno.ts'
import { VCPU_HVM_MODE_32B, VCPU_HVM_MODE_64B, vcpu_hvm_context } from '../abi/hvm/hvm_vcpu.ts'
import { SHUTDOWN } from '../abi/sched.ts'
import type { Values } from '../abi/struct.ts'
import {
  vcpu_register_memory_area,
  vcpu_register_vcpu_info,
  vcpu_runstate_info,
  vcpu_set_periodic_timer,
  vcpu_set_singleshot_timer,
} from '../abi/vcpu.ts'
import { LEGACY_MAX_VCPUS, vcpu_info, vcpu_time_info } from '../abi/xen.ts'
import { frameNumber } from '../physmap.ts'
import { type Call, refuse, type SubOp } from './call.ts'

/** `vcpu` is known to exist. */
type VcpuOp = ((call: Call, vcpu: number, arg: bigint) => number) | SubOp

const stateOf = (call: Call, vcpu: number) =>
  Atomics.load(call.domain.memory.i32, controlWord(call.domain.memory, vcpu, CONTROL_WORD.state))
const isUp = (call: Call, vcpu: number) => stateOf(call, vcpu) !== VCPU_STATE.offline

function startState(context: Values<typeof vcpu_hvm_context.fields>): VcpuStart {
  const wide = (n: number) => BigInt(n)
  if (context.mode === VCPU_HVM_MODE_64B) {
    const { rip, rflags, cr0, cr3, cr4, efer, ...regs } = context.cpu_regs.x86_64
    return { mode: 64, rip, rflags, cr0, cr3, cr4, efer, regs }
  }
  const c = context.cpu_regs.x86_32
  return {
    mode: 32,
    rip: wide(c.eip),
    rflags: wide(c.eflags),
    cr0: wide(c.cr0),
    cr3: wide(c.cr3),
    cr4: wide(c.cr4),
    efer: c.efer,
    regs: {
      rax: wide(c.eax),
      rcx: wide(c.ecx),
      rdx: wide(c.edx),
      rbx: wide(c.ebx),
      rsp: wide(c.esp),
      rbp: wide(c.ebp),
      rsi: wide(c.esi),
      rdi: wide(c.edi),
    },
  }
}

/** VCPUOP_register_vcpu_info: moves what is pending to the new place and makes sure nothing is lost. */
function registerVcpuInfo(call: Call, vcpu: number, arg: bigint): number {
  const op = call.fetch(arg, vcpu_register_vcpu_info)
  if (op === undefined) return -EFAULT
  const { state, memory, upcall, clocks } = call.domain
  // GUEST: the structure lies in one page. XEN: an unaligned one is refused, as its words are used atomically.
  if (op.offset > PAGE_SIZE - vcpu_info.size || op.offset % 8 !== 0) return -EINVAL
  if (state.getVcpu(vcpu, 'infoRegistered') !== 0) return -EBUSY
  if (vcpu !== call.vcpu.index && isUp(call, vcpu)) return -EINVAL
  const page = memory.frame(frameNumber(op.mfn))
  if (page === 0) return -EINVAL
  const from = state.getVcpu(vcpu, 'info')
  const to = page * PAGE_SIZE + op.offset
  memory.u8.copyWithin(to, from, from + vcpu_info.size)
  if (vcpu >= LEGACY_MAX_VCPUS) memory.u8.fill(0, to, to + vcpu_info.size)
  state.setVcpu(vcpu, 'info', to)
  state.setVcpu(vcpu, 'infoRegistered', 1)
  clocks.publishVcpu(vcpu)
  // An event that hit the old place while it was copied is found by looking at every word.
  const abi = state.get('layout32') !== 0 ? 32 : 64
  const selector = (to + vcpu_info.for(abi).offsets.evtchn_pending_sel) / 4
  for (let n = 0; n < abi / 32; n++) Atomics.store(memory.i32, selector + n, -1)
  upcall.markPending(vcpu)
  upcall.interrupt(vcpu)
  return 0
}

const byAddress = (call: Call, arg: bigint) => call.fetch(arg, vcpu_register_memory_area)?.addr

/** VCPUOP_register_runstate_memory_area. */
function registerRunstate(call: Call, vcpu: number, arg: bigint): number {
  const at = byAddress(call, arg)
  if (at === undefined) return -EFAULT
  const { runstate, memory } = call.domain
  if (at === 0n) {
    call.domain.state.setVcpu(vcpu, 'runstateArea', 0)
    return 0
  }
  const size = vcpu_runstate_info.for(call.abi).size
  const first = call.vcpu.translate(at)
  const inFirst = Math.min(size, PAGE_SIZE - Number(at & 0xfffn))
  const second = inFirst < size ? call.vcpu.translate(at + BigInt(inFirst)) : 0
  const firstHost = first < 0 ? -1 : memory.hostOffset(first)
  const secondHost = second === 0 ? 0 : second < 0 ? -1 : memory.hostOffset(second)
  if (firstHost < 0 || secondHost < 0) return -EFAULT
  runstate.register(vcpu, firstHost, secondHost, inFirst, call.abi)
  return 0
}

/** VCPUOP_register_vcpu_time_memory_area: a second copy of the clock, for the guest's vdso. */
function registerTime(call: Call, vcpu: number, arg: bigint): number {
  const at = byAddress(call, arg)
  if (at === undefined) return -EFAULT
  const { state, memory, clocks } = call.domain
  if (at === 0n) {
    state.setVcpu(vcpu, 'timeArea', 0)
    return 0
  }
  // XEN: the structure may not cross a page nor lie unaligned; guests give it a page of its own.
  if (Number(at & 0xfffn) > PAGE_SIZE - vcpu_time_info.size || at % 4n !== 0n) return -EINVAL
  const gpa = call.vcpu.translate(at)
  const host = gpa < 0 ? -1 : memory.hostOffset(gpa)
  if (host < 0) return -EFAULT
  state.setVcpu(vcpu, 'timeArea', host)
  clocks.publishAt(host)
  return 0
}

export const vcpuOps: Readonly<Record<string, VcpuOp>> = {
  initialise: (call, vcpu, arg) => {
    const bytes = call.vcpu.readVirtual(arg, vcpu_hvm_context.for(call.abi).size)
    if (bytes === undefined) return -EFAULT
    const context = vcpu_hvm_context
      .for(call.abi)
      .copy(new DataView(bytes.buffer, bytes.byteOffset, bytes.length))
    if (context.mode !== VCPU_HVM_MODE_32B && context.mode !== VCPU_HVM_MODE_64B) return -EINVAL
    const { state, memory } = call.domain
    if (state.getVcpu(vcpu, 'initialised') !== 0 || isUp(call, vcpu)) return -EEXIST
    vcpu_hvm_context.x64.write(memory.view, state.vcpuBytes(vcpu, 'context'), context)
    state.setVcpu(vcpu, 'initialised', 1)
    return 0
  },
  up: (call, vcpu) => {
    const { state, memory } = call.domain
    if (isUp(call, vcpu)) return 0
    if (state.getVcpu(vcpu, 'initialised') === 0) return -EINVAL
    const context = vcpu_hvm_context.x64.copy(memory.view, state.vcpuBytes(vcpu, 'context'))
    call.vcpu.startVcpu(vcpu, startState(context))
    return 0
  },
  down: (call, vcpu) => {
    const others = Array.from({ length: call.domain.vcpus }, (_, v) => v).some(
      (v) => v !== vcpu && isUp(call, v),
    )
    if (isUp(call, vcpu) && !others) call.vcpu.shutdown(call.domain.shutdownReason(SHUTDOWN.poweroff))
    else call.vcpu.stopVcpu(vcpu)
    return 0
  },
  is_up: (call, vcpu) => (isUp(call, vcpu) ? 1 : 0),
  get_runstate_info: (call, vcpu, arg) => {
    const info = call.domain.runstate.read(vcpu, call.vcpu.now())
    return call.answer(arg, vcpu_runstate_info, info)
  },
  register_runstate_memory_area: registerRunstate,
  set_periodic_timer: (call, vcpu, arg) => {
    const op = call.fetch(arg, vcpu_set_periodic_timer)
    if (op === undefined) return -EFAULT
    const done = call.domain.timers.setPeriodic(vcpu, Number(op.period_ns), call.vcpu.now())
    // The vCPU's own thread must see the new deadline.
    requestVcpu(call.domain.memory, vcpu, VCPU_REQUEST.kick)
    return done
  },
  stop_periodic_timer: (call, vcpu) => {
    call.domain.timers.stopPeriodic(vcpu)
    return 0
  },
  set_singleshot_timer: (call, vcpu, arg) => {
    if (vcpu !== call.vcpu.index) return -EINVAL
    const op = call.fetch(arg, vcpu_set_singleshot_timer)
    if (op === undefined) return -EFAULT
    call.domain.timers.setSingleshot(vcpu, Number(op.timeout_abs_ns))
    return 0
  },
  stop_singleshot_timer: (call, vcpu) => {
    if (vcpu !== call.vcpu.index) return -EINVAL
    call.domain.timers.setSingleshot(vcpu, Infinity)
    return 0
  },
  register_vcpu_info: registerVcpuInfo,
  send_nmi: (call, vcpu, arg) => {
    if (arg !== 0n) return -EINVAL
    requestVcpu(call.domain.memory, vcpu, VCPU_REQUEST.nmi)
    return 0
  },
  get_physid: refuse(EINVAL, 'only a domain pinned to physical CPUs'),
  register_vcpu_time_memory_area: registerTime,
  register_runstate_phys_area: refuse(
    ENOSYS,
    'newer than Xen 4.17; XENFEAT_runstate_phys_area is not offered',
  ),
  register_vcpu_time_phys_area: refuse(
    ENOSYS,
    'newer than Xen 4.17; XENFEAT_vcpu_time_phys_area is not offered',
  ),
}

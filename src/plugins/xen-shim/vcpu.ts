/**
 * The part of the Xen shim that lives in each vCPU's thread: hypercalls, Xen's CPUID leaves, the hypercall page's
 * MSR, port 0xe9, timers, the upcall and runstate. Everything it knows lies in shared machine memory.
 */

import { type CreateVcpuExits, REG, type Vcpu, type VcpuExits } from '../../base/vcpu.ts'
import { EVTCHNOP, EVTCHNSTAT } from '../../xen/abi/event_channel.ts'
import { SHUTDOWN } from '../../xen/abi/sched.ts'
import { RUNSTATE } from '../../xen/abi/vcpu.ts'
import { HYPERVISOR } from '../../xen/abi/xen.ts'
import { HYPERCALL_PAGE_MSR, xenCpuid } from '../../xen/cpuid.ts'
import { Domain } from '../../xen/domain.ts'
import { Call } from '../../xen/hypercall/call.ts'
import { GuestLines } from '../../xen/hypercall/guest-lines.ts'
import { hypercall } from '../../xen/hypercall/table.ts'
import { writeHypercallPageMsr } from '../../xen/hypercall-page.ts'
import { TraceWriter, vcpuRing } from '../../xen/trace.ts'
import { hostTimeMs } from './host-time.ts'

function createXenExits(vcpu: Vcpu): VcpuExits {
  const domain = new Domain(vcpu.memory)
  const lines = new GuestLines(domain.state, vcpu.log)
  const call = new Call(domain, vcpu, lines)
  const { index } = vcpu
  const trace = new TraceWriter(domain.state, vcpuRing(vcpu.index), hostTimeMs)
  const raise = (vector: number) => vcpu.raiseVector(index, vector)
  /** Only the boot vCPU's thread knows both clocks at the same moment; it sets the wall clock when it first runs. */
  let wallclockDue = index === 0

  return {
    reset: () => {
      wallclockDue = index === 0
    },
    hypercall: (nr) => (trace.isOn ? traced(trace, call, nr) : hypercall(call, nr)),
    cpuid: (leaf, subleaf, out) => xenCpuid(domain, index, leaf, subleaf, out),
    // Write only: reads as zero.
    rdmsr: (msr) => (msr === HYPERCALL_PAGE_MSR ? 0n : undefined),
    wrmsr: (msr, value) =>
      msr === HYPERCALL_PAGE_MSR && writeHypercallPageMsr(domain, value, vcpu.mode === 64),
    // Reading 0xe9 answers 0xe9 where the port exists.
    portIn: (_port, width) => (width === 1 ? 0xe9 : 0xffffffff >>> (32 - 8 * width)),
    portOut: (_port, _width, value) => lines.put(value & 0xff),
    deadline: () => domain.timers.deadline(index),
    expire: (nowNs) => {
      if (domain.timers.expire(index, nowNs)) vcpu.shutdown(domain.shutdownReason(SHUTDOWN.watchdog))
    },
    pendingVector: () => domain.upcall.pendingVector(index, raise),
    lapicEnabled: () => domain.upcall.lapicEnabled(index),
    runstate: (state, nowNs) => {
      if (state === 'running') {
        domain.evtchn.endPoll(index)
        if (wallclockDue)
          domain.clocks.setWallclock(BigInt(Date.now()) * 1_000_000n - BigInt(Math.floor(nowNs)))
        wallclockDue = false
      }
      if (domain.state.getVcpu(index, 'runstate') !== RUNSTATE[state])
        domain.runstate.change(index, state, nowNs)
    },
  }
}

/** A hypercall that somebody looks at: with its arguments, what it answered, and the event it sends within the guest. */
function traced(trace: TraceWriter, call: Call, nr: number): void {
  const { regs, mode } = call.vcpu
  const at = mode === 64 ? [REG.rdi, REG.rsi, REG.rdx] : [REG.rbx, REG.rcx, REG.rdx]
  const [a1, a2, a3] = at.map((register) => regs[register]!) as [bigint, bigint, bigint]
  const isEvent = nr === HYPERVISOR.event_channel_op
  const argument = isEvent ? call.vcpu.readVirtual(a2, 4) : undefined
  const first =
    argument === undefined ? 0 : new DataView(argument.buffer, argument.byteOffset).getUint32(0, true)
  const { evtchn } = call.domain
  if (isEvent && Number(a1) === EVTCHNOP.send && evtchn.isValid(first)) {
    const { status, remoteDomid } = evtchn.status(first)
    // A backend's thread tells of those that go to dom0.
    if (status !== EVTCHNSTAT.interdomain || remoteDomid !== 0) trace.event('in guest', first, '')
  }
  hypercall(call, nr)
  trace.hypercall(nr, [a1, a2, a3], regs[REG.rax]!, first)
}

export default createXenExits satisfies CreateVcpuExits

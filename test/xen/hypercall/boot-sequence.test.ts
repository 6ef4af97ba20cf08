import t from 'tap'
import { gfn, gref, port } from '../../../src/base/brand.ts'
import { PAGE_SIZE } from '../../../src/base/machine-memory.ts'
import {
  EVTCHNOP,
  evtchn_bind_ipi,
  evtchn_bind_virq,
  evtchn_send,
  evtchn_unmask,
} from '../../../src/xen/abi/event_channel.ts'
import { GNTTABOP, gnttab_query_size, gnttab_set_version } from '../../../src/xen/abi/grant_table.ts'
import { HVMOP, xen_hvm_param } from '../../../src/xen/abi/hvm/hvm_op.ts'
import { HVM_PARAM } from '../../../src/xen/abi/hvm/params.ts'
import { XENMAPSPACE, XENMEM, xen_add_to_physmap } from '../../../src/xen/abi/memory.ts'
import { SCHEDOP, sched_shutdown } from '../../../src/xen/abi/sched.ts'
import {
  RUNSTATE,
  VCPUOP,
  vcpu_register_memory_area,
  vcpu_register_vcpu_info,
  vcpu_runstate_info,
  vcpu_set_singleshot_timer,
} from '../../../src/xen/abi/vcpu.ts'
import { XENFEAT, XENVER, xen_feature_info } from '../../../src/xen/abi/version.ts'
import { DOMID, HYPERVISOR, shared_info, VIRQ, vcpu_info, vcpu_time_info } from '../../../src/xen/abi/xen.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'

/** What Linux 6.1 does as a PVH guest, in its order; one domain lives through the whole file. */
const domain = testDomain()
domain.setStore(gfn(0xfeffc))
domain.setConsole(gfn(0xfefff))
const vcpu = new FakeVcpu(domain)
const { memory } = domain
const SHARED_INFO_GPA = 0x1000
const VCPU_INFO_GPA = 0x200040

t.test('get_features offers what a PVH kernel needs', async (t) => {
  const { result, out } = vcpu.op(HYPERVISOR.xen_version, XENVER.get_features, xen_feature_info, {
    submap_idx: 0,
  })
  t.equal(result, 0)
  for (const bit of [XENFEAT.auto_translated_physmap, XENFEAT.hvm_callback_vector, XENFEAT.hvm_safe_pvclock])
    t.ok(out.submap & (1 << bit), XENFEAT.nameOf(bit))
})

t.test('shared_info appears at the frame asked for, with the clock of vCPU 0 running at 1 GHz', async (t) => {
  const { result } = vcpu.op(HYPERVISOR.memory_op, XENMEM.add_to_physmap, xen_add_to_physmap, {
    domid: DOMID.SELF,
    space: XENMAPSPACE.shared_info,
    gpfn: BigInt(SHARED_INFO_GPA / PAGE_SIZE),
  })
  t.equal(result, 0)
  t.equal(vcpu.physmapChanges, 1, 'the vCPUs are told')
  const info = shared_info.on(memory.view, memory.hostOffset(SHARED_INFO_GPA))
  const time = info.vcpu_info.get(0).time
  t.equal(time.tsc_to_system_mul, 0x80000000)
  t.equal(time.tsc_shift, 1)
  t.equal(time.version % 2, 0)
  t.ok(time.version > 0)
  t.equal(info.wc_sec, 1_700_000_000, 'wall clock of the 64-bit layout')
  t.equal(info.wc_nsec, 250_000_000)
})

t.test('the Xen version is 4.17', async (t) => {
  t.equal(vcpu.hypercall(HYPERVISOR.xen_version, XENVER.version, 0), (4 << 16) | 17)
})

t.test(
  'a registered vcpu_info takes over, clock included, and is marked so that no event is lost',
  async (t) => {
    const layout = vcpu_register_vcpu_info.x64
    memory.write(
      0x100000,
      layout.bytes({ mfn: BigInt(VCPU_INFO_GPA >> 12), offset: VCPU_INFO_GPA & 0xfff, rsvd: 0 }),
    )
    t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.register_vcpu_info, 0, 0x100000), 0)
    const info = vcpu_info.on(memory.view, memory.hostOffset(VCPU_INFO_GPA))
    t.equal(info.evtchn_upcall_pending, 1)
    t.equal(info.evtchn_pending_sel, 0xffff_ffff_ffff_ffffn)
    t.equal(info.time.tsc_to_system_mul, 0x80000000)
    t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.register_vcpu_info, 0, 0x100000), -16, 'only once')
    info.evtchn_upcall_pending = 0
    info.evtchn_pending_sel = 0n
  },
)

t.test('the callback vector is injected as long as upcall_pending is set', async (t) => {
  const { result } = vcpu.op(HYPERVISOR.hvm_op, HVMOP.set_param, xen_hvm_param, {
    domid: DOMID.SELF,
    index: HVM_PARAM.CALLBACK_IRQ,
    value: (2n << 56n) | 0xf3n,
  })
  t.equal(result, 0)
  t.equal(
    domain.upcall.pendingVector(0, () => t.fail('no LAPIC edge')),
    -1,
  )
  domain.upcall.markPending(0)
  t.equal(
    domain.upcall.pendingVector(0, () => t.fail('no LAPIC edge')),
    0xf3,
  )
  t.equal(
    domain.upcall.pendingVector(0, () => t.fail('no LAPIC edge')),
    0xf3,
    'level-like',
  )
  vcpu_info.on(memory.view, memory.hostOffset(VCPU_INFO_GPA)).evtchn_upcall_pending = 0
  t.equal(
    domain.upcall.pendingVector(0, () => t.fail('no LAPIC edge')),
    -1,
  )
})

t.test('stop_periodic_timer answers 0 for every vCPU, which selects the vcpu_op clock', async (t) => {
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.stop_periodic_timer, 0, 0), 0)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.stop_periodic_timer, 1, 0), 0)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.stop_periodic_timer, 2, 0), -2, 'no such vCPU')
})

t.test('the vdso clock area gets a copy of the clock with the stable flag', async (t) => {
  memory.write(0x100000, vcpu_register_memory_area.x64.bytes({ addr: 0x203000n }))
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.register_vcpu_time_memory_area, 0, 0x100000), 0)
  const time = vcpu_time_info.on(memory.view, memory.hostOffset(0x203000))
  t.equal(time.flags, 1)
  t.equal(time.tsc_to_system_mul, 0x80000000)
})

t.test('a runstate area that crosses a page is written in both', async (t) => {
  const at = 0x204fe0
  memory.write(0x100000, vcpu_register_memory_area.x64.bytes({ addr: BigInt(at) }))
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.register_runstate_memory_area, 0, 0x100000), 0)
  domain.runstate.change(0, 'running', 1000)
  domain.runstate.change(0, 'blocked', 1500)
  const copy = memory.read(at, vcpu_runstate_info.size)!
  const info = vcpu_runstate_info.copy(new DataView(copy.buffer))
  t.strictSame(info, { state: RUNSTATE.blocked, state_entry_time: 1500n, time: [500n, 1000n, 0n, 0n] })
})

let timerPort = 0
t.test('a single-shot timer fires VIRQ_TIMER on its port', async (t) => {
  const bound = vcpu.op(HYPERVISOR.event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, {
    virq: VIRQ.TIMER,
    vcpu: 0,
  })
  t.equal(bound.result, 0)
  timerPort = bound.out.port
  t.equal(timerPort, 3, 'after the ports of store and console')
  vcpu.nowNs = 10_000
  memory.write(0x100000, vcpu_set_singleshot_timer.x64.bytes({ timeout_abs_ns: 50_000n }))
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.set_singleshot_timer, 0, 0x100000), 0)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.set_singleshot_timer, 1, 0x100000), -22, 'only its own')
  t.equal(domain.timers.deadline(0), 50_000)
  domain.timers.expire(0, 49_999)
  t.notOk(domain.evtchn.delivery.isPending(timerPort))
  domain.timers.expire(0, 50_000)
  t.ok(domain.evtchn.delivery.isPending(timerPort))
  t.equal(domain.timers.deadline(0), Infinity)
  t.equal(
    domain.upcall.pendingVector(0, () => {}),
    0xf3,
  )
})

t.test('an IPI goes to its vCPU; unmasking delivers what came while it was masked', async (t) => {
  const ipi = vcpu.op(HYPERVISOR.event_channel_op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 1 })
  t.equal(ipi.result, 0)
  const info = shared_info.on(memory.view, memory.hostOffset(SHARED_INFO_GPA))
  info.evtchn_mask.set(0, 1n << BigInt(ipi.out.port))
  const send = vcpu.op(HYPERVISOR.event_channel_op, EVTCHNOP.send, evtchn_send, { port: ipi.out.port })
  t.equal(send.result, 0)
  t.notOk(domain.upcall.isPending(1))
  t.equal(
    vcpu.op(HYPERVISOR.event_channel_op, EVTCHNOP.unmask, evtchn_unmask, { port: ipi.out.port }).result,
    0,
  )
  t.ok(domain.upcall.isPending(1))
  t.equal(info.evtchn_mask.get(0), 0n)
})

t.test('console and store parameters name the pages and ports of the toolstack', async (t) => {
  const get = (index: number) =>
    vcpu.op(HYPERVISOR.hvm_op, HVMOP.get_param, xen_hvm_param, { domid: DOMID.SELF, index }).out.value
  t.equal(get(HVM_PARAM.STORE_PFN), 0xfeffcn)
  t.equal(get(HVM_PARAM.STORE_EVTCHN), 1n)
  t.equal(get(HVM_PARAM.CONSOLE_PFN), 0xfefffn)
  t.equal(get(HVM_PARAM.CONSOLE_EVTCHN), 2n)
})

t.test(
  'the grant table: 1 of 64 frames, version 1, mapped from high to low into frames without RAM',
  async (t) => {
    const size = vcpu.op(
      HYPERVISOR.grant_table_op,
      GNTTABOP.query_size,
      gnttab_query_size,
      { dom: DOMID.SELF },
      1,
    )
    t.equal(size.result, 0)
    t.match(size.out, { nr_frames: 1, max_nr_frames: 64, status: 0 })
    t.equal(
      vcpu.op(HYPERVISOR.grant_table_op, GNTTABOP.set_version, gnttab_set_version, { version: 2 }, 1).result,
      -22,
    )
    t.equal(
      vcpu.op(HYPERVISOR.grant_table_op, GNTTABOP.set_version, gnttab_set_version, { version: 1 }, 1).result,
      0,
    )
    for (const index of [1n, 0n]) {
      const { result } = vcpu.op(HYPERVISOR.memory_op, XENMEM.add_to_physmap, xen_add_to_physmap, {
        domid: DOMID.SELF,
        space: XENMAPSPACE.grant_table,
        idx: index,
        gpfn: 0x10000n + index,
      })
      t.equal(result, 0)
    }
    t.equal(domain.gnttab.frames, 2)
    const entry = memory.read(0x10000 * PAGE_SIZE, 16)!
    const words = new DataView(entry.buffer)
    t.equal(words.getUint32(0, true), 1, 'console: permit_access to domain 0')
    t.equal(words.getUint32(4, true), 0xfefff)
    t.equal(words.getUint32(12, true), 0xfeffc)
    t.equal(domain.gnttab.entry(gref(1024)), -1)
  },
)

t.test('a backend hears the guest and is heard', async (t) => {
  const dom0 = domain.evtchn.bindFromDom0(port(2), 0)
  t.ok(dom0 > 0)
  t.ok(domain.evtchn.dom0.takePending(dom0), 'a new binding starts pending')
  t.equal(vcpu.op(HYPERVISOR.event_channel_op, EVTCHNOP.send, evtchn_send, { port: 2 }).result, 0)
  t.ok(domain.evtchn.dom0.takePending(dom0))
  domain.evtchn.notifyFromDom0(dom0)
  t.ok(domain.evtchn.delivery.isPending(2))
})

t.test('a reboot is a shutdown with reason 1', async (t) => {
  vcpu.op(HYPERVISOR.sched_op, SCHEDOP.shutdown, sched_shutdown, { reason: 1 })
  t.strictSame(vcpu.shutdowns, [1])
})

t.test('an unknown hypercall is ENOSYS and is named once in the log', async (t) => {
  t.equal(vcpu.hypercall(HYPERVISOR.mmuext_op, 1, 2, 3), -38)
  t.equal(vcpu.hypercall(HYPERVISOR.mmuext_op, 1, 2, 3), -38)
  t.equal(vcpu.logged.filter((line) => line.includes('mmuext_op')).length, 1)
  t.equal(vcpu.hypercall(63, 0), -38)
})

t.test('a call from user mode is EPERM', async (t) => {
  vcpu.cpl = 3
  t.equal(vcpu.hypercall(HYPERVISOR.xen_version, 0, 0), -1)
  vcpu.cpl = 0
})

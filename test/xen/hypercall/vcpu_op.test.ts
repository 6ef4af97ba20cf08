import t from 'tap'
import { CONTROL_WORD, controlWord, VCPU_REQUEST, VCPU_STATE } from '../../../src/base/vcpu-control.ts'
import { VCPU_HVM_MODE_64B, vcpu_hvm_context } from '../../../src/xen/abi/hvm/hvm_vcpu.ts'
import type { Fields, Struct, Values } from '../../../src/xen/abi/struct.ts'
import {
  RUNSTATE,
  VCPUOP,
  vcpu_register_memory_area,
  vcpu_register_vcpu_info,
  vcpu_runstate_info,
  vcpu_set_periodic_timer,
} from '../../../src/xen/abi/vcpu.ts'
import { HYPERVISOR, VIRQ, VMASST_CMD, VMASST_TYPE } from '../../../src/xen/abi/xen.ts'
import { ARGUMENTS, FakeVcpu, testDomain } from '../fake-vcpu.ts'

function setUp(vcpus = 2) {
  const domain = testDomain({ vcpus })
  const vcpu = new FakeVcpu(domain)
  const state = (n: number, to: number) =>
    Atomics.store(domain.memory.i32, controlWord(domain.memory, n, CONTROL_WORD.state), to)
  state(0, VCPU_STATE.running)
  const op = <F extends Fields>(cmd: number, on: number, type: Struct<F>, values: Partial<Values<F>>) => {
    domain.memory.write(Number(ARGUMENTS), type.x64.bytes(values))
    return vcpu.hypercall(HYPERVISOR.vcpu_op, cmd, on, ARGUMENTS)
  }
  return { domain, vcpu, state, op, memory: domain.memory }
}

t.test('a vCPU is initialised with a context, brought up, and taken down', async (t) => {
  const { vcpu, op, state } = setUp()
  const is = (cmd: number, on = 1) => vcpu.hypercall(HYPERVISOR.vcpu_op, cmd, on, 0)
  t.equal(is(VCPUOP.is_up), 0)
  t.equal(is(VCPUOP.up), -22, 'not initialised')
  const context = { mode: VCPU_HVM_MODE_64B, cpu_regs: { x86_64: { rip: 0xffff_8000n, cr3: 0x1000n } } }
  t.equal(op(VCPUOP.initialise, 1, vcpu_hvm_context, context as never), 0)
  t.equal(op(VCPUOP.initialise, 1, vcpu_hvm_context, context as never), -17)
  t.equal(op(VCPUOP.initialise, 1, vcpu_hvm_context, { mode: 7 }), -22)
  t.equal(is(VCPUOP.up), 0)
  t.strictSame(vcpu.started, [{ vcpu: 1, mode: 64, rip: 0xffff_8000n }])
  state(1, VCPU_STATE.running)
  t.equal(is(VCPUOP.is_up), 1)
  t.equal(is(VCPUOP.up), 0, 'again: nothing to do')
  t.equal(vcpu.started.length, 1)
  t.equal(is(VCPUOP.down), 0)
  t.strictSame(vcpu.stopped, [1])
  state(1, VCPU_STATE.offline)
  t.equal(is(VCPUOP.down, 0), 0)
  t.strictSame(vcpu.shutdowns, [0], 'the last one powers off')
})

t.test(
  'vcpu_info: bounds, page and vCPU are judged; vCPUs above 31 have a clock only from then on',
  async (t) => {
    const { op, state, domain, memory } = setUp(34)
    const register = (on: number, mfn: bigint, offset: number) =>
      op(VCPUOP.register_vcpu_info, on, vcpu_register_vcpu_info, { mfn, offset })
    t.equal(register(0, 0x200n, 4096 - 63), -22)
    t.equal(register(0, 0x200n, 4), -22)
    t.equal(register(0, 0x9999n, 0), -22, 'nothing there')
    t.equal(register(0, (1n << 64n) - 1n, 0), -22)
    t.equal(register(40, 0x200n, 0), -2)
    state(1, VCPU_STATE.running)
    t.equal(register(1, 0x200n, 64), -22, 'another one that runs')
    t.equal(register(33, 0x200n, 4096 - 64), 0)
    t.equal(memory.view.getUint32(memory.hostOffset(0x200fc0) + 32 + 24, true), 0x80000000)
    domain.upcall.markPending(33)
    t.equal(memory.u8[memory.hostOffset(0x200fc0)], 1)
  },
)

t.test('runstate times add up, whoever asks', async (t) => {
  const { vcpu, domain, op } = setUp()
  domain.runstate.change(0, 'running', 100)
  domain.runstate.change(0, 'blocked', 300)
  domain.runstate.change(0, 'running', 700)
  vcpu.nowNs = 1000
  t.equal(op(VCPUOP.get_runstate_info, 0, vcpu_runstate_info, {}), 0)
  const bytes = domain.memory.read(Number(ARGUMENTS), vcpu_runstate_info.size)!
  t.strictSame(vcpu_runstate_info.copy(new DataView(bytes.buffer)), {
    state: RUNSTATE.running,
    state_entry_time: 700n,
    time: [500n, 100n, 400n, 0n],
  })
})

t.test('with the update flag a reader sees bit 63 never set when the area is at rest', async (t) => {
  const { vcpu, domain, op, memory } = setUp()
  t.equal(vcpu.hypercall(HYPERVISOR.vm_assist, VMASST_CMD.enable, VMASST_TYPE.runstate_update_flag), 0)
  t.equal(op(VCPUOP.register_runstate_memory_area, 0, vcpu_register_memory_area, { addr: 0x201000n }), 0)
  domain.runstate.change(0, 'running', 250)
  const copy = memory.read(0x201000, vcpu_runstate_info.size)!
  t.match(vcpu_runstate_info.copy(new DataView(copy.buffer)), { state: 0, state_entry_time: 250n })
  t.equal(op(VCPUOP.register_runstate_memory_area, 0, vcpu_register_memory_area, { addr: 0x7000_0000n }), -14)
  t.equal(op(VCPUOP.register_runstate_memory_area, 0, vcpu_register_memory_area, { addr: 0n }), 0)
  domain.runstate.change(0, 'blocked', 999)
  t.strictSame(memory.read(0x201000, vcpu_runstate_info.size), copy, 'taken back: written no more')
})

t.test('a periodic timer ticks, without a storm after a pause', async (t) => {
  const { vcpu, domain, op } = setUp()
  const port = domain.evtchn.bindVirq(VIRQ.TIMER, 1)
  t.equal(op(VCPUOP.set_periodic_timer, 1, vcpu_set_periodic_timer, { period_ns: 999_999n }), -22)
  t.equal(op(VCPUOP.set_periodic_timer, 1, vcpu_set_periodic_timer, { period_ns: 1_000_000n }), 0)
  t.equal(domain.timers.deadline(1), 1_000_000)
  domain.timers.expire(1, 10_500_000)
  t.ok(domain.evtchn.delivery.isPending(port))
  t.equal(domain.timers.deadline(1), 11_000_000)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.stop_periodic_timer, 1, 0), 0)
  t.equal(domain.timers.deadline(1), Infinity)
})

t.test('an NMI is asked for at its vCPU', async (t) => {
  const { vcpu, memory } = setUp()
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.send_nmi, 1, 5), -22)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.send_nmi, 1, 0), 0)
  t.ok(Atomics.load(memory.i32, controlWord(memory, 1, CONTROL_WORD.request)) & VCPU_REQUEST.nmi)
})

t.test("what Xen 4.17 has not is refused with Xen's answers", async (t) => {
  const { vcpu } = setUp()
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.get_physid, 0, ARGUMENTS), -22)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.register_runstate_phys_area, 0, ARGUMENTS), -38)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, 99, 0, ARGUMENTS), -38)
  t.equal(vcpu.hypercall(HYPERVISOR.vcpu_op, VCPUOP.register_vcpu_time_memory_area, 0, 0x7000_0000), -14)
})

import t from 'tap'
import { REG } from '../../../src/base/vcpu.ts'
import createXenExits from '../../../src/plugins/xen-shim/vcpu.ts'
import { RUNSTATE } from '../../../src/xen/abi/vcpu.ts'
import { HYPERVISOR, VIRQ } from '../../../src/xen/abi/xen.ts'
import { FakeVcpu, testDomain } from '../../xen/fake-vcpu.ts'

function setUp() {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain, 1)
  return { domain, vcpu, exits: createXenExits(vcpu) }
}

t.test('a hypercall takes its arguments from the registers and answers in RAX', async (t) => {
  const { vcpu, exits } = setUp()
  vcpu.regs[REG.rdi] = 0n
  exits.hypercall!(HYPERVISOR.xen_version)
  t.equal(vcpu.regs[REG.rax], 0x40011n)
})

t.test('the MSR writes the hypercall page and reads as zero; other MSRs are none', async (t) => {
  const { domain, exits } = setUp()
  t.equal(exits.wrmsr!(0x40000000, 0x200000n), true)
  t.equal(domain.memory.read(0x200000, 1)![0], 0xb8)
  t.equal(exits.rdmsr!(0x40000000), 0n)
  t.equal(exits.rdmsr!(0x40000001), undefined)
  t.equal(exits.wrmsr!(0x40000001, 0n), false)
})

t.test('text to port 0xe9 goes to the log line by line', async (t) => {
  const { vcpu, exits } = setUp()
  for (const char of 'early\n') exits.portOut!(0xe9, 1, char.charCodeAt(0))
  t.strictSame(vcpu.logged, ['guest: early'])
  t.equal(exits.portIn!(0xe9, 1), 0xe9)
  t.equal(exits.portIn!(0xe9, 4), 0xffffffff)
})

t.test('the timer fires at its deadline and the callback vector is pending', async (t) => {
  const { domain, exits } = setUp()
  domain.setCallback((2n << 56n) | 0xf3n)
  domain.evtchn.bindVirq(VIRQ.TIMER, 1)
  domain.timers.setSingleshot(1, 500)
  t.equal(exits.deadline!(), 500)
  t.equal(exits.pendingVector!(), -1)
  exits.expire!(500)
  t.equal(exits.pendingVector!(), 0xf3)
})

t.test('an expired watchdog ends the domain', async (t) => {
  const { domain, vcpu, exits } = setUp()
  domain.timers.watchdog(0, 1, 0)
  exits.expire!(1e9)
  t.strictSame(vcpu.shutdowns, [4])
})

t.test('going to sleep and running on is accounted, and ends a poll', async (t) => {
  const { domain, exits } = setUp()
  exits.runstate!('running', 10)
  domain.evtchn.beginPoll(1, [3])
  exits.runstate!('blocked', 30)
  exits.runstate!('blocked', 35)
  t.equal(domain.state.get('pollMask'), 2)
  exits.runstate!('running', 50)
  t.equal(domain.state.get('pollMask'), 0)
  const { state, time } = domain.runstate.read(1)
  t.equal(state, RUNSTATE.running)
  t.strictSame(time, [20n, 0n, 20n, 10n])
})

t.test("Xen's leaves are served and a LAPIC that comes on gets what waits", async (t) => {
  const { domain, vcpu, exits } = setUp()
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 }
  exits.cpuid!(0x40000004, 0, out)
  t.equal(out.ebx, 1)
  domain.upcall.setVector(1, 0xf3)
  domain.upcall.markPending(1)
  exits.pendingVector!()
  exits.lapicEnabled!()
  exits.pendingVector!()
  t.strictSame(vcpu.raised, [
    { vcpu: 1, vector: 0xf3 },
    { vcpu: 1, vector: 0xf3 },
  ])
})

t.test('the wall clock is set when the boot vCPU first runs: UTC at system time 0', async (t) => {
  const domain = testDomain({ wallclockNs: 0n })
  const exits = createXenExits(new FakeVcpu(domain, 0))
  const before = Date.now()
  exits.runstate!('running', 5e9)
  const first = domain.state.getBig('wallclockNs')
  const utcMs = Number((first + 5_000_000_000n) / 1_000_000n)
  t.ok(utcMs >= before && utcMs <= Date.now())
  exits.runstate!('blocked', 9e9)
  exits.runstate!('running', 99e9)
  t.equal(domain.state.getBig('wallclockNs'), first, 'once')
  exits.reset!()
  exits.runstate!('blocked', 100e9)
  exits.runstate!('running', 101e9)
  t.not(domain.state.getBig('wallclockNs'), first, 'and again for a guest that starts anew')
})

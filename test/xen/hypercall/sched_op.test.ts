import t from 'tap'
import {
  SCHEDOP,
  SHUTDOWN,
  sched_poll,
  sched_remote_shutdown,
  sched_shutdown,
  sched_watchdog,
} from '../../../src/xen/abi/sched.ts'
import { HYPERVISOR } from '../../../src/xen/abi/xen.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'

const SCHED = HYPERVISOR.sched_op
const PORTS = 0x110000

function setUp() {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  const poll = (ports: readonly number[], timeout = 0n, nr_ports = ports.length) => {
    domain.memory.write(PORTS, new Uint8Array(Uint32Array.from(ports).buffer))
    return vcpu.op(SCHED, SCHEDOP.poll, sched_poll, { ports: BigInt(PORTS), nr_ports, timeout }).result
  }
  const watchdog = (id: number, timeout: number) =>
    vcpu.op(SCHED, SCHEDOP.watchdog, sched_watchdog, { id, timeout }).result
  return { domain, vcpu, poll, watchdog }
}

t.test('block sleeps until an event is pending', async (t) => {
  const { domain, vcpu } = setUp()
  t.equal(vcpu.hypercall(SCHED, SCHEDOP.block, 0), 0)
  t.equal(vcpu.blocked?.deadlineNs, Infinity)
  t.equal(vcpu.blocked?.ready(), false)
  domain.upcall.markPending(0)
  t.equal(vcpu.blocked?.ready(), true)
})

t.test(
  'poll returns at once when a port is pending, else sleeps until one is or the absolute time',
  async (t) => {
    const { domain, vcpu, poll } = setUp()
    const [a, b] = [domain.evtchn.bindIpi(0), domain.evtchn.bindIpi(0)]
    t.equal(poll([a, b], 5_000n), 0)
    t.equal(vcpu.blocked?.deadlineNs, 5_000)
    t.equal(vcpu.blocked?.ready(), false)
    domain.evtchn.send(b)
    t.equal(vcpu.blocked?.ready(), true)
    vcpu.blocked = undefined
    t.equal(poll([a, b]), 0)
    t.equal(vcpu.blocked, undefined, 'no sleep')
    t.equal(poll([a]), 0)
    t.equal(vcpu.blocked!.deadlineNs, Infinity, 'no time-out')
  },
)

t.test('poll judges its ports', async (t) => {
  const { poll } = setUp()
  t.equal(poll([0]), -22)
  t.equal(poll([4000]), -22)
  t.equal(poll([], 0n, 129), -22)
  t.equal(poll([], 7n), 0, 'no port at all: a sleep until the time')
})

t.test('shutdown ends the domain with its reason; a code given before wins', async (t) => {
  const { vcpu } = setUp()
  vcpu.op(SCHED, SCHEDOP.shutdown, sched_shutdown, { reason: SHUTDOWN.crash })
  vcpu.op(SCHED, SCHEDOP.shutdown_code, sched_shutdown, { reason: SHUTDOWN.reboot })
  vcpu.op(SCHED, SCHEDOP.shutdown, sched_shutdown, { reason: SHUTDOWN.poweroff })
  t.strictSame(vcpu.shutdowns, [SHUTDOWN.crash, SHUTDOWN.reboot])
  t.equal(vcpu.hypercall(SCHED, SCHEDOP.shutdown, 0x7000_0000), -14)
})

t.test(
  'two watchdogs can be made, armed again and stopped; the first that expires ends the domain',
  async (t) => {
    const { domain, vcpu, watchdog } = setUp()
    vcpu.nowNs = 1e9
    t.equal(watchdog(0, 0), -22)
    t.equal(watchdog(0, 10), 1)
    t.equal(watchdog(0, 20), 2)
    t.equal(watchdog(0, 5), -28)
    t.equal(watchdog(3, 5), -22)
    t.equal(domain.timers.deadline(1), 11e9, 'any vCPU looks after it')
    t.equal(watchdog(1, 30), 0)
    t.equal(domain.timers.deadline(0), 21e9)
    t.equal(watchdog(2, 0), 0)
    t.equal(watchdog(2, 5), -22, 'stopped ones are free')
    t.equal(domain.timers.expire(0, 30.9e9), false)
    t.equal(domain.timers.expire(1, 31e9), true)
  },
)

t.test('what belongs to others is refused', async (t) => {
  const { vcpu } = setUp()
  const remote = (domain_id: number) =>
    vcpu.op(SCHED, SCHEDOP.remote_shutdown, sched_remote_shutdown, { domain_id }).result
  t.equal(remote(0), -1)
  t.equal(remote(99), -3)
  t.equal(vcpu.hypercall(SCHED, SCHEDOP.pin_override, 0), -1)
  t.equal(vcpu.hypercall(SCHED, SCHEDOP.yield, 0), 0)
  t.equal(vcpu.hypercall(SCHED, 99, 0), -38)
})

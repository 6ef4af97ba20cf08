import fc from 'fast-check'
import t from 'tap'
import {
  HVMOP,
  xen_hvm_evtchn_upcall_vector,
  xen_hvm_get_mem_type,
  xen_hvm_param,
} from '../../../src/xen/abi/hvm/hvm_op.ts'
import { HVM_PARAM } from '../../../src/xen/abi/hvm/params.ts'
import { SCHEDOP } from '../../../src/xen/abi/sched.ts'
import { XENVER, xen_feature_info } from '../../../src/xen/abi/version.ts'
import { CONSOLEIO, DOMID, HYPERVISOR, multicall_entry } from '../../../src/xen/abi/xen.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'

function setUp() {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  const text = (at: number) => {
    const bytes = domain.memory.read(at, 64)!
    return String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)))
  }
  return { domain, vcpu, text, memory: domain.memory }
}

t.test('xen_version: texts, page size, uuid, and what is hidden from a guest', async (t) => {
  const { vcpu, text, memory } = setUp()
  const ask = (cmd: number, at = 0x110000) => vcpu.hypercall(HYPERVISOR.xen_version, cmd, at)
  t.equal(ask(XENVER.extraversion), 0)
  t.equal(text(0x110000), '-xt')
  t.equal(ask(XENVER.capabilities), 0)
  t.equal(text(0x110000), 'hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ')
  t.equal(ask(XENVER.commandline), 0)
  t.equal(text(0x110000), '<denied>')
  t.equal(ask(XENVER.guest_handle), 0)
  t.strictSame(
    [...memory.read(0x110000, 16)!],
    Array.from({ length: 16 }, (_, n) => n),
  )
  t.equal(ask(XENVER.pagesize, 0), 4096)
  t.equal(ask(XENVER.pagesize), -22)
  t.equal(ask(XENVER.build_id), -1)
  t.equal(ask(XENVER.capabilities, 0x7000_0000), -14)
  t.equal(
    vcpu.op(HYPERVISOR.xen_version, XENVER.get_features, xen_feature_info, { submap_idx: 1 }).result,
    -22,
  )
})

t.test('params: who may read and write which', async (t) => {
  const { vcpu } = setUp()
  const set = (index: number, domid: number = DOMID.SELF) =>
    vcpu.op(HYPERVISOR.hvm_op, HVMOP.set_param, xen_hvm_param, { domid, index, value: 5n }).result
  const get = (index: number) =>
    vcpu.op(HYPERVISOR.hvm_op, HVMOP.get_param, xen_hvm_param, { domid: 6, index })
  t.equal(set(HVM_PARAM.STORE_PFN), -1)
  t.equal(set(HVM_PARAM.ALTP2M), -17)
  t.equal(set(4), -22)
  t.equal(set(39), -22)
  t.equal(set(HVM_PARAM.CONSOLE_EVTCHN, 0), -1)
  t.equal(set(HVM_PARAM.CONSOLE_EVTCHN, 44), -3)
  t.equal(set(HVM_PARAM.CONSOLE_EVTCHN), 0)
  t.match(get(HVM_PARAM.CONSOLE_EVTCHN), { result: 0, out: { value: 5n } })
  t.match(get(HVM_PARAM.VM86_TSS), { result: 0, out: { value: 0n } }, 'unset ones read 0')
  t.equal(get(HVM_PARAM.IOREQ_PFN).result, -1)
  t.equal(get(99).result, -22)
})

t.test('an upcall vector of its own reaches the LAPIC as an edge', async (t) => {
  const { vcpu, domain } = setUp()
  const set = (to: number, vector: number) =>
    vcpu.op(HYPERVISOR.hvm_op, HVMOP.set_evtchn_upcall_vector, xen_hvm_evtchn_upcall_vector, {
      vcpu: to,
      vector,
    }).result
  t.equal(set(9, 0xf3), -2)
  t.equal(set(0, 0x0f), -22)
  t.equal(set(0, 0xf3), 0)
  const raised: number[] = []
  const ask = () => domain.upcall.pendingVector(0, (vector) => raised.push(vector))
  t.equal(ask(), -1)
  domain.upcall.markPending(0)
  t.equal(ask(), -1)
  t.equal(ask(), -1)
  t.strictSame(raised, [0xf3], 'once')
  domain.upcall.lapicEnabled(0)
  ask()
  t.strictSame(raised, [0xf3, 0xf3], 'again when the LAPIC comes on with the event still there')
})

t.test('small questions of hvm_op', async (t) => {
  const { vcpu, memory } = setUp()
  vcpu.nowNs = 12345.6
  t.equal(vcpu.hypercall(HYPERVISOR.hvm_op, HVMOP.get_time, 0x110000), 0)
  t.equal(memory.view.getBigUint64(memory.hostOffset(0x110000), true), 12345n)
  const type = (pfn: bigint) =>
    vcpu.op(HYPERVISOR.hvm_op, HVMOP.get_mem_type, xen_hvm_get_mem_type, { domid: DOMID.SELF, pfn }).out
      .mem_type
  t.equal(type(1n), 0)
  t.equal(type(0x3f_0000n), 2)
  t.equal(vcpu.hypercall(HYPERVISOR.hvm_op, HVMOP.flush_tlbs, 0), 0)
  t.equal(vcpu.hypercall(HYPERVISOR.hvm_op, HVMOP.flush_tlbs, 1), -22)
  t.equal(vcpu.physmapChanges, 1)
  t.equal(vcpu.hypercall(HYPERVISOR.hvm_op, HVMOP.altp2m, 0), -95)
})

t.test('console_io writes whole lines to the log, bounded', async (t) => {
  const { vcpu, memory } = setUp()
  const write = (text: string) => {
    memory.write(0x110000, new TextEncoder().encode(text))
    return vcpu.hypercall(HYPERVISOR.console_io, CONSOLEIO.write, text.length, 0x110000)
  }
  t.equal(write('hello '), 0)
  t.strictSame(vcpu.logged, [])
  t.equal(write('world\n\u0007second\n'), 0)
  t.strictSame(vcpu.logged, ['guest: hello world', 'guest: second'])
  for (let n = 0; n < 600; n++) write(`${'x'.repeat(400)}\n`)
  const total = vcpu.logged.reduce((sum, line) => sum + line.length, 0)
  t.ok(total < 80_000, `${total} bytes`)
  t.match(vcpu.logged.at(-1), /more lines are dropped/)
  t.equal(vcpu.hypercall(HYPERVISOR.console_io, CONSOLEIO.read, 1, 0x110000), -1)
  t.equal(vcpu.hypercall(HYPERVISOR.console_io, CONSOLEIO.write, 1n << 60n, 0x7000_0000), -14)
})

t.test('multicall answers each entry in place and may not hold another', async (t) => {
  const { vcpu, memory } = setUp()
  const entry = (op: number, ...args: number[]) =>
    multicall_entry.x64.bytes({ op: BigInt(op), args: [0, 1, 2, 3, 4, 5].map((n) => BigInt(args[n] ?? 0)) })
  memory.write(
    0x110000,
    Buffer.concat([
      entry(HYPERVISOR.xen_version, XENVER.version),
      entry(HYPERVISOR.sched_op, SCHEDOP.pin_override),
      entry(HYPERVISOR.multicall, 0x110000, 1),
    ]),
  )
  t.equal(vcpu.hypercall(HYPERVISOR.multicall, 0x110000, 3), 0)
  const result = (n: number) => memory.view.getBigInt64(memory.hostOffset(0x110000 + n * 64 + 8), true)
  t.strictSame([0, 1, 2].map(result), [0x40011n, -1n, -22n])
  t.equal(vcpu.hypercall(HYPERVISOR.multicall, 0x3fffc0, 2), -14, 'runs off the memory')
})

t.test('set_timer_op: absolute, 0 and negative mean never, two words from 32-bit callers', async (t) => {
  const { vcpu, domain } = setUp()
  const deadline = () => domain.timers.deadline(0)
  t.equal(vcpu.hypercall(HYPERVISOR.set_timer_op, 5_000_000_000n), 0)
  t.equal(deadline(), 5e9)
  vcpu.hypercall(HYPERVISOR.set_timer_op, 0)
  t.equal(deadline(), Infinity)
  vcpu.mode = 32
  vcpu.hypercall(HYPERVISOR.set_timer_op, 7, 1)
  t.equal(deadline(), 2 ** 32 + 7)
  vcpu.hypercall(HYPERVISOR.set_timer_op, 0, 0x8000_0000n)
  t.equal(deadline(), Infinity)
})

t.test('a 32-bit caller has its own structures, registers and answers', async (t) => {
  const { vcpu, memory } = setUp()
  vcpu.mode = 32
  vcpu.regs.fill(0xdead_beef_0000_0000n)
  t.equal(vcpu.hypercall(HYPERVISOR.xen_version, XENVER.version, 0), 0x40011)
  t.equal(vcpu.regs[0], 0x40011n, 'the upper half is clear')
  const entry = multicall_entry.x32.bytes({
    op: BigInt(HYPERVISOR.xen_version),
    args: [7n, 0n, 0n, 0n, 0n, 0n],
  })
  t.equal(entry.length, 32)
  memory.write(0x110000, entry)
  t.equal(vcpu.hypercall(HYPERVISOR.multicall, 0x110000, 1), 0)
  t.equal(memory.view.getUint32(memory.hostOffset(0x110004), true), 4096)
  t.equal(vcpu.hypercall(HYPERVISOR.xen_version, XENVER.platform_parameters, 0x110000), 0)
  t.equal(memory.view.getUint32(memory.hostOffset(0x110000), true), 0xf5800000)
})

t.test('whatever numbers a guest calls with, it gets an answer and no exception', async (t) => {
  const { vcpu } = setUp()
  const arg = fc.oneof(
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    fc.bigInt({ min: 0n, max: 40n }),
    fc.bigInt({ min: 0n, max: 1n << 22n }),
  )
  fc.assert(
    fc.property(
      fc.nat(70),
      arg,
      arg,
      fc.bigInt({ min: 0n, max: 300n }),
      fc.constantFrom(64, 32, 16),
      (nr, a, b, c, mode) => {
        vcpu.mode = mode as 64 | 32 | 16
        const answer = vcpu.hypercall(nr, a, b, c)
        return Number.isInteger(answer) && answer >= -4095
      },
    ),
    { numRuns: 1000 },
  )
  t.pass()
})

import fc from 'fast-check'
import t from 'tap'
import { domid, gfn, gref, port } from '../../src/base/brand.ts'
import { vcpu_time_info } from '../../src/xen/abi/xen.ts'
import { XEN_CPUID_FIRST, xenCpuid } from '../../src/xen/cpuid.ts'
import { Domain } from '../../src/xen/domain.ts'
import { hypercallPage, writeHypercallPageMsr } from '../../src/xen/hypercall-page.ts'
import { timeScale } from '../../src/xen/time.ts'
import { testDomain, testMachine } from './fake-vcpu.ts'

const setup = { domid: domid(6), uuid: new Uint8Array(16), vcpus: 2, tscKhz: 1_000_000, wallclockNs: 0n }

t.test("Xen's leaves name Xen 4.17, the vCPU and the domain", async (t) => {
  const domain = testDomain()
  const leaf = (n: number, subleaf = 0) => {
    const out = { eax: 9, ebx: 9, ecx: 9, edx: 9 }
    xenCpuid(domain, 1, XEN_CPUID_FIRST + n, subleaf, out)
    return out
  }
  const { ebx, ecx, edx } = leaf(0)
  t.equal(Buffer.from(Uint32Array.of(ebx, ecx, edx).buffer).toString(), 'XenVMMXenVMM')
  t.equal(leaf(0).eax, 0x40000005)
  t.equal(leaf(1).eax, 0x40011)
  t.match(leaf(2), { eax: 1, ebx: 0x40000000 })
  t.match(leaf(3), { ebx: 0, ecx: 1_000_000 })
  t.match(leaf(3, 1), { ecx: 0x80000000, edx: 1 })
  t.strictSame(leaf(4), { eax: 0x18, ebx: 1, ecx: 6, edx: 0 })
  t.strictSame(leaf(6), { eax: 0, ebx: 0, ecx: 0, edx: 0 })
})

t.test('bit 6 is there only when vectors of vCPUs are offered', async (t) => {
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 }
  xenCpuid(testDomain({ perVcpuUpcall: true }), 0, XEN_CPUID_FIRST + 4, 0, out)
  t.equal(out.eax, 0x58)
})

t.test('the hypercall page has a stub for each number and latches the 64-bit layout', async (t) => {
  const domain = testDomain()
  t.equal(domain.state.get('layout32'), 1)
  t.equal(writeHypercallPageMsr(domain, 0x200000n, true), true)
  t.equal(domain.state.get('layout32'), 0)
  const page = domain.memory.read(0x200000, 4096)!
  t.strictSame([...page.subarray(32 * 32, 32 * 32 + 10)], [0xb8, 32, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3, 0xcc])
  t.strictSame([...page.subarray(23 * 32, 23 * 32 + 2)], [0x0f, 0x0b], 'iret is no hypercall')
  t.strictSame(page, hypercallPage())
  t.equal(writeHypercallPageMsr(domain, 0x200001n, true), false, 'second page')
  t.equal(writeHypercallPageMsr(domain, 0x7000_0000n, true), false, 'no RAM')
  t.equal(writeHypercallPageMsr(domain, (1n << 64n) - 4096n, true), false)
})

t.test("the clock's factor gives nanoseconds for any TSC frequency", async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1000, max: 10_000_000 }),
      fc.integer({ min: 0, max: 1 << 30 }),
      (khz, ticks) => {
        const { mul, shift } = timeScale(khz)
        const shifted = shift < 0 ? BigInt(ticks) >> BigInt(-shift) : BigInt(ticks) << BigInt(shift)
        const ns = Number((shifted * BigInt(mul)) >> 32n)
        const exact = (ticks * 1e6) / khz
        // The shift and the product each round down once.
        return mul >= 0x7fffffff && mul < 2 ** 32 && Math.abs(ns - exact) <= exact / 1e6 + 2 * (1e6 / khz) + 2
      },
    ),
  )
  t.strictSame(timeScale(1_000_000), { mul: 0x80000000, shift: 1 })
})

t.test('each writing of a clock moves its version from even to even', async (t) => {
  const domain = testDomain()
  const at = domain.memory.hostOffset(0x3000)
  const time = vcpu_time_info.on(domain.memory.view, at)
  domain.clocks.publishAt(at)
  t.equal(time.version, 2)
  domain.clocks.publishAt(at)
  t.equal(time.version, 4)
})

t.test('a guest that starts anew finds its machine as it was at first', async (t) => {
  const memory = testMachine()
  const first = Domain.initialise(memory, setup)
  first.setStore(gfn(0xfeffc))
  const dom0 = first.evtchn.bindFromDom0(port(1), 0)
  const sharedInfo = first.state.get('sharedInfoPage')
  first.mapSharedInfo(0x10)
  first.gnttab.mapFrame(3, 0x4000)
  first.physmap.remove(0x20)
  first.physmap.populate(0x5000)
  const pin = first.grants.pin(gref(1), domid(0), 'ro')
  t.notOk('page' in pin, 'the store page is not mapped in this test')

  const second = Domain.initialise(memory, setup)
  t.equal(second.state.get('sharedInfoPage'), sharedInfo, 'the same page, not one more')
  t.equal(second.gnttab.frames, 1)
  for (const at of [0x10, 0x20]) t.equal(memory.frame(at), memory.ramPage(at))
  for (const at of [0x4000, 0x5000]) t.equal(memory.frame(at), 0)
  t.equal(second.physmap.currentPages(), second.physmap.maximumPages())
  t.equal(second.setStore(gfn(0xfeffc)).port, 1)
  const fresh = second.evtchn.bindFromDom0(port(1), 0)
  t.not(fresh, dom0, "a backend's old port is still its own")
  second.evtchn.closeFromDom0(dom0)
  t.equal(second.evtchn.status(1).remotePort, fresh)
})

t.test('any thread sees the same domain', async (t) => {
  const domain = testDomain()
  const other = new Domain(domain.memory)
  t.equal(other.domid, 6)
  const at = domain.evtchn.bindIpi(1)
  other.evtchn.send(at)
  t.ok(domain.upcall.isPending(1) || domain.evtchn.delivery.isPending(at))
  t.throws(() => domain.setMemoryMap(Array(129).fill({ addr: 0n, size: 0n, type: 1 })), RangeError)
})

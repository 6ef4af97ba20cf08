import fc from 'fast-check'
import t from 'tap'
import {
  XENMAPSPACE,
  XENMEM,
  xen_add_to_physmap,
  xen_add_to_physmap_batch,
  xen_memory_map,
  xen_memory_reservation,
  xen_remove_from_physmap,
} from '../../../src/xen/abi/memory.ts'
import { struct, u16 } from '../../../src/xen/abi/struct.ts'
import { DOMID, HYPERVISOR } from '../../../src/xen/abi/xen.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'

const MEMORY = HYPERVISOR.memory_op
const LIST = 0x110000
const domid_t = struct('domid_t', '', { dom: u16() })
const PAGES = (4 << 20) / 4096

function setUp() {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  const frames = (list: readonly (number | bigint)[]) =>
    domain.memory.write(LIST, new Uint8Array(BigUint64Array.from(list.map(BigInt)).buffer))
  const reserve = (op: number, list: readonly number[], order = 0, domid: number = DOMID.SELF) => {
    frames(list)
    return vcpu.op(MEMORY, op, xen_memory_reservation, {
      extent_start: BigInt(LIST),
      nr_extents: BigInt(list.length),
      extent_order: order,
      domid,
    }).result
  }
  const count = (op: number, dom: number = DOMID.SELF) => vcpu.op(MEMORY, op, domid_t, { dom }).result
  return { domain, vcpu, frames, reserve, count, memory: domain.memory }
}

t.test('the balloon gives pages back and gets zeroed ones', async (t) => {
  const { reserve, count, memory, vcpu } = setUp()
  memory.write(0x300000, Uint8Array.of(1, 2, 3))
  t.equal(reserve(XENMEM.decrease_reservation, [0x300, 0x301]), 2)
  t.equal(vcpu.physmapChanges, 1)
  t.equal(memory.frame(0x300), 0)
  t.equal(count(XENMEM.current_reservation), PAGES - 2)
  t.equal(count(XENMEM.maximum_reservation), PAGES)
  t.equal(reserve(XENMEM.populate_physmap, [0x301, 0x300]), 2)
  t.equal(memory.frame(0x300), memory.ramPage(0x300), 'its own page when that is free')
  t.strictSame([...memory.read(0x300000, 3)!], [0, 0, 0])
  t.equal(count(XENMEM.current_reservation), PAGES)
})

t.test('pages can come back at other frames, and no more than were given', async (t) => {
  const { reserve, memory, count } = setUp()
  t.equal(reserve(XENMEM.decrease_reservation, [0x10, 0x20]), 2)
  t.equal(reserve(XENMEM.populate_physmap, [0x5000, 0x5001, 0x5002]), 2)
  t.not(memory.frame(0x5000), memory.frame(0x5001))
  t.equal(memory.frame(0x5002), 0)
  t.equal(count(XENMEM.maximum_gpfn), 0x5001)
})

t.test('a partial answer says how far it came', async (t) => {
  const { reserve } = setUp()
  t.equal(reserve(XENMEM.decrease_reservation, [0x10, 0x10, 0x11]), 1, 'the second is gone already')
  t.equal(reserve(XENMEM.decrease_reservation, [0x200], 4), 1, '16 frames')
  t.equal(reserve(XENMEM.decrease_reservation, [0x300], 10), 0, 'too large an extent')
  t.equal(reserve(XENMEM.populate_physmap, [0x200], 4), 1)
  t.equal(reserve(XENMEM.decrease_reservation, [0x10], 0, 0), -1, 'not of domain 0')
})

t.test('extents that a guest claims and has not cost nothing', async (t) => {
  const { vcpu } = setUp()
  const claim = (extent_start: bigint, nr_extents: bigint) =>
    vcpu.op(MEMORY, XENMEM.populate_physmap, xen_memory_reservation, {
      extent_start,
      nr_extents,
      domid: DOMID.SELF,
    }).result
  t.equal(claim(0x7fff_ffff_ffffn, (1n << 64n) - 1n), 0, 'list unreadable')
  t.equal(claim(BigInt(LIST), 0n), 0)
  t.equal(vcpu.hypercall(MEMORY, XENMEM.populate_physmap, 0x7fff_0000_0000n), 0, 'argument unreadable')
})

t.test('whatever a guest does with its map: pages are neither lost nor in two places', async (t) => {
  const step = fc.record({
    op: fc.constantFrom(
      XENMEM.decrease_reservation,
      XENMEM.populate_physmap,
      XENMEM.add_to_physmap,
      XENMEM.remove_from_physmap,
    ),
    gfn: fc.oneof(fc.integer({ min: 0x380, max: 0x3ff }), fc.integer({ min: 0x4000, max: 0x4010 })),
    to: fc.integer({ min: 0x380, max: 0x3ff }),
    space: fc.constantFrom(XENMAPSPACE.shared_info, XENMAPSPACE.grant_table, XENMAPSPACE.gmfn),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { vcpu, reserve, memory, count } = setUp()
      for (const { op, gfn, to, space } of steps) {
        if (op === XENMEM.add_to_physmap) {
          const idx = space === XENMAPSPACE.gmfn ? BigInt(gfn) : BigInt(to % 2)
          vcpu.op(MEMORY, op, xen_add_to_physmap, { domid: DOMID.SELF, space, idx, gpfn: BigInt(to) })
        } else if (op === XENMEM.remove_from_physmap) {
          vcpu.op(MEMORY, op, xen_remove_from_physmap, { domid: DOMID.SELF, gpfn: BigInt(gfn) })
        } else reserve(op, [gfn])
      }
      const mapped = Array.from({ length: 0x4011 }, (_, gfn) => memory.frame(gfn)).filter(
        (page) => page !== 0,
      )
      const first = memory.layout.ram / 4096
      const ram = mapped.filter((page) => page >= first && page < first + PAGES)
      return new Set(mapped).size === mapped.length && ram.length === count(XENMEM.current_reservation)
    }),
    { numRuns: 60 },
  )
  t.pass()
})

t.test('shared_info moves when it is mapped again', async (t) => {
  const { vcpu, memory, domain } = setUp()
  const map = (gpfn: bigint, idx = 0n) =>
    vcpu.op(MEMORY, XENMEM.add_to_physmap, xen_add_to_physmap, { domid: DOMID.SELF, idx, gpfn }).result
  t.equal(map(0x20n), 0)
  t.equal(map(0x3f_0000n), 0, 'a frame without RAM')
  t.equal(memory.frame(0x20), 0)
  t.equal(memory.frame(0x3f_0000), domain.state.get('sharedInfoPage'))
  t.equal(map(0x20n, 1n), -22)
  t.equal(map(0x400_0000n), -22, 'above what the map can hold')
  t.equal(map((1n << 64n) - 1n), -22)
})

t.test('grant frames beyond the limit, status frames and other spaces are refused', async (t) => {
  const { vcpu } = setUp()
  const map = (space: number, idx: bigint, domid: number = DOMID.SELF) =>
    vcpu.op(MEMORY, XENMEM.add_to_physmap, xen_add_to_physmap, { domid, space, idx, gpfn: 0x4000n }).result
  t.equal(map(XENMAPSPACE.grant_table, 63n), 0)
  t.equal(map(XENMAPSPACE.grant_table, 64n), -22)
  t.equal(map(XENMAPSPACE.grant_table, 0x80000000n), -22)
  t.equal(map(XENMAPSPACE.gmfn_foreign, 0n), -38)
  t.equal(map(XENMAPSPACE.dev_mmio, 0n), -22)
  t.equal(map(XENMAPSPACE.gmfn, 0x3f_0000n), -22, 'no RAM there')
  t.equal(map(XENMAPSPACE.shared_info, 0n, 0), -1)
  t.equal(map(XENMAPSPACE.shared_info, 0n, 55), -3)
})

t.test('a batch gives each entry its own answer', async (t) => {
  const { vcpu, memory, frames } = setUp()
  frames([0, 64, 1])
  memory.write(LIST + 0x100, new Uint8Array(BigUint64Array.from([0x4000n, 0x4001n, 0x4002n]).buffer))
  const batch = (space: number, size: number) =>
    vcpu.op(MEMORY, XENMEM.add_to_physmap_batch, xen_add_to_physmap_batch, {
      domid: DOMID.SELF,
      space,
      size,
      idxs: BigInt(LIST),
      gpfns: BigInt(LIST + 0x100),
      errs: BigInt(LIST + 0x200),
    }).result
  t.equal(batch(XENMAPSPACE.grant_table, 3), 0)
  const errors = new Int32Array(memory.read(LIST + 0x200, 12)!.buffer)
  t.strictSame([...errors], [0, -22, 0])
  t.equal(batch(XENMAPSPACE.gmfn_foreign, 1), -1)
  t.equal(batch(XENMAPSPACE.gmfn_range, 1), -22)
  t.equal(batch(XENMAPSPACE.grant_table, 0), 0)
})

t.test('the memory map is what the toolstack set', async (t) => {
  const { vcpu, domain, memory } = setUp()
  const ask = (nr_entries: number) =>
    vcpu.op(MEMORY, XENMEM.memory_map, xen_memory_map, { nr_entries, buffer: BigInt(LIST) })
  t.equal(ask(10).result, -38, 'none')
  domain.setMemoryMap([
    { addr: 0n, size: 0x400000n, type: 1 },
    { addr: 0xfeff8000n, size: 0x8000n, type: 2 },
  ])
  t.equal(ask(1).result, -105)
  t.match(ask(10), { result: 0, out: { nr_entries: 2 } })
  const map = new DataView(memory.read(LIST, 40)!.buffer)
  t.equal(map.getBigUint64(20, true), 0xfeff8000n)
  t.equal(map.getUint32(36, true), 2)
})

t.test('removing what is not there is ENOENT; unknown operations are named', async (t) => {
  const { vcpu } = setUp()
  const remove = (gpfn: bigint) =>
    vcpu.op(MEMORY, XENMEM.remove_from_physmap, xen_remove_from_physmap, { domid: DOMID.SELF, gpfn }).result
  t.equal(remove(0x3f_0000n), -2)
  t.equal(remove(0x30n), 0)
  t.equal(remove(0x30n), -2)
  t.equal(vcpu.hypercall(MEMORY, XENMEM.reserved_device_memory_map, 0), -38)
  t.match(vcpu.logged, [/memory_op XENMEM_reserved_device_memory_map\(0x1b, 0x0, /])
  t.equal(vcpu.hypercall(MEMORY, XENMEM.machine_memory_map, 0), -38)
  t.equal(vcpu.logged.length, 1, 'what Xen refuses too is no news')
})

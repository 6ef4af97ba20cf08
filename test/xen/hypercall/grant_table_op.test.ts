import t from 'tap'
import { gref } from '../../../src/base/brand.ts'
import {
  GNTCOPY,
  GNTMAP,
  GNTST,
  GNTTABOP,
  GTF,
  gnttab_copy,
  gnttab_get_version,
  gnttab_map_grant_ref,
  gnttab_query_size,
  gnttab_setup_table,
  gnttab_swap_grant_ref,
  gnttab_unmap_grant_ref,
  grant_entry_v1,
} from '../../../src/xen/abi/grant_table.ts'
import { XENMAPSPACE, XENMEM, xen_add_to_physmap } from '../../../src/xen/abi/memory.ts'
import { DOMID, HYPERVISOR } from '../../../src/xen/abi/xen.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'

const GNTTAB = HYPERVISOR.grant_table_op
const LIST = 0x110000

function setUp() {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  const grant = (ref: number, flags: number, domid: number, frame: number) =>
    grant_entry_v1.x64.write(domain.memory.view, domain.gnttab.entry(gref(ref)), { flags, domid, frame })
  return { domain, vcpu, grant, memory: domain.memory }
}

t.test('copy moves bytes between own frames and grants, each with its status', async (t) => {
  const { vcpu, memory, grant } = setUp()
  grant(9, GTF.permit_access, 6, 0x201)
  grant(10, GTF.permit_access | GTF.readonly, 6, 0x201)
  memory.write(0x200010, Uint8Array.of(7, 8, 9))
  const copy = (values: object, dest: object = {}) => {
    const source = { u: { gmfn: 0x200n }, domid: DOMID.SELF, offset: 0x10 }
    const to = { u: { ref: 9 }, domid: DOMID.SELF, offset: 0x20, ...dest }
    const op = { source, dest: to, len: 3, flags: GNTCOPY.dest_gref, ...values }
    const { result, out } = vcpu.op(GNTTAB, GNTTABOP.copy, gnttab_copy, op as never, 1)
    t.equal(result, 0)
    return out.status
  }
  t.equal(copy({}), GNTST.okay)
  t.strictSame([...memory.read(0x201020, 3)!], [7, 8, 9])
  t.equal(copy({ len: 4096 }), GNTST.bad_copy_arg)
  t.equal(copy({}, { u: { ref: 10 } }), GNTST.general_error, 'read-only')
  t.equal(copy({}, { u: { ref: 4000 } }), GNTST.bad_gntref)
  t.equal(copy({}, { domid: 0 }), GNTST.bad_gntref, 'domain 0 grants nothing')
  t.equal(copy({}, { domid: 42 }), GNTST.bad_domain)
  t.equal(copy({ flags: 0 }, { domid: 0, u: { gmfn: 1n } }), GNTST.permission_denied, 'frames of others')
  t.equal(copy({ flags: 0 }, { u: { gmfn: 0x9999n } }), GNTST.bad_page)
})

t.test('setup_table grows the table and tells where the guest sees its frames', async (t) => {
  const { vcpu, memory, domain } = setUp()
  vcpu.op(HYPERVISOR.memory_op, XENMEM.add_to_physmap, xen_add_to_physmap, {
    domid: DOMID.SELF,
    space: XENMAPSPACE.grant_table,
    idx: 0n,
    gpfn: 0x8000n,
  })
  const set = (nr_frames: number, frame_list = BigInt(LIST)) =>
    vcpu.op(GNTTAB, GNTTABOP.setup_table, gnttab_setup_table, { dom: DOMID.SELF, nr_frames, frame_list }, 1)
      .out.status
  t.equal(set(2), GNTST.okay)
  const frames = new BigUint64Array(memory.read(LIST, 16)!.buffer)
  t.strictSame([...frames], [0x8000n, 0xffff_ffff_ffff_ffffn])
  t.equal(domain.gnttab.frames, 2)
  t.equal(set(65), GNTST.general_error)
  t.equal(set(1, 0x7000_0000n), GNTST.bad_virt_addr)
})

t.test('swapping exchanges two entries unless one is in use', async (t) => {
  const { vcpu, grant, domain } = setUp()
  grant(9, GTF.permit_access, 0, 0x111)
  grant(10, GTF.permit_access | GTF.readonly, 3, 0x222)
  const swap = (ref_a: number, ref_b: number) =>
    vcpu.op(GNTTAB, GNTTABOP.swap_grant_ref, gnttab_swap_grant_ref, { ref_a, ref_b }, 1).out.status
  t.equal(swap(9, 10), GNTST.okay)
  t.equal(grant_entry_v1.copy(domain.memory.view, domain.gnttab.entry(gref(10))).frame, 0x111)
  t.equal(swap(9, 9999), GNTST.bad_gntref)
  domain.grants.pin(gref(10), 0 as never, 'ro')
  t.equal(swap(9, 10), GNTST.eagain)
})

t.test('nobody grants pages to this domain', async (t) => {
  const { vcpu } = setUp()
  const map = (dom: number, flags: number = GNTMAP.host_map) =>
    vcpu.op(GNTTAB, GNTTABOP.map_grant_ref, gnttab_map_grant_ref, { dom, flags, ref: 9 }, 1).out.status
  t.equal(map(0), GNTST.bad_gntref)
  t.equal(map(42), GNTST.bad_domain)
  t.equal(map(0, 0), GNTST.bad_gntref)
  t.equal(map(0, GNTMAP.device_map), GNTST.general_error)
  t.equal(map(6), GNTST.general_error)
  t.equal(vcpu.logged.length, 1, 'mapping own grants is not done, and said')
  t.equal(
    vcpu.op(GNTTAB, GNTTABOP.unmap_grant_ref, gnttab_unmap_grant_ref, {}, 1).out.status,
    GNTST.bad_handle,
  )
})

t.test('lists end where memory does; single operations take one', async (t) => {
  const { vcpu } = setUp()
  t.equal(vcpu.hypercall(GNTTAB, GNTTABOP.copy, 0x3fffe0, 5), -14)
  t.equal(vcpu.hypercall(GNTTAB, GNTTABOP.copy, 0x7000_0000, 0), 0)
  t.equal(vcpu.hypercall(GNTTAB, GNTTABOP.copy, LIST, 0x8000_0000n), -22)
  t.equal(vcpu.op(GNTTAB, GNTTABOP.query_size, gnttab_query_size, { dom: DOMID.SELF }, 2).result, -22)
  t.equal(
    vcpu.op(GNTTAB, GNTTABOP.query_size, gnttab_query_size, { dom: 0 }, 1).out.status,
    GNTST.permission_denied,
  )
  t.match(vcpu.op(GNTTAB, GNTTABOP.get_version, gnttab_get_version, { dom: DOMID.SELF }, 1), {
    result: 0,
    out: { version: 1 },
  })
  t.equal(vcpu.hypercall(GNTTAB, GNTTABOP.get_status_frames, LIST, 1), -38)
  t.equal(vcpu.logged.length, 0)
})

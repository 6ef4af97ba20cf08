/**
 * __HYPERVISOR_grant_table_op (grant_table.h), version 1: a list of operations, each with its own GNTST_* status.
 */
import { gref } from '../../base/brand.ts'
import { PAGE_SIZE } from '../../base/machine-memory.ts'
import { EFAULT, EINVAL, ENOSYS } from '../abi/errno.ts'
import {
  GNTCOPY,
  GNTMAP,
  GNTST,
  gnttab_copy,
  gnttab_dump_table,
  gnttab_get_version,
  gnttab_map_grant_ref,
  gnttab_query_size,
  gnttab_set_version,
  gnttab_setup_table,
  gnttab_swap_grant_ref,
  gnttab_transfer,
  gnttab_unmap_and_replace,
  gnttab_unmap_grant_ref,
} from '../abi/grant_table.ts'
import type { Fields, Struct, Values } from '../abi/struct.ts'
import { DOMID, HYPERVISOR } from '../abi/xen.ts'
import { DOM0 } from '../evtchn/ports.ts'
import { frameNumber } from '../physmap.ts'
import { type Call, refuse, type SubOps } from './call.ts'

/** XEN: Xen takes 2^31 and stops in between for others; here a vCPU must be able to park. */
const MOST_OPERATIONS = 65536n

type CopyEnd = Values<typeof gnttab_copy.fields>['source']

/** One end of a copy: the bytes of a page, or the status that says why not. `release` when they were used. */
function copyEnd(
  call: Call,
  end: CopyEnd,
  isGref: boolean,
  access: 'ro' | 'rw',
): { readonly bytes: Uint8Array; release(): void } | { readonly status: number } {
  const { domain } = call
  const isOwn = end.domid === DOMID.SELF || end.domid === domain.domid
  if (!isGref) {
    if (end.domid !== DOMID.SELF) return { status: GNTST.permission_denied }
    const page = domain.memory.frame(frameNumber(end.u.gmfn))
    return page === 0 ? { status: GNTST.bad_page } : { bytes: domain.grants.bytes(page), release: () => {} }
  }
  if (!isOwn) return { status: end.domid === DOM0 ? GNTST.bad_gntref : GNTST.bad_domain }
  const ref = gref(end.u.ref)
  const pin = domain.grants.pin(ref, domain.domid, access)
  if ('status' in pin) return pin
  return { bytes: domain.grants.bytes(pin.page), release: () => domain.grants.unpin(ref, access) }
}

function copy(call: Call, op: Values<typeof gnttab_copy.fields>): number {
  // GUEST: neither end may leave its page.
  if (op.source.offset + op.len > PAGE_SIZE || op.dest.offset + op.len > PAGE_SIZE) return GNTST.bad_copy_arg
  const source = copyEnd(call, op.source, (op.flags & GNTCOPY.source_gref) !== 0, 'ro')
  if ('status' in source) return source.status
  const dest = copyEnd(call, op.dest, (op.flags & GNTCOPY.dest_gref) !== 0, 'rw')
  if (!('status' in dest)) {
    dest.bytes.set(source.bytes.subarray(op.source.offset, op.source.offset + op.len), op.dest.offset)
    dest.release()
  }
  source.release()
  return 'status' in dest ? dest.status : GNTST.okay
}

/** Other domains grant nothing to this one: the only backends there are live on the host's side. */
function map(call: Call, op: Values<typeof gnttab_map_grant_ref.fields>): number {
  if ((op.flags & (GNTMAP.host_map | GNTMAP.device_map)) === 0) return GNTST.bad_gntref
  // Not for guests with translated memory.
  if ((op.flags & ~(GNTMAP.host_map | GNTMAP.readonly) & 0xffff) !== 0) return GNTST.general_error
  if (op.dom === DOM0) return GNTST.bad_gntref
  if (op.dom !== call.domain.domid) return GNTST.bad_domain
  call.unimplemented('grant_table_op GNTTABOP_map_grant_ref of the own domain', HYPERVISOR.grant_table_op, 0)
  return GNTST.general_error
}

/** Whose table: this domain's, or the status that says why not. */
const own = (call: Call, dom: number) =>
  dom === DOMID.SELF || dom === call.domain.domid
    ? GNTST.okay
    : dom === 0
      ? GNTST.permission_denied
      : GNTST.bad_domain

/** A sub-operation over a list: each element gets its own status. */
const each =
  <F extends Fields>(type: Struct<F>, run: (call: Call, op: Values<F>) => Partial<Values<F>>) =>
  (call: Call, list: bigint, count: bigint): number => {
    // GUEST: bounded; a list that ends in unmapped memory ends there.
    if (count > MOST_OPERATIONS) return -EINVAL
    const size = BigInt(type.for(call.abi).size)
    for (let n = 0n; n < count; n++) {
      const at = list + n * size
      const op = call.fetch(at, type)
      if (op === undefined || !call.put(at, type, run(call, op))) return -EFAULT
    }
    return 0
  }

/** A sub-operation over exactly one structure: it answers what to write back. */
const single =
  <F extends Fields>(type: Struct<F>, run: (call: Call, op: Values<F>) => Partial<Values<F>> | number) =>
  (call: Call, arg: bigint, count: bigint): number => {
    if (count !== 1n) return -EINVAL
    const op = call.fetch(arg, type)
    if (op === undefined) return -EFAULT
    const out = run(call, op)
    return typeof out === 'number' ? out : call.answer(arg, type, out)
  }

export const grantTableOp: SubOps = {
  map_grant_ref: each(gnttab_map_grant_ref, (call, op) => ({ status: map(call, op) })),
  unmap_grant_ref: each(gnttab_unmap_grant_ref, () => ({ status: GNTST.bad_handle })),
  unmap_and_replace: each(gnttab_unmap_and_replace, () => ({ status: GNTST.bad_handle })),
  dump_table: single(gnttab_dump_table, () => ({ status: GNTST.permission_denied })),
  // No page of a translated guest can be taken away from it.
  transfer: each(gnttab_transfer, () => ({ status: GNTST.bad_page })),
  copy: each(gnttab_copy, (call, op) => ({ status: copy(call, op) })),
  swap_grant_ref: each(gnttab_swap_grant_ref, (call, op) => ({
    status: call.domain.grants.swap(gref(op.ref_a), gref(op.ref_b)),
  })),
  setup_table: single(gnttab_setup_table, (call, op) => {
    const { gnttab } = call.domain
    const denied = own(call, op.dom)
    if (denied !== GNTST.okay) return { status: denied }
    if (op.nr_frames > gnttab.maxFrames) return { status: GNTST.general_error }
    if (gnttab.grow(op.nr_frames) < 0) return { status: GNTST.general_error }
    const bytes = new Uint8Array(op.nr_frames * (call.abi / 8))
    const view = new DataView(bytes.buffer)
    for (let n = 0; n < op.nr_frames; n++) {
      // A frame that the guest has not mapped has no frame number of its own.
      const gfn = gnttab.frameGfn(n)
      if (call.abi === 64)
        view.setBigUint64(n * 8, gfn === undefined ? 0xffff_ffff_ffff_ffffn : BigInt(gfn), true)
      else view.setUint32(n * 4, gfn ?? 0xffffffff, true)
    }
    return call.vcpu.writeVirtual(op.frame_list, bytes)
      ? { status: GNTST.okay }
      : { status: GNTST.bad_virt_addr }
  }),
  query_size: single(gnttab_query_size, (call, op) => {
    const status = own(call, op.dom)
    if (status !== GNTST.okay) return { status }
    const { frames, maxFrames } = call.domain.gnttab
    return { nr_frames: frames, max_nr_frames: maxFrames, status }
  }),
  set_version: single(gnttab_set_version, (_call, op) => (op.version === 1 ? { version: 1 } : -EINVAL)),
  get_version: single(gnttab_get_version, (call, op) =>
    own(call, op.dom) === GNTST.okay ? { version: 1 } : -EINVAL,
  ),
  get_status_frames: refuse(ENOSYS, 'version 2 tables are not offered'),
  cache_flush: refuse(ENOSYS, 'only on Arm'),
}

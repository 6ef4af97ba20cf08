/**
 * __HYPERVISOR_grant_table_op (grant_table.h), version 1: a list of operations, each with its own GNTST_* status.
 */
import { EFAULT, EINVAL, ENOSYS } from '../abi/errno.ts'
import {
  GNTST,
  gnttab_get_version,
  gnttab_query_size,
  gnttab_set_version,
  gnttab_setup_table,
} from '../abi/grant_table.ts'
import type { Fields, Struct, Values } from '../abi/struct.ts'
import { DOMID } from '../abi/xen.ts'
import { type Call, refuse, type SubOps } from './call.ts'

/** Whose table: this domain's, or the status that says why not. */
const own = (call: Call, dom: number) =>
  dom === DOMID.SELF || dom === call.domain.domid
    ? GNTST.okay
    : dom === 0
      ? GNTST.permission_denied
      : GNTST.bad_domain

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

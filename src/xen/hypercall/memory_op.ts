/** __HYPERVISOR_memory_op (memory.h): overlays, balloon, memory map. */
import { PHYSMAP_FRAMES } from '../../base/machine-memory.ts'
import { EFAULT, EINVAL, ENOBUFS, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../abi/errno.ts'
import {
  E820_ENTRY_BYTES,
  MEMOP_EXTENT_SHIFT,
  XENMAPIDX_grant_table_status,
  XENMAPSPACE,
  xen_add_to_physmap,
  xen_add_to_physmap_batch,
  xen_memory_map,
  xen_memory_reservation,
  xen_remove_from_physmap,
  xen_vnuma_topology_info,
} from '../abi/memory.ts'
import { struct, u16 } from '../abi/struct.ts'
import { DOM0 } from '../evtchn/ports.ts'
import { frameNumber } from '../physmap.ts'
import { type Call, refuse, type SubOps } from './call.ts'

/** Largest extent a guest without hardware may ask for (CONFIG_DOMU_MAX_ORDER). */
const MAX_ORDER = 9
const domid_arg = struct('domid_arg', '', { dom: u16() })

/** Maps one page of a space at a frame: 0 or a negative errno. */
function mapOne(call: Call, space: number, idx: bigint, to: bigint): number {
  const { domain } = call
  // GUEST: 64-bit numbers; -1 is refused below as no frame.
  const gfn = frameNumber(to)
  switch (space) {
    case XENMAPSPACE.shared_info: {
      if (idx !== 0n) return -EINVAL
      const done = domain.mapSharedInfo(gfn)
      // XEN: latched here too, so that a kernel without hypercall page has its own layout from the first look.
      if (done === 0 && call.abi === 64) domain.latchLayout(true)
      return done
    }
    case XENMAPSPACE.grant_table:
      if (idx >= XENMAPIDX_grant_table_status || idx >= BigInt(domain.gnttab.maxFrames)) return -EINVAL
      return domain.gnttab.mapFrame(Number(idx), gfn)
    case XENMAPSPACE.gmfn:
    case XENMAPSPACE.gmfn_range:
      return domain.physmap.move(frameNumber(idx), gfn)
    default:
      return -EINVAL
  }
}

/** Pages one call changes at most; a guest goes on with the rest, as after any partial answer. */
const PAGES_PER_CALL = 32768

/** Runs `each` over the extents of a reservation and answers how many were done, as Xen does even for bad arguments. */
function extents(call: Call, arg: bigint, start: number, each: (gfn: number) => boolean): number {
  const op = call.fetch(arg, xen_memory_reservation)
  if (op === undefined) return start
  const denied = call.domain.evtchn.own(op.domid)
  if (denied !== 0) return denied === -ESRCH ? start : denied
  if (op.extent_order > MAX_ORDER || BigInt(start) >= op.nr_extents) return start
  // GUEST: however many are claimed, one call ends soon: a vCPU must be able to park.
  const most = start + Math.max(1, PAGES_PER_CALL >> op.extent_order)
  const count = op.nr_extents < BigInt(most) ? Number(op.nr_extents) : most
  let done = start
  try {
    for (; done < count; done++) {
      const first = call.word(op.extent_start, done)
      if (first === undefined) return done
      const gfn = frameNumber(first)
      if (gfn < 0) return done
      for (let n = 0; n < 1 << op.extent_order; n++) if (!each(gfn + n)) return done
    }
    return done
  } finally {
    if (done > start) call.vcpu.physmapChanged()
  }
}

const pagesOf = (count: (call: Call) => number) => (call: Call, arg: bigint) => {
  const op = call.fetch(arg, domid_arg)
  if (op === undefined) return -EFAULT
  return call.domain.evtchn.own(op.dom) || count(call)
}

export const memoryOp: SubOps = {
  decrease_reservation: (call, arg, start) =>
    extents(call, arg, Number(start), (gfn) => call.domain.physmap.remove(gfn) === 0),
  populate_physmap: (call, arg, start) =>
    extents(call, arg, Number(start), (gfn) => call.domain.physmap.populate(gfn) === 0),
  maximum_ram_page: () => PHYSMAP_FRAMES,
  current_reservation: pagesOf((call) => call.domain.physmap.currentPages()),
  maximum_reservation: pagesOf((call) => call.domain.physmap.maximumPages()),
  maximum_gpfn: pagesOf((call) => call.domain.physmap.maximumGfn()),
  add_to_physmap: (call, arg) => {
    const op = call.fetch(arg, xen_add_to_physmap)
    if (op === undefined) return -EFAULT
    const denied = call.domain.evtchn.own(op.domid)
    if (denied !== 0) return denied
    if (op.space === XENMAPSPACE.gmfn_foreign) return -ENOSYS
    const count = op.space === XENMAPSPACE.gmfn_range ? op.size : 1
    let result = 0
    for (let n = 0; n < count && result === 0; n++)
      result = mapOne(call, op.space, op.idx + BigInt(n), op.gpfn + BigInt(n))
    call.vcpu.physmapChanged()
    return result
  },
  add_to_physmap_batch: (call, arg) => {
    const op = call.fetch(arg, xen_add_to_physmap_batch)
    if (op === undefined) return -EFAULT
    const denied = call.domain.evtchn.own(op.domid)
    if (denied !== 0) return denied
    if (op.space === XENMAPSPACE.gmfn_range) return -EINVAL
    if (op.space === XENMAPSPACE.gmfn_foreign) return op.foreign_domid === DOM0 ? -EPERM : -ESRCH
    for (let n = 0; n < op.size; n++) {
      const idx = call.word(op.idxs, n)
      const gpfn = call.word(op.gpfns, n)
      if (idx === undefined || gpfn === undefined) return -EFAULT
      const error = new Uint8Array(4)
      new DataView(error.buffer).setInt32(0, mapOne(call, op.space, idx, gpfn), true)
      if (!call.vcpu.writeVirtual(op.errs + BigInt(n * 4), error)) return -EFAULT
    }
    call.vcpu.physmapChanged()
    return 0
  },
  remove_from_physmap: (call, arg) => {
    const op = call.fetch(arg, xen_remove_from_physmap)
    if (op === undefined) return -EFAULT
    const denied = call.domain.evtchn.own(op.domid)
    if (denied !== 0) return denied
    const done = call.domain.physmap.remove(frameNumber(op.gpfn))
    call.vcpu.physmapChanged()
    return done
  },
  memory_map: (call, arg) => {
    const op = call.fetch(arg, xen_memory_map)
    if (op === undefined) return -EFAULT
    const map = call.domain.memoryMap()
    const entries = map.length / E820_ENTRY_BYTES
    if (entries === 0) return -ENOSYS
    if (op.nr_entries < entries) return -ENOBUFS
    if (!call.vcpu.writeVirtual(op.buffer, map)) return -EFAULT
    return call.answer(arg, xen_memory_map, { nr_entries: entries })
  },
  get_vnumainfo: (call, arg) =>
    call.fetch(arg, xen_vnuma_topology_info) === undefined ? -EFAULT : -EOPNOTSUPP,
  increase_reservation: {
    run: (_call, _arg, start) => Number(start),
    note: '0 extents done: pages come by populate_physmap',
  },
  exchange: refuse(EOPNOTSUPP, 'not for translated guests'),
  get_sharing_freed_pages: { run: () => 0, note: '0: nothing is shared' },
  get_sharing_shared_pages: { run: () => 0, note: '0: nothing is shared' },
  machphys_mfn_list: refuse(EPERM, 'only a privileged domain'),
  machphys_compat_mfn_list: refuse(EPERM, 'only a privileged domain'),
  set_pod_target: refuse(EPERM, 'only the toolstack'),
  get_pod_target: refuse(EPERM, 'only the toolstack'),
  claim_pages: refuse(EPERM, 'only the toolstack'),
  paging_op: refuse(EPERM, 'only a privileged domain'),
  access_op: refuse(EPERM, 'only a privileged domain'),
  sharing_op: refuse(EPERM, 'only a privileged domain'),
  machine_memory_map: refuse(ENOSYS, 'not for HVM guests'),
  machphys_mapping: refuse(ENOSYS, 'not for HVM guests'),
  set_memory_map: refuse(EPERM, 'only the toolstack'),
  acquire_resource: refuse(EPERM, 'only a privileged domain'),
}

/** Where a continuation goes on, from the upper bits of the command. */
export const startExtent = (cmd: number) => cmd >>> MEMOP_EXTENT_SHIFT

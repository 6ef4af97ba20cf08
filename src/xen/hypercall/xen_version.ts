/** __HYPERVISOR_xen_version (version.h): what the hypervisor says of itself. */
import { EFAULT, EINVAL, EPERM } from '../abi/errno.ts'
import {
  XENFEAT,
  xen_compile_info,
  xen_domain_handle,
  xen_feature_info,
  xen_platform_parameters,
} from '../abi/version.ts'
import { type Call, refuse, type SubOps } from './call.ts'

/** The Xen whose ABI and answers this is. */
export const XEN_MAJOR = 4
export const XEN_MINOR = 17
export const EXTRAVERSION = '-xt'
export const CAPABILITIES = 'hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 '
/** What an unprivileged domain gets where Xen hides something. */
const DENIED = '<denied>'

/** Features of a PVH guest (submap 0). Bits 18 and 19 belong to calls that Xen 4.17 does not have. */
export const PVH_FEATURES = [
  XENFEAT.writable_page_tables,
  XENFEAT.auto_translated_physmap,
  XENFEAT.hvm_callback_vector,
  XENFEAT.hvm_safe_pvclock,
  XENFEAT.memory_op_vnode_supported,
  XENFEAT.not_direct_mapped,
].reduce<number>((bits, n) => bits | (1 << n), 0)

/** Where Xen's part of the address space starts for PV guests; HVM guests only print it. */
const VIRT_START = { 64: 0xffff_8000_0000_0000n, 32: 0xf580_0000n } as const

function text(value: string, size: number): Uint8Array {
  const out = new Uint8Array(size)
  for (let i = 0; i < value.length && i < size - 1; i++) out[i] = value.charCodeAt(i)
  return out
}

const putText = (value: string, size: number) => (call: Call, arg: bigint) =>
  call.vcpu.writeVirtual(arg, text(value, size)) ? 0 : -EFAULT

export const xenVersion: SubOps = {
  version: () => (XEN_MAJOR << 16) | XEN_MINOR,
  extraversion: putText(EXTRAVERSION, 16),
  compile_info: (call, arg) =>
    call.answer(arg, xen_compile_info, {
      compiler: text('TypeScript', 64),
      compile_by: text('xt', 16),
      compile_domain: text('', 32),
      compile_date: text('', 32),
    }),
  capabilities: putText(CAPABILITIES, 1024),
  changeset: putText('', 64),
  platform_parameters: (call, arg) =>
    call.answer(arg, xen_platform_parameters, { virt_start: VIRT_START[call.abi] }),
  get_features: (call, arg) => {
    const info = call.fetch(arg, xen_feature_info)
    if (info === undefined) return -EFAULT
    if (info.submap_idx !== 0) return -EINVAL
    return call.answer(arg, xen_feature_info, { submap: PVH_FEATURES })
  },
  pagesize: (_call, arg) => (arg === 0n ? 4096 : -EINVAL),
  guest_handle: (call, arg) => {
    const uuid = call.domain.state.bytes('uuid').slice()
    return uuid.length === xen_domain_handle.size && call.vcpu.writeVirtual(arg, uuid) ? 0 : -EFAULT
  },
  commandline: putText(DENIED, 1024),
  build_id: refuse(EPERM, 'only a privileged domain'),
}

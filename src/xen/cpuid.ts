/** Xen's CPUID leaves (arch-x86/cpuid.h; xen-abi section 1). */
import type { CpuidResult } from '../base/vcpu.ts'
import type { Domain } from './domain.ts'
import { XEN_MAJOR, XEN_MINOR } from './hypercall/xen_version.ts'
import { timeScale } from './time.ts'

export const XEN_CPUID_FIRST = 0x40000000
export const XEN_CPUID_LAST = 0x400000ff
const HIGHEST_LEAF = XEN_CPUID_FIRST + 5
export const HYPERCALL_PAGE_MSR = 0x40000000

/** XEN_HVM_CPUID_*. */
const VCPU_ID_PRESENT = 1 << 3
const DOMID_PRESENT = 1 << 4
const UPCALL_VECTOR = 1 << 6

/** Fills in one leaf for a vCPU; leaves beyond the highest are zero. */
export function xenCpuid(
  domain: Domain,
  vcpu: number,
  leaf: number,
  subleaf: number,
  out: CpuidResult,
): void {
  out.eax = out.ebx = out.ecx = out.edx = 0
  switch (leaf - XEN_CPUID_FIRST) {
    case 0:
      // "XenVMMXenVMM"
      out.eax = HIGHEST_LEAF
      out.ebx = 0x566e6558
      out.ecx = 0x65584d4d
      out.edx = 0x4d4d566e
      break
    case 1:
      out.eax = (XEN_MAJOR << 16) | XEN_MINOR
      break
    case 2:
      out.eax = 1
      out.ebx = HYPERCALL_PAGE_MSR
      break
    case 3: {
      const tscKhz = domain.state.get('tscKhz')
      const { mul, shift } = timeScale(tscKhz)
      if (subleaf === 0) {
        // The TSC is emulated (bit 0), mode "default"; incarnation 1: never migrated.
        out.eax = 1
        out.ecx = tscKhz
        out.edx = 1
      } else if (subleaf === 1) {
        out.ecx = mul
        out.edx = shift >>> 0
      } else if (subleaf === 2) {
        out.eax = tscKhz
      }
      break
    }
    case 4:
      if (subleaf !== 0) break
      out.eax =
        VCPU_ID_PRESENT | DOMID_PRESENT | (domain.state.get('perVcpuUpcall') !== 0 ? UPCALL_VECTOR : 0)
      out.ebx = vcpu
      out.ecx = domain.domid
      break
  }
}

/**
 * The hypercall page that kernels before XSA-466 ask for by writing the MSR of CPUID leaf +2: 128 slots of 32 bytes,
 * each "move number to EAX, VMCALL, return".
 */
import { PAGE_SHIFT, PAGE_SIZE } from '../base/machine-memory.ts'
import { HYPERVISOR } from './abi/xen.ts'
import type { Domain } from './domain.ts'

const SLOT = 32

/** The page's bytes. Room after each stub is INT3, the slot of iret is UD2: it is no hypercall for HVM guests. */
export function hypercallPage(): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE).fill(0xcc)
  for (let nr = 0; nr * SLOT < PAGE_SIZE; nr++) {
    const stub = nr === HYPERVISOR.iret ? [0x0f, 0x0b] : [0xb8, nr, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3]
    page.set(stub, nr * SLOT)
  }
  return page
}

/** WRMSR of the page's MSR: false means #GP. Also latches the layout of shared_info. */
export function writeHypercallPageMsr(domain: Domain, value: bigint, is64: boolean): boolean {
  domain.latchLayout(is64)
  const index = value & BigInt(PAGE_SIZE - 1)
  if (index !== 0n) return false
  // GUEST: an address above the map has no page.
  const gfn = value >> BigInt(PAGE_SHIFT)
  const page = gfn < 1n << 32n ? domain.memory.frame(Number(gfn)) : 0
  if (page === 0) return false
  domain.memory.u8.set(hypercallPage(), page * PAGE_SIZE)
  return true
}

/**
 * What CPUID says of this processor: exactly the features of isa/features.ts (SDM vol. 2, CPUID).
 *
 * A plain x86-64 with the "not affected" bits set, so that kernels leave mitigations off that would cost
 * time and protect from nothing here.
 */
import type { CpuidResult } from '../../base/vcpu.ts'
import { ADVERTISED, type Feature } from './isa/features.ts'
import { apicId } from './lapic.ts'
import { PHYSICAL_BITS } from './mmu/emit-mmu.ts'

const VENDOR = { ebx: 0x756e6547, edx: 0x49656e69, ecx: 0x6c65746e } // "GenuineIntel"
const BRAND = 'xt software x86-64 processor'
/** Family 6, model 15, stepping 11: a 64-bit processor without anything newer than SSSE3 implied. */
const SIGNATURE = 0x000006fb
const bit = (n: number): number => 2 ** n
const ifHas = (feature: Feature, n: number): number => (ADVERTISED.has(feature) ? bit(n) : 0)

/** Leaf 1 EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2 SS HTT. */
const LEAF1_EDX = [0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26].reduce(
  (a, n) => a + bit(n),
  0,
)

export interface CpuidFacts {
  readonly vcpu: number
  readonly vcpus: number
  readonly apicOn: boolean
  readonly tscKhz: number
}

export function cpuid(leaf: number, subleaf: number, facts: CpuidFacts): CpuidResult {
  const none = { eax: 0, ebx: 0, ecx: 0, edx: 0 }
  switch (leaf >>> 0) {
    case 0:
      return { eax: 0x16, ...VENDOR }
    case 1:
      return {
        eax: SIGNATURE,
        // CLFLUSH line of 64 bytes; logical processors; APIC id.
        ebx: (8 << 8) | (facts.vcpus << 16) | (apicId(facts.vcpu) << 24),
        ecx:
          ifHas('SSE3', 0) +
          ifHas('MONITOR', 3) +
          ifHas('SSSE3', 9) +
          ifHas('CX16', 13) +
          ifHas('SSE4_1', 19) +
          ifHas('SSE4_2', 20) +
          bit(21) /* x2APIC */ +
          ifHas('MOVBE', 22) +
          ifHas('POPCNT', 23) +
          bit(24) /* TSC deadline */ +
          bit(31) /* hypervisor */,
        edx: LEAF1_EDX - (facts.apicOn ? 0 : bit(9)) + (facts.vcpus > 1 ? bit(28) : 0),
      }
    case 2:
      return { eax: 0x00000001, ebx: 0, ecx: 0, edx: 0 }
    case 4:
      return cache(subleaf)
    case 6:
      return { ...none, eax: bit(2) /* ARAT */ }
    case 7:
      if (subleaf === 0)
        return {
          eax: 2,
          ebx: bit(7) /* SMEP */,
          ecx: bit(2) /* UMIP */,
          edx: bit(26) /* IBRS, IBPB */ + bit(29) /* ARCH_CAPABILITIES */,
        }
      return subleaf === 2
        ? { ...none, edx: bit(4) /* BHI_CTRL: instead of a loop at each system call */ }
        : none
    case 0xb:
      return topology(subleaf, facts)
    case 0x15:
      // The crystal and the TSC run at the same rate.
      return { eax: 1, ebx: 1, ecx: facts.tscKhz * 1000, edx: 0 }
    case 0x16:
      return { eax: facts.tscKhz / 1000, ebx: facts.tscKhz / 1000, ecx: 100, edx: 0 }
    case 0x80000000:
      return { ...none, eax: 0x80000008 }
    case 0x80000001:
      return {
        ...none,
        ecx: bit(0) /* LAHF */,
        edx:
          bit(11) /* SYSCALL */ +
          bit(20) /* NX */ +
          bit(26) /* 1 GiB pages */ +
          ifHas('RDTSCP', 27) +
          bit(29) /* long mode */,
      }
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      return brand((leaf >>> 0) - 0x80000002)
    case 0x80000007:
      return { ...none, edx: bit(8) /* invariant TSC */ }
    case 0x80000008:
      return { ...none, eax: PHYSICAL_BITS | (48 << 8) }
  }
  return none
}

/** IA32_ARCH_CAPABILITIES: RDCL_NO, IBRS_ALL (so that kernels use plain indirect branches), SSB_NO, MDS_NO, and the other "not affected" bits. */
export const ARCH_CAPABILITIES = [0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62].reduce(
  (a, n) => a | (1n << BigInt(n)),
  0n,
)

/** 32 KiB data and code, 1 MiB unified: numbers that guests size things by. */
function cache(subleaf: number): CpuidResult {
  const level = (type: number, depth: number, ways: number, sets: number): CpuidResult => ({
    eax: type | (depth << 5) | (1 << 8),
    ebx: 63 | ((ways - 1) << 22),
    ecx: sets - 1,
    edx: 0,
  })
  if (subleaf === 0) return level(1, 1, 8, 64)
  if (subleaf === 1) return level(2, 1, 8, 64)
  if (subleaf === 2) return level(3, 2, 16, 1024)
  return { eax: 0, ebx: 0, ecx: 0, edx: 0 }
}

/** One thread a core; APIC ids are even, so one bit of the id belongs to the thread level. */
function topology(subleaf: number, facts: CpuidFacts): CpuidResult {
  const id = apicId(facts.vcpu)
  if (subleaf === 0) return { eax: 1, ebx: 1, ecx: 0x100, edx: id }
  if (subleaf === 1)
    return { eax: Math.max(1, Math.ceil(Math.log2(facts.vcpus)) + 1), ebx: facts.vcpus, ecx: 0x201, edx: id }
  return { eax: 0, ebx: 0, ecx: subleaf & 255, edx: id }
}

function brand(part: number): CpuidResult {
  const bytes = new TextEncoder().encode(BRAND.padEnd(48, '\0')).subarray(part * 16, part * 16 + 16)
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  return {
    eax: view.getUint32(0, true),
    ebx: view.getUint32(4, true),
    ecx: view.getUint32(8, true),
    edx: view.getUint32(12, true),
  }
}

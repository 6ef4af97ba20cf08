/**
 * What xl's `cpuid` changes of CPUID's answers: per leaf and register 32 letters as libxl keeps them, bit 31 first.
 *
 * 0 clears a bit; 1 sets one; x (the default), k and s leave what this processor says. XEN: a feature that the
 * processor lacks cannot be given, so 1 has no effect on the feature bits that it does not have. As with hardware, a
 * feature that is hidden still works for a guest that uses it all the same.
 */
import type { CpuidResult } from '../../base/vcpu.ts'

const REGISTERS = ['eax', 'ebx', 'ecx', 'edx'] as const
type Register = (typeof REGISTERS)[number]

/** One leaf's changes; without a subleaf those of all its subleaves. Can be sent to a thread. */
export interface CpuidRule extends Partial<Record<Register, Mask>> {
  readonly leaf: number
  readonly subleaf?: number
}
interface Mask {
  readonly clear: number
  readonly set: number
}

/** Registers that list features. */
const FEATURES: ReadonlySet<string> = new Set([
  '1 ecx',
  '1 edx',
  '7 ebx',
  '7 ecx',
  '7 edx',
  '13 eax',
  '2147483649 ecx',
  '2147483649 edx',
  '2147483655 edx',
  '2147483656 ebx',
])

/** The rules in libxl's structure (`b_info.cpuid`); what has another shape is left out. */
export function cpuidRules(libxl: unknown): readonly CpuidRule[] {
  const { b_info } = (libxl ?? {}) as { b_info?: { cpuid?: { cpuid?: readonly LibxlLeaf[] } } }
  return (b_info?.cpuid?.cpuid ?? []).map(({ leaf, subleaf, ...registers }) => ({
    leaf,
    ...(subleaf === undefined ? {} : { subleaf }),
    ...Object.fromEntries(
      REGISTERS.flatMap((name) => (registers[name] === undefined ? [] : [[name, mask(registers[name])]])),
    ),
  }))
}

type LibxlLeaf = { readonly leaf: number; readonly subleaf?: number } & Partial<Record<Register, string>>

function mask(letters: string): Mask {
  const bits = (letter: string) =>
    [...letters].reduce((sum, each, i) => (each === letter ? sum | (1 << (31 - i)) : sum), 0)
  return { clear: bits('0'), set: bits('1') }
}

/** Changes one answer in place. */
export function applyRules(
  rules: readonly CpuidRule[],
  leaf: number,
  subleaf: number,
  out: CpuidResult,
): void {
  for (const rule of rules) {
    if (rule.leaf !== leaf >>> 0 || (rule.subleaf ?? subleaf) !== subleaf) continue
    for (const name of REGISTERS) {
      const change = rule[name]
      if (change === undefined) continue
      const isFeatures = FEATURES.has(`${rule.leaf} ${name}`)
      out[name] = ((out[name] & ~change.clear) | (isFeatures ? 0 : change.set)) >>> 0
    }
  }
}

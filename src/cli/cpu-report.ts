/** The text of `xt debug cpu`: what each vCPU did between two readings, and what its host time went into. Pure. */
import type { CpuCounters, VcpuProfile } from '../engine/control.ts'

export interface CpuReport {
  /** Between the two readings. */
  readonly seconds: number
  readonly vcpus: readonly VcpuReport[]
}

export interface VcpuReport extends VcpuProfile {
  /** Millions of guest instructions in a second, estimated; absent where the CPU does not count branches. */
  readonly mips?: number
  /** By name: how often in a second, and since the machine was made. */
  readonly counters: Readonly<Record<string, { readonly perSecond: number; readonly total: number }>>
}

/**
 * Guest instructions for each taken branch. The boot of Debian's cloud kernel has 1389 million instructions (counted by
 * QEMU) and 110 million taken branches: 12.6; without its long arithmetic, which is 61 % of it in loops of 38, about 6.
 */
const INSTRUCTIONS_PER_BRANCH = 6
/** Counters of taken branches, and of entries into translated code, of which each is one. */
const BRANCHES = ['interpreterBranches', 'regionBranches', 'regionEntries']
/** These say how many there are, not how many there were. */
const LEVELS = /Live$/

export function cpuReport(
  before: CpuCounters,
  after: CpuCounters,
  profiles: readonly VcpuProfile[],
): CpuReport {
  const seconds = (after.atMs - before.atMs) / 1000
  const vcpus = after.vcpus.map((totals, index): VcpuReport => {
    const earlier = before.vcpus[index] ?? {}
    const rate = (name: string) => ((totals[name] ?? 0) - (earlier[name] ?? 0)) / seconds
    const counters = Object.entries(totals).map(
      ([name, total]) => [name, { perSecond: LEVELS.test(name) ? 0 : rate(name), total }] as const,
    )
    const counted = BRANCHES.some((name) => (totals[name] ?? 0) > 0)
    const branches = BRANCHES.reduce((sum, name) => sum + rate(name), 0)
    return {
      index,
      ...(counted ? { mips: (branches * INSTRUCTIONS_PER_BRANCH) / 1e6 } : {}),
      counters: Object.fromEntries(counters),
      parts: profiles[index]?.parts ?? {},
      functions: profiles[index]?.functions ?? [],
    }
  })
  return { seconds, vcpus }
}

export interface CpuTextOptions {
  /** Also the functions that took most time. */
  readonly functions: boolean
}

export function cpuText({ seconds, vcpus }: CpuReport, options: CpuTextOptions): string {
  return vcpus.map((vcpu) => vcpuText(vcpu, seconds, options)).join('\n')
}

function vcpuText(
  { index, mips, counters, parts, functions }: VcpuReport,
  seconds: number,
  options: CpuTextOptions,
) {
  const speed = mips === undefined ? '' : `, about ${mips.toFixed(mips < 10 ? 1 : 0)} MIPS`
  const shares = Object.entries(parts).sort(([, a], [, b]) => b - a)
  const lines = [`vCPU ${index}, ${seconds.toFixed(1)} s${speed}`]
  if (shares.length === 0) lines.push('  not running')
  for (const [part, share] of shares) lines.push(`  ${part.padEnd(34)}${percent(share)}`)
  if (options.functions)
    for (const { name, part, share } of functions)
      lines.push(`    ${percent(share)}  ${part.padEnd(20)}  ${name}`)
  const counted = Object.entries(counters).filter(([, { total }]) => total > 0)
  if (counted.length > 0) lines.push(`  ${''.padEnd(24)}${'per second'.padStart(16)}${'in all'.padStart(18)}`)
  for (const [name, { perSecond, total }] of counted)
    lines.push(`  ${words(name).padEnd(24)}${grouped(perSecond).padStart(16)}${grouped(total).padStart(18)}`)
  return lines.map((line) => `${line}\n`).join('')
}

const percent = (share: number): string => `${(share * 100).toFixed(1).padStart(6)} %`
/** 'tlbFlushes' → 'tlb flushes'. */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
const grouped = (n: number): string =>
  Math.round(n)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ' ')

/** What compare-boots says, as text. Pure. */
import type { Difference, Run, SeenEvent } from './compare.ts'

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')
const hex = (value: bigint): string => value.toString(16).padStart(16, '0')

/** One line. */
export function describeRun({ mode, events, seconds, why, counters }: Run): string {
  const { regionsMade, regionInstructions, regionEntries, interpreterBranches } = counters
  const inside = Math.max(0, 1 - interpreterBranches / events)
  const regions =
    regionsMade === 0
      ? ''
      : `; ${regionsMade} regions of ${regionInstructions} instructions, entered ${regionEntries} times, at least ${(100 * inside).toFixed(0)} % of the events inside`
  const speed = (events / seconds / 1e6).toFixed(1)
  return `${mode}: ${events} events in ${seconds.toFixed(1)} s (${speed} million/s)${regions}; ${why}`
}

/** The registers of both at the first event that differs, those that do marked. */
export function describeDifference(
  difference: Difference | undefined,
  modes: readonly [string, string],
): string {
  if (difference === undefined)
    return 'this time they do not: something besides the processor is not the same every time'
  const { before, events } = difference
  const [a, b] = events
  const lines: string[] = []
  if (before !== undefined)
    lines.push(`The last that is alike is event ${before.number}, at ${hex(before.rip)}.`)
  if (a === undefined || b === undefined)
    return [...lines, `After it only ${modes[a === undefined ? 1 : 0]} goes on.`].join('\n')
  lines.push(`Event ${a.number} differs:`, `        ${modes[0].padEnd(16)}  ${modes[1]}`)
  const row = (name: string, of: (event: SeenEvent) => bigint) => {
    const [x, y] = [of(a), of(b)]
    if (!name.startsWith('xmm') || x !== y)
      lines.push(`${name.padEnd(6)}  ${hex(x)}  ${hex(y)}${x === y ? '' : '  <'}`)
  }
  row('rip', ({ rip }) => rip)
  row('flags', ({ flags }) => BigInt(flags >>> 0))
  for (const [n, name] of NAMES.entries()) row(name, ({ registers }) => registers[n]!)
  for (const [n] of a.vectors.entries()) row(`xmm${n >> 1}${n & 1 ? 'h' : 'l'}`, ({ vectors }) => vectors[n]!)
  return lines.join('\n')
}

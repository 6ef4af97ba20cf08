/** Results of a benchmark as a table for people and as an object for JSON. Pure. */
import type { Footprint } from './footprint.ts'
import type { Sample, Samples } from './rounds.ts'

export interface Host {
  readonly processor: string
  readonly processors: number
  readonly kernel: string
  readonly node: string
  readonly qemu: string | undefined
  /** Of one minute, before the first and after the last round. */
  readonly load: readonly [number, number]
}

export interface Results {
  readonly date: string
  readonly host: Host
  readonly guest: string
  readonly rounds: number
  readonly rows: readonly Row[]
  readonly footprint: Footprint
}

export interface Row {
  readonly row: string
  readonly xt: Medians
  readonly qemu?: Medians
  /** Wall clock of xt over that of QEMU. */
  readonly ratio?: number
  /** The same of CPU time; NaN where that was not measured. It suffers less from what else the machine does. */
  readonly cpuRatio?: number
}

interface Medians {
  readonly wallSeconds: number
  readonly cpuSeconds: number
  readonly samples: readonly Sample[]
}

export function makeRow(row: string, xt: Samples, qemu: Samples | undefined): Row {
  const ours = medians(xt.get(row) ?? [])
  if (qemu === undefined) return { row, xt: ours }
  const theirs = medians(qemu.get(row) ?? [])
  const ratio = ours.wallSeconds / theirs.wallSeconds
  return { row, xt: ours, qemu: theirs, ratio, cpuRatio: ours.cpuSeconds / theirs.cpuSeconds }
}

function medians(samples: readonly Sample[]): Medians {
  return {
    wallSeconds: median(samples.map(({ wallSeconds }) => wallSeconds)),
    cpuSeconds: median(samples.map(({ cpuSeconds }) => cpuSeconds)),
    samples,
  }
}

/** NaN of nothing. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}

const seconds = (n: number | undefined) => (n === undefined || Number.isNaN(n) ? '–' : n.toFixed(2))
const times = (n: number | undefined) => (n === undefined || Number.isNaN(n) ? '–' : n.toFixed(1))
const mebibytes = (bytes: number) => `${Math.round(bytes / (1 << 20))} MiB`

/** Rows of cells, the first with the names of the columns. */
export function speedTable({ rows }: Results): readonly (readonly string[])[] {
  return [
    ['', 'xt', 'CPU', 'QEMU', 'CPU', 'ratio', 'of CPU'],
    ...rows.map(({ row, xt, qemu, ratio, cpuRatio }) => [
      row,
      seconds(xt.wallSeconds),
      seconds(xt.cpuSeconds),
      seconds(qemu?.wallSeconds),
      seconds(qemu?.cpuSeconds),
      times(ratio),
      times(cpuRatio),
    ]),
  ]
}

export function footprintTable({ footprint }: Results): readonly (readonly string[])[] {
  const { residentBytes, touchedBytes, idleShare, versionCpuSeconds, listCpuSeconds } = footprint
  return [
    ['', 'xt'],
    ['resident size of the domain process', mebibytes(residentBytes)],
    ['of it, guest memory that was touched', mebibytes(touchedBytes)],
    ['the rest', mebibytes(residentBytes - touchedBytes)],
    ['a processor’s time taken by an idle guest', `${(idleShare * 100).toFixed(1)} %`],
    ['CPU time of `xt --version`', `${Math.round(versionCpuSeconds * 1000)} ms`],
    ['CPU time of `xt list`', `${Math.round(listCpuSeconds * 1000)} ms`],
  ]
}

/** For a terminal: the first column to the left, the others to the right. */
export function plainTable(table: readonly (readonly string[])[]): string {
  const widths = table[0]!.map((_, i) => Math.max(...table.map((cells) => cells[i]!.length)))
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]! + 2))).join('')
  return table.map((cells) => `${line(cells)}\n`).join('')
}

export function markdownTable(table: readonly (readonly string[])[]): string {
  const [head, ...rows] = table
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  return line(head!) + line(head!.map((_, i) => (i === 0 ? '---' : '---:'))) + rows.map(line).join('')
}

/** docs/benchmark.md. */
export function document(results: Results): string {
  const { date, host, guest, rounds } = results
  const [before, after] = host.load.map((load) => load.toFixed(1))
  return `# Benchmark

<!-- Written by \`npm run bench -- --write\`. Do not edit. -->

Measured on ${date.slice(0, 10)}: ${host.processor}, ${host.processors} processors, Linux ${host.kernel}, Node ${host.node},
${host.qemu ?? 'no QEMU'}. The load of the machine was ${before} before and ${after} after; what else it did makes every
number larger; the ratio of CPU times suffers less from it than that of times. Medians of ${rounds} round${rounds === 1 ? '' : 's'}, in seconds.

${markdownTable(speedTable(results))}
Guest: ${guest}, one CPU, 256 MiB, the initramfs of \`scripts/assets/make-initramfs.ts\`; the same files for both, in turns.
QEMU runs machine \`pc\` with \`-accel tcg -cpu max\` and a serial console. *Kernel start* is the first instruction of the
unpacked kernel for xt, and the kernel's first line for QEMU: its firmware, and unpacking the kernel in the guest, are left
out there. *Command* counts everything from the command line on. Work is timed from outside, between two lines that the
guest prints. *CPU* is the time of the virtual machine's process; with several threads it can be more than the wall clock.

${markdownTable(footprintTable(results))}
The guest of this table has 256 MiB and waits at its shell; its idle time is that of ten seconds.
`
}

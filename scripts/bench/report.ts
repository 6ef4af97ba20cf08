/** Results of a benchmark as tables for people, as an object for JSON, and as the page docs/benchmark.md. Pure. */
import type { Footprint } from './footprint.ts'
import type { Sample, Samples } from './rounds.ts'
import { AT_ONCE, IN_TURN, type Row, SPEED_UP_TARGET } from './rows.ts'

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
  readonly rows: readonly RowResult[]
  /** Titles of rows that were left out, with the reason. */
  readonly skipped: readonly (readonly [title: string, why: string])[]
  /** Absent where only some rows were asked for. */
  readonly footprint?: Footprint
}

export interface RowResult {
  readonly id: string
  readonly title: string
  /** The most that `cpuRatio` (`ratio` where there is none) should be. */
  readonly target?: number
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

export function makeRow({ id, title, target }: Row, xt: Samples, qemu: Samples | undefined): RowResult {
  const row = { id, title, ...(target === undefined ? {} : { target }), xt: medians(xt.get(id) ?? []) }
  if (qemu === undefined) return row
  const theirs = medians(qemu.get(id) ?? [])
  const ratio = row.xt.wallSeconds / theirs.wallSeconds
  return { ...row, qemu: theirs, ratio, cpuRatio: row.xt.cpuSeconds / theirs.cpuSeconds }
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

/** What a row is judged by: the ratio of CPU times, of the wall clock where that was not measured. */
export function judgedRatio({ ratio, cpuRatio }: RowResult): number | undefined {
  return cpuRatio === undefined || Number.isNaN(cpuRatio) ? ratio : cpuRatio
}

const decimals = (digits: number) => (n: number | undefined) =>
  n === undefined || Number.isNaN(n) ? '–' : n.toFixed(digits)
const seconds = decimals(2)
const times = decimals(2)
const mebibytes = (bytes: number) => `${Math.round(bytes / (1 << 20))} MiB`

/** Rows of cells, the first with the names of the columns. */
export function speedTable({ rows }: Pick<Results, 'rows'>): readonly (readonly string[])[] {
  return [
    ['', 'xt', 'CPU', 'QEMU', 'CPU', 'ratio', 'of CPU', 'target'],
    ...rows.map(({ title, target, xt, qemu, ratio, cpuRatio }) => [
      title,
      seconds(xt.wallSeconds),
      seconds(xt.cpuSeconds),
      seconds(qemu?.wallSeconds),
      seconds(qemu?.cpuSeconds),
      times(ratio),
      times(cpuRatio),
      target === undefined ? '' : `≤ ${target}`,
    ]),
  ]
}

/** How much faster two vCPUs did the same work than one, by the wall clock; empty where it was not measured. */
export function speedUpTable({ rows }: Pick<Results, 'rows'>): readonly (readonly string[])[] {
  const of = (id: string) => rows.find((row) => row.id === id)
  const [one, two] = [of(IN_TURN), of(AT_ONCE)]
  if (one === undefined || two === undefined) return []
  const gain = (kind: 'xt' | 'qemu') =>
    times((one[kind]?.wallSeconds ?? Number.NaN) / (two[kind]?.wallSeconds ?? Number.NaN))
  return [
    ['', 'xt', 'QEMU', 'target'],
    ['speed-up of gzip by a second vCPU', gain('xt'), gain('qemu'), `≥ ${SPEED_UP_TARGET}`],
  ]
}

export function footprintTable(footprint: Footprint): readonly (readonly string[])[] {
  const { residentBytes, touchedBytes, idleShare, versionCpuSeconds, listCpuSeconds } = footprint
  const percent = (share: number, digits: number) => `${(share * 100).toFixed(digits)} %`
  return [
    ['', 'xt', 'target'],
    ['resident size of the domain process', mebibytes(residentBytes), ''],
    ['of it, guest memory that was touched', mebibytes(touchedBytes), ''],
    ['the rest', mebibytes(residentBytes - touchedBytes), '≤ 200 MB'],
    ['a processor’s time taken by an idle guest', percent(idleShare, 1), '< 2 %'],
    [
      `drift of a working guest’s clock in ${footprint.clockSeconds} s`,
      percent(Math.abs(footprint.clockDrift), 3),
      '< 0.1 %',
    ],
    ['CPU time of `xt --version`', `${Math.round(versionCpuSeconds * 1000)} ms`, ''],
    ['CPU time of `xt list`', `${Math.round(listCpuSeconds * 1000)} ms`, ''],
  ]
}

/** For a terminal: the first column to the left, the others to the right. */
export function plainTable(table: readonly (readonly string[])[]): string {
  const widths = (table[0] ?? []).map((_, i) => Math.max(...table.map((cells) => cells[i]!.length)))
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]! + 2))).join('')
  return table.map((cells) => `${line(cells)}\n`).join('')
}

export function markdownTable(table: readonly (readonly string[])[]): string {
  const [head, ...rows] = table
  if (head === undefined) return ''
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  return line(head) + line(head.map((_, i) => (i === 0 ? '---' : '---:'))) + rows.map(line).join('')
}

/** One line: the machine, the day, the versions. */
export function machineLine({ date, host }: Results): string {
  const { processor, processors, kernel, node, qemu } = host
  return `${date.slice(0, 10)}: ${processor}, ${processors} processors, Linux ${kernel}, Node ${node}, ${qemu ?? 'no QEMU'}`
}

/** docs/NAME.md, beside its chart. */
export function document(results: Results, name = 'benchmark'): string {
  const { host, guest, rounds, skipped, footprint } = results
  const [before, after] = host.load.map((load) => load.toFixed(1))
  return `# Benchmark${name === 'benchmark' ? '' : ': disks, network, shared folders'}

<!-- Written by \`npm run bench -- --write\`. Do not edit. -->

![Time of xt over time of QEMU, by row](${name}.svg)

Measured on ${machineLine(results)}. The load of the machine was
${before} before and ${after} after; what else it did makes every number larger; the ratio of CPU times suffers less from it
than that of times. Medians of ${rounds} round${rounds === 1 ? '' : 's'}, in seconds.

${markdownTable(speedTable(results))}
${markdownTable(speedUpTable(results))}${skipped.map(([title, why]) => `\nNot measured: ${title}: ${why}.\n`).join('')}
Guest: ${guest}, the initramfs of \`scripts/assets/make-initramfs.ts\` with the files that rows
need (\`scripts/bench/guest-files.ts\`); the same files for both, in turns. QEMU runs machine \`pc\` with
\`-accel tcg,thread=multi -cpu max\` and a serial console. *Kernel start* is the first instruction of the unpacked kernel for
xt, and the kernel's first line for QEMU: its firmware, and unpacking the kernel in the guest, are left out there. *Command*
counts everything from the command line on. Work is timed from outside, between two lines that the guest prints
(\`scripts/bench/rows.ts\` has each row's commands). *CPU* is the time of the virtual machine's process, with all its threads:
those that translate, too; it can be more than the wall clock. *Ratio* is xt over QEMU, a *target* what it should be at most;
it is judged by CPU time, the speed-up by the wall clock, for which two processors must be free.
${footprint === undefined ? '' : `\n${markdownTable(footprintTable(footprint))}\nThe guest of this table has 256 MiB and waits at its shell, for ten seconds; for its clock's drift it works.\n`}`
}

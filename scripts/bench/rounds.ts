/** Boot and work, measured in rounds that take turns between the machines, so that both meet the same weather. */
import { runArgument } from '../assets/make-initramfs.ts'
import type { Line } from './guest-lines.ts'
import type { GuestFiles, Machine, MachineKind } from './machines.ts'

export interface Sample {
  readonly wallSeconds: number
  /** Of the virtual machine's process. NaN where it was not measured. */
  readonly cpuSeconds: number
}

/** Samples of one kind of machine by row. */
export type Samples = Map<string, Sample[]>

export const BOOT = 'boot: kernel start to init’s first line'
export const COMMAND = 'boot: command to init’s first line'

interface Work {
  readonly row: string
  readonly command: string
  /** Not timed. */
  readonly before?: string
}

const WORK: readonly Work[] = [
  { row: 'shell loop, 100 000 rounds', command: 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done' },
  { row: 'sha256sum of 64 MB', command: 'head -c 64000000 /dev/zero | sha256sum >/dev/null' },
  {
    row: 'gzip of 16 MB',
    // Debian's busybox has nearly 2 MB.
    before: 'for i in 1 2 3 4 5 6 7 8 9; do cat /bin/busybox; done | head -c 16000000 >/tmp/f',
    command: 'gzip -c /tmp/f >/dev/null',
  },
  {
    row: '200 times fork and exec',
    command: 'i=0; while [ $i -lt 200 ]; do /bin/busybox true; i=$((i+1)); done',
  },
]
export const ROWS: readonly string[] = [BOOT, COMMAND, ...WORK.map(({ row }) => row)]

/** The kernel's own messages would land between the markers. */
const SCRIPT = [
  'dmesg -n 1',
  ...WORK.flatMap(({ before, command }, i) => [
    ...(before === undefined ? [] : [before]),
    `echo @begin${i}`,
    command,
    `echo @end${i}`,
  ]),
].join('\n')

/** One round: each kind boots once and does all the work; its samples are added. */
export async function runRound(
  kinds: readonly MachineKind[],
  files: GuestFiles,
  samples: ReadonlyMap<MachineKind, Samples>,
  onProgress: (text: string) => void,
): Promise<void> {
  for (const kind of kinds) {
    await using machine = await kind.start(files, runArgument(SCRIPT))
    const add = (row: string, sample: Sample) => {
      const all = samples.get(kind)!
      all.set(row, [...(all.get(row) ?? []), sample])
      onProgress(`${kind.name}, ${row}: ${sample.wallSeconds.toFixed(2)} s`)
    }
    await measure(machine, add)
  }
}

async function measure(machine: Machine, add: (row: string, sample: Sample) => void): Promise<void> {
  const { lines, kernelStart, commandMs } = machine
  const init = await lines.line(/^xt: init started/)
  add(BOOT, between(kernelStart, init))
  add(COMMAND, { wallSeconds: (init.atMs - commandMs) / 1000, cpuSeconds: Number.NaN })
  for (const [i, { row }] of WORK.entries()) {
    const begin = await lines.line(new RegExp(`^@begin${i}$`))
    add(row, between(begin, await lines.line(new RegExp(`^@end${i}$`))))
  }
}

const between = (from: Pick<Line, 'atMs' | 'cpu'>, to: Line): Sample => ({
  wallSeconds: (to.atMs - from.atMs) / 1000,
  cpuSeconds: to.cpu - from.cpu,
})

/** Boot and work, measured in rounds that take turns between the machines, so that both meet the same weather. */
import { runArgument } from '../assets/make-initramfs.ts'
import type { Line } from './guest-lines.ts'
import type { Machine, MachineKind, MachineSpec } from './machines.ts'
import { BOOT, COMMAND, type Row, SESSIONS, type SessionId, sessionScript } from './rows.ts'

export interface Sample {
  readonly wallSeconds: number
  /** Of the virtual machine's process. NaN where it was not measured. */
  readonly cpuSeconds: number
}

/** Samples of one kind of machine by the row's id. */
export type Samples = Map<string, Sample[]>

/** What is done in one round: machines with the rows measured in them. */
export interface Plan {
  readonly session: SessionId
  readonly rows: readonly Row[]
  readonly files: Pick<MachineSpec, 'vmlinuz' | 'ramdisk'>
}

/** One round: for each session each kind boots once and does all the work; its samples are added. */
export async function runRound(
  kinds: readonly MachineKind[],
  plans: readonly Plan[],
  samples: ReadonlyMap<MachineKind, Samples>,
  onProgress: (text: string) => void,
): Promise<void> {
  for (const { session, rows, files } of plans) {
    const work = rows.filter(({ id }) => id !== BOOT && id !== COMMAND)
    const cmdline = work.length === 0 ? '' : runArgument(sessionScript(work))
    for (const kind of kinds) {
      await using machine = await kind.start({ ...files, ...SESSIONS[session], cmdline })
      const add = (row: Row, sample: Sample) => {
        const all = samples.get(kind)!
        all.set(row.id, [...(all.get(row.id) ?? []), sample])
        const { wallSeconds: wall, cpuSeconds: cpu } = sample
        onProgress(`${kind.name}, ${row.title}: ${wall.toFixed(2)} s, CPU ${cpu.toFixed(2)} s`)
      }
      for (const row of rows) add(row, await measure(machine, row))
    }
  }
}

async function measure({ lines, kernelStart, commandMs }: Machine, { id }: Row): Promise<Sample> {
  if (id === BOOT) return between(kernelStart, await lines.line(/^xt: init started/))
  if (id === COMMAND) {
    const init = await lines.line(/^xt: init started/)
    return { wallSeconds: (init.atMs - commandMs) / 1000, cpuSeconds: Number.NaN }
  }
  const begin = await lines.line(new RegExp(`^@begin ${id}$`))
  return between(begin, await lines.line(new RegExp(`^@end ${id}$`)))
}

const between = (from: Pick<Line, 'atMs' | 'cpu'>, to: Line): Sample => ({
  wallSeconds: (to.atMs - from.atMs) / 1000,
  cpuSeconds: to.cpu - from.cpu,
})

/** Boot and work, measured in rounds that take turns between the machines, so that both meet the same weather. */
import { setTimeout as sleep } from 'node:timers/promises'
import { runArgument } from '../assets/make-initramfs.ts'
import { drive } from './devices.ts'
import type { Line } from './guest-lines.ts'
import type { Machine, MachineKind, MachineSpec } from './machines.ts'
import { cpuSeconds } from './process-times.ts'
import { BOOT, COMMAND, type Row, SESSIONS, type Session, type SessionId, sessionScript } from './rows.ts'

/** What the guest's programs need to begin listening. */
const SETTLE_MS = 1000

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
  readonly files: Pick<MachineSpec, 'vmlinuz' | 'ramdisk' | 'disks' | 'share' | 'forwards'>
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
    const settings: Session = SESSIONS[session]
    const cmdline = work.length === 0 ? '' : runArgument(sessionScript(work, settings.prepare))
    for (const kind of kinds) {
      await using machine = await kind.start({ ...files, ...settings, cmdline })
      const add = (row: Row, sample: Sample) => {
        const all = samples.get(kind)!
        all.set(row.id, [...(all.get(row.id) ?? []), sample])
        const { wallSeconds: wall, cpuSeconds: cpu } = sample
        onProgress(`${kind.name}, ${row.title}: ${wall.toFixed(2)} s, CPU ${cpu.toFixed(2)} s`)
      }
      for (const row of rows)
        add(
          row,
          row.drive === undefined ? await measure(machine, row) : await measureDriven(machine, row, files),
        )
    }
  }
}

/** Work that is done from outside. passt is ready long before the guest's programs are: the first attempt may fail. */
async function measureDriven({ lines, pid }: Machine, row: Row, files: Plan['files']): Promise<Sample> {
  await lines.line(/^@done/)
  await sleep(SETTLE_MS)
  const cpu = cpuSeconds(pid)
  const startMs = performance.now()
  await drive(row, files.forwards!)
  return { wallSeconds: (performance.now() - startMs) / 1000, cpuSeconds: cpuSeconds(pid) - cpu }
}

async function measure({ lines, kernelStart, commandMs }: Machine, row: Row): Promise<Sample> {
  const { id } = row
  if (id === BOOT) return between(kernelStart, await lines.line(/^xt: init started/))
  if (id === COMMAND) {
    const init = await lines.line(/^xt: init started/)
    return { wallSeconds: (init.atMs - commandMs) / 1000, cpuSeconds: Number.NaN }
  }
  if (row.tellsTime === true) {
    const { text } = await lines.line(new RegExp(`^@took ${id} `))
    return { wallSeconds: Number(text.split(' ')[2] || Number.NaN) / 1000, cpuSeconds: Number.NaN }
  }
  const begin = await lines.line(new RegExp(`^@begin ${id}$`))
  return between(begin, await lines.line(new RegExp(`^@end ${id}$`)))
}

const between = (from: Pick<Line, 'atMs' | 'cpu'>, to: Line): Sample => ({
  wallSeconds: (to.atMs - from.atMs) / 1000,
  cpuSeconds: to.cpu - from.cpu,
})

/** What xt takes besides speed: memory and idle time of a domain at its shell, and what two commands cost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { planMachine } from '../../src/base/machine-memory.ts'
import { type GuestFiles, MEMORY_MIB, type XtMachines } from './machines.ts'
import { cpuSeconds, residentBytes, touchedRam } from './process-times.ts'

export interface Footprint {
  /** Of the domain process with a guest at its shell. */
  readonly residentBytes: number
  /** Guest RAM that was ever touched, part of it. */
  readonly touchedBytes: number
  /** Share of one processor that the guest takes while it waits at its prompt. */
  readonly idleShare: number
  readonly versionCpuSeconds: number
  readonly listCpuSeconds: number
}

const MEBIBYTE = 1 << 20
/** What init and the shell still do after the greeting. */
const SETTLE_MS = 3000
const IDLE_MS = 10_000
const COMMAND_RUNS = 10

export async function measureFootprint(xt: XtMachines, files: GuestFiles): Promise<Footprint> {
  await using machine = await xt.start(files, '')
  await machine.lines.line(/^Root shell on hvc0/)
  await sleep(SETTLE_MS)
  const before = cpuSeconds(machine.pid)
  const startMs = performance.now()
  await sleep(IDLE_MS)
  const idleShare = (cpuSeconds(machine.pid) - before) / ((performance.now() - startMs) / 1000)
  const layout = planMachine(MEMORY_MIB * MEBIBYTE, 1)
  if (layout === undefined) throw new Error(`no layout for ${MEMORY_MIB} MiB`)
  return {
    residentBytes: residentBytes(machine.pid),
    touchedBytes: touchedRam(machine.pid, layout),
    idleShare,
    versionCpuSeconds: commandCpuSeconds(xt, '--version'),
    listCpuSeconds: commandCpuSeconds(xt, 'list'),
  }
}

/** Mean of several runs: the times of one come in steps of 10 ms. */
function commandCpuSeconds(xt: XtMachines, command: string): number {
  const before = cpuSeconds('self', 'children')
  for (let run = 0; run < COMMAND_RUNS; run++) xt.xt(command)
  return (cpuSeconds('self', 'children') - before) / COMMAND_RUNS
}

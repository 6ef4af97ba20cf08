/** What xt takes besides speed: memory and idle time of a domain at its shell, what two commands cost, how its clock goes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { planMachine } from '../../src/base/machine-memory.ts'
import { clockDrift } from './clock.ts'
import type { MachineSpec, XtMachines } from './machines.ts'
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
  /** Of a guest that works, as a share; and over how many seconds that was measured. */
  readonly clockDrift: number
  readonly clockSeconds: number
}

const MEBIBYTE = 1 << 20
/** What init and the shell still do after the greeting. */
const SETTLE_MS = 3000
const IDLE_MS = 10_000
const COMMAND_RUNS = 10

const MEMORY_MIB = 256

export async function measureFootprint(
  xt: XtMachines,
  files: Pick<MachineSpec, 'vmlinuz' | 'ramdisk'>,
  clockSeconds: number,
): Promise<Footprint> {
  const spec = { ...files, vcpus: 1, memoryMiB: MEMORY_MIB }
  const atShell = await measureAtShell(xt, { ...spec, cmdline: '' })
  return { ...atShell, clockDrift: await clockDrift(xt, spec, clockSeconds), clockSeconds }
}

async function measureAtShell(
  xt: XtMachines,
  spec: MachineSpec,
): Promise<Omit<Footprint, 'clockDrift' | 'clockSeconds'>> {
  await using machine = await xt.start(spec)
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

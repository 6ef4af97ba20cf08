/**
 * `npm run bench [-- --rounds N] [--write]`: boot and work in a Debian guest, xt against QEMU's software CPU where that
 * is installed, and what xt takes in memory and processor time. docs/benchmark.md, written by --write, says what is
 * compared. The table goes to standard output, all samples to bench-results/ as JSON.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { debianKernel } from './assets/fetch-debian-kernel.ts'
import { initramfs } from './assets/make-initramfs.ts'
import { measureFootprint } from './bench/footprint.ts'
import { type MachineKind, QemuMachines, qemuVersion, XtMachines } from './bench/machines.ts'
import { document, footprintTable, makeRow, plainTable, type Results, speedTable } from './bench/report.ts'
import { ROWS, runRound, type Samples } from './bench/rounds.ts'

const root = join(import.meta.dirname, '..')
const say = (text: string) => process.stderr.write(`${text}\n`)

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, write: { type: 'boolean', default: false } },
})
const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1) {
  say(`--rounds takes a number from 1 on, not "${values.rounds}"`)
  process.exit(2)
}
const results = await bench(rounds)
process.stdout.write(`\n${plainTable(speedTable(results))}\n${plainTable(footprintTable(results))}`)
mkdirSync(join(root, 'bench-results'), { recursive: true })
const file = join('bench-results', `${results.date.replaceAll(':', '-')}.json`)
writeFileSync(join(root, file), `${JSON.stringify(results, null, 2)}\n`)
say(`\n${file} has all samples`)
if (values.write) {
  writeFileSync(join(root, 'docs', 'benchmark.md'), document(results))
  say('docs/benchmark.md is written')
}

async function bench(rounds: number): Promise<Results> {
  const qemu = qemuVersion()
  if (qemu === undefined) say('qemu-system-x86_64 is not installed: xt is measured alone')
  const { vmlinuz, release: guest } = await debianKernel({ onProgress: say })
  const files = { vmlinuz, ramdisk: await initramfs({ onProgress: say }) }
  using xt = new XtMachines()
  using other = new QemuMachines()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      other[Symbol.dispose]()
      xt[Symbol.dispose]()
      process.exit(130)
    })
  }
  const kinds: readonly MachineKind[] = qemu === undefined ? [xt] : [xt, other]
  const samples = new Map(kinds.map((kind): [MachineKind, Samples] => [kind, new Map()]))
  const before = loadavg()[0]!
  for (let round = 1; round <= rounds; round++) {
    await runRound(kinds, files, samples, (text) => say(`round ${round} of ${rounds}: ${text}`))
  }
  say('memory, idle time, commands')
  const footprint = await measureFootprint(xt, files)
  const processors = cpus()
  return {
    date: new Date().toISOString(),
    host: {
      processor: processors[0]?.model ?? 'unknown processor',
      processors: processors.length,
      kernel: release().split('-')[0] ?? '',
      node: process.version,
      qemu,
      load: [before, loadavg()[0]!],
    },
    guest: `Debian’s kernel ${guest}`,
    rounds,
    rows: ROWS.map((row) => makeRow(row, samples.get(xt)!, samples.get(other))),
    footprint,
  }
}

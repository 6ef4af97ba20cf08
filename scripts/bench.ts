/**
 * `npm run bench [-- OPTION...]`: work in a Debian guest, xt beside QEMU's software CPU where that is installed, and
 * what xt takes in memory and processor time. The table goes to standard output, all samples to bench-results/ as JSON.
 *
 *   --rounds N      times that each row is measured (3); medians count
 *   --rows A,B      only these rows (--list names them), without the table of memory and idle time
 *   --quick         one round, ten seconds for the clock instead of sixty
 *   --alone         without QEMU
 *   --write         refreshes docs/benchmark.md and its chart; wants all rows
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { debianKernel } from './assets/fetch-debian-kernel.ts'
import { initramfs } from './assets/make-initramfs.ts'
import { chart } from './bench/chart.ts'
import { measureFootprint } from './bench/footprint.ts'
import { benchFiles } from './bench/guest-files.ts'
import { type MachineKind, QemuMachines, qemuVersion, XtMachines } from './bench/machines.ts'
import {
  document,
  footprintTable,
  makeRow,
  plainTable,
  type Results,
  speedTable,
  speedUpTable,
} from './bench/report.ts'
import { type Plan, runRound, type Samples } from './bench/rounds.ts'
import { ROWS, type Row, SESSIONS, type SessionId } from './bench/rows.ts'

const root = join(import.meta.dirname, '..')
const say = (text: string) => process.stderr.write(`${text}\n`)

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    rows: { type: 'string' },
    quick: { type: 'boolean', default: false },
    alone: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
if (values.list) {
  process.stdout.write(ROWS.map(({ id, title }) => `${id.padEnd(14)}${title}\n`).join(''))
  process.exit(0)
}
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const clockSeconds = values.quick ? 10 : 60
if (!Number.isInteger(rounds) || rounds < 1)
  refuse(`--rounds takes a number from 1 on, not "${values.rounds}"`)
if (values.write && values.rows !== undefined)
  refuse('--write wants all rows: the page would have only those of --rows')
const chosen = chooseRows(values.rows)

const results = await bench()
for (const table of [speedTable(results), speedUpTable(results), footprintOf(results)])
  if (table.length > 0) process.stdout.write(`\n${plainTable(table)}`)
for (const [title, why] of results.skipped) process.stdout.write(`not measured: ${title}: ${why}\n`)
mkdirSync(join(root, 'bench-results'), { recursive: true })
const file = join('bench-results', `${results.date.replaceAll(':', '-')}.json`)
writeFileSync(join(root, file), `${JSON.stringify(results, null, 2)}\n`)
say(`\n${file} has all samples`)
if (values.write) {
  writeFileSync(join(root, 'docs', 'benchmark.md'), document(results))
  writeFileSync(join(root, 'docs', 'benchmark.svg'), chart(results))
  say('docs/benchmark.md and docs/benchmark.svg are written')
}

function refuse(why: string): never {
  say(why)
  process.exit(2)
}

function chooseRows(names: string | undefined): readonly Row[] {
  if (names === undefined) return ROWS
  const wanted = names.split(',')
  const unknown = wanted.find((name) => ROWS.every(({ id }) => id !== name))
  if (unknown !== undefined) refuse(`there is no row ${unknown}; --list names all`)
  return ROWS.filter(({ id }) => wanted.includes(id))
}

function footprintOf({ footprint }: Results): readonly (readonly string[])[] {
  return footprint === undefined ? [] : footprintTable(footprint)
}

async function bench(): Promise<Results> {
  const qemu = values.alone ? undefined : qemuVersion()
  if (qemu === undefined && !values.alone) say('qemu-system-x86_64 is not installed: xt is measured alone')
  const { vmlinuz, release: guest } = await debianKernel({ onProgress: say })
  const plain = { vmlinuz, ramdisk: await initramfs({ onProgress: say }) }
  const { entries, missing } = benchFiles(vmlinuz)
  const full = { vmlinuz, ramdisk: await initramfs({ onProgress: say, extra: entries }) }
  const why = ({ needs }: Row) => (needs === undefined ? undefined : missing.get(needs))
  const measured = chosen.filter((row) => why(row) === undefined)
  const plans = (Object.keys(SESSIONS) as SessionId[])
    .map((session): Plan => {
      const rows = measured.filter((row) => row.session === session)
      return { session, rows, files: SESSIONS[session].hasFiles ? full : plain }
    })
    .filter(({ rows }) => rows.length > 0)

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
    await runRound(kinds, plans, samples, (text) => say(`round ${round} of ${rounds}: ${text}`))
  }
  const wantsFootprint = values.rows === undefined
  if (wantsFootprint) say('memory, idle time, commands, clock')
  const footprint = wantsFootprint ? await measureFootprint(xt, plain, clockSeconds) : undefined
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
    rows: measured.map((row) => makeRow(row, samples.get(xt)!, samples.get(other))),
    skipped: chosen.flatMap((row) => (why(row) === undefined ? [] : [[row.title, why(row)!] as const])),
    ...(footprint === undefined ? {} : { footprint }),
  }
}

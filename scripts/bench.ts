/**
 * `npm run bench [-- OPTION...]`: work in a Debian guest, xt beside QEMU's software CPU where that is installed, and
 * what xt takes in memory and processor time. The table goes to standard output, all samples to bench-results/ as JSON.
 *
 *   --rounds N      times that each row is measured (3); medians count
 *   --suite NAME    cpu (what is measured by itself), or devices: disks, network and shared folders beside QEMU's virtio
 *   --rows A,B      only these rows of any suite (--list names them), without the table of memory and idle time
 *   --quick         one round, ten seconds for the clock instead of sixty
 *   --alone         without QEMU
 *   --write         refreshes docs/benchmark.md (for devices: docs/benchmark-devices.md) and its chart; wants all rows
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { CpioEntry } from './assets/cpio.ts'
import { debianKernel, debianModules } from './assets/fetch-debian-kernel.ts'
import { initramfs } from './assets/make-initramfs.ts'
import { chart } from './bench/chart.ts'
import { Devices } from './bench/devices.ts'
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
import { ROWS, type Row, SESSIONS, type Session, type SessionId, SUITES } from './bench/rows.ts'

const root = join(import.meta.dirname, '..')
const say = (text: string) => process.stderr.write(`${text}\n`)

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    rows: { type: 'string' },
    suite: { type: 'string', default: 'cpu' },
    quick: { type: 'boolean', default: false },
    alone: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
if (values.list) {
  for (const { id, title, session } of ROWS)
    process.stdout.write(`${id.padEnd(14)}${SESSIONS[session].suite.padEnd(9)}${title}\n`)
  process.exit(0)
}
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const clockSeconds = values.quick ? 10 : 60
if (!Number.isInteger(rounds) || rounds < 1)
  refuse(`--rounds takes a number from 1 on, not "${values.rounds}"`)
if (values.write && values.rows !== undefined)
  refuse('--write wants all rows: the page would have only those of --rows')
if (!(SUITES as readonly string[]).includes(values.suite)) refuse(`suites are ${SUITES.join(' and ')}`)
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
  const name = values.suite === 'cpu' ? 'benchmark' : `benchmark-${values.suite}`
  writeFileSync(join(root, 'docs', `${name}.md`), document(results, name))
  writeFileSync(join(root, 'docs', `${name}.svg`), chart(results))
  say(`docs/${name}.md and docs/${name}.svg are written`)
}

function refuse(why: string): never {
  say(why)
  process.exit(2)
}

function chooseRows(names: string | undefined): readonly Row[] {
  if (names === undefined) return ROWS.filter(({ session }) => SESSIONS[session].suite === values.suite)
  const wanted = names.split(',')
  const unknown = wanted.find((name) => ROWS.every(({ id }) => id !== name))
  if (unknown !== undefined) refuse(`there is no row ${unknown}; --list names all`)
  return ROWS.filter(({ id }) => wanted.includes(id))
}

function footprintOf({ footprint }: Results): readonly (readonly string[])[] {
  return footprint === undefined ? [] : footprintTable(footprint)
}

async function filesOf(
  session: Session,
  entries: readonly CpioEntry[],
  devices: Devices,
): Promise<Plan['files']> {
  const options = { flavour: session.flavour, onProgress: say }
  const { vmlinuz } = await debianKernel(options)
  const modules = session.modules === undefined ? [] : await debianModules(session.modules, options)
  const ramdisk = await initramfs({ onProgress: say, modules, extra: session.hasFiles ? entries : [] })
  return { vmlinuz, ramdisk, ...(await devices.of(session)) }
}

async function bench(): Promise<Results> {
  const qemu = values.alone ? undefined : qemuVersion()
  if (qemu === undefined && !values.alone) say('qemu-system-x86_64 is not installed: xt is measured alone')
  const { vmlinuz, release: guest } = await debianKernel({ onProgress: say })
  const plain = { vmlinuz, ramdisk: await initramfs({ onProgress: say }) }
  const { entries, missing } = benchFiles(vmlinuz)
  using devices = new Devices()
  const allFiles = new Map<SessionId, Plan['files']>()
  for (const session of new Set(chosen.map((row) => row.session)))
    allFiles.set(session, await filesOf(SESSIONS[session], entries, devices))
  const why = ({ needs }: Row) =>
    needs === undefined ? undefined : (missing.get(needs) ?? devices.missing.get(needs))
  const measured = chosen.filter((row) => why(row) === undefined)
  const plans = [...allFiles]
    .map(
      ([session, files]): Plan => ({
        session,
        files,
        rows: measured.filter((row) => row.session === session),
      }),
    )
    .filter(({ rows }) => rows.length > 0)

  using xt = new XtMachines()
  using other = new QemuMachines()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      other[Symbol.dispose]()
      xt[Symbol.dispose]()
      devices[Symbol.dispose]()
      process.exit(130)
    })
  }
  const kinds: readonly MachineKind[] = qemu === undefined ? [xt] : [xt, other]
  const samples = new Map(kinds.map((kind): [MachineKind, Samples] => [kind, new Map()]))
  const before = loadavg()[0]!
  for (let round = 1; round <= rounds; round++) {
    await runRound(kinds, plans, samples, (text) => say(`round ${round} of ${rounds}: ${text}`))
  }
  const wantsFootprint = values.rows === undefined && values.suite === 'cpu'
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

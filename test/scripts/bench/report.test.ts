import t from 'tap'
import { chart } from '../../../scripts/bench/chart.ts'
import { cpuSeconds, residentBytes } from '../../../scripts/bench/process-times.ts'
import {
  makeRow,
  markdownTable,
  median,
  plainTable,
  type Results,
  speedTable,
  speedUpTable,
} from '../../../scripts/bench/report.ts'
import type { Samples } from '../../../scripts/bench/rounds.ts'
import { AT_ONCE, IN_TURN, ROWS, type Row, rowScript } from '../../../scripts/bench/rows.ts'

const BOOT: Row = { id: 'boot', title: 'to init', session: 'boot', command: ':', target: 1.5 }
const measured: Omit<Results, 'rows'> = {
  date: '2026-01-02T03:04:05Z',
  host: { processor: 'P < Q', processors: 2, kernel: '6', node: 'v24', qemu: 'QEMU 7', load: [0, 0] },
  guest: 'Debian',
  rounds: 1,
  skipped: [],
}
const samples = (...walls: readonly number[]): Samples =>
  new Map([['boot', walls.map((wallSeconds) => ({ wallSeconds, cpuSeconds: wallSeconds / 2 }))]])

t.test('the median is the middle one, or lies between the two in the middle', async (t) => {
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([4, 1, 2, 100]), 3)
  t.equal(median([7]), 7)
  t.ok(Number.isNaN(median([])))
})

t.test('a row compares medians', async (t) => {
  t.match(makeRow(BOOT, samples(8, 90, 7), samples(2, 1, 3)), {
    xt: { wallSeconds: 8, cpuSeconds: 4 },
    qemu: { wallSeconds: 2, cpuSeconds: 1 },
    ratio: 4,
    cpuRatio: 4,
  })
})

t.test('where there is no QEMU its columns are empty', async (t) => {
  const results = { ...measured, rows: [makeRow(BOOT, samples(8), undefined)] }
  t.same(speedTable(results)[1], ['to init', '8.00', '4.00', '–', '–', '–', '–', '≤ 1.5'])
  t.notMatch(chart(results), '>to init<', 'nor a bar')
})

t.test(
  'the chart has a bar for each ratio, cut off at the end of the scale, and what was measured',
  async (t) => {
    const results = {
      date: '2026-01-02T03:04:05Z',
      host: { processor: 'P < Q', processors: 2, kernel: '6', node: 'v24', qemu: 'QEMU 7' },
      rows: [makeRow(BOOT, samples(100), samples(1))],
    } as unknown as Results
    const svg = chart(results)
    t.match(svg, '>to init<')
    t.match(svg, '>100.00<')
    t.match(svg, '2026-01-02: P &lt; Q, 2 processors')
    const bars = [...svg.matchAll(/<rect x="\d+" [^>]*width="([\d.]+)" height="14"/g)].map(([, w]) =>
      Number(w),
    )
    t.equal(bars.length, 1)
    t.ok(bars[0]! < 600)
  },
)

t.test('the gain of a second vCPU is the time in turn over the time at once', async (t) => {
  const row = (id: string) => ({ ...BOOT, id })
  const of = (id: string, wallSeconds: number): Samples => new Map([[id, [{ wallSeconds, cpuSeconds: 1 }]]])
  const rows = [
    makeRow(row(IN_TURN), of(IN_TURN, 9), of(IN_TURN, 4)),
    makeRow(row(AT_ONCE), of(AT_ONCE, 5), of(AT_ONCE, 4)),
  ]
  t.same(speedUpTable({ rows })[1]?.slice(1), ['1.80', '1.00', '≥ 1.7'])
  t.same(speedUpTable({ rows: rows.slice(1) }), [])
})

t.test('every row has a name of its own and a script that tells when it begins and ends', async (t) => {
  t.equal(new Set(ROWS.map(({ id }) => id)).size, ROWS.length)
  for (const row of ROWS)
    t.match(rowScript(row), new RegExp(`^echo @begin ${row.id}\n[^]*\necho @end ${row.id}\n$`, 'm'))
})

t.test('a table is lined up for a terminal, and has a rule below its head in Markdown', async (t) => {
  const table = [
    ['', 'xt'],
    ['boot', '1.00'],
  ]
  t.equal(plainTable(table), '        xt\nboot  1.00\n')
  t.equal(markdownTable(table), '|  | xt |\n| --- | ---: |\n| boot | 1.00 |\n')
})

t.test(
  'times and size of a process are those that Node says of itself',
  { skip: process.platform !== 'linux' && 'no /proc' },
  async (t) => {
    const { user, system } = process.cpuUsage()
    t.ok(Math.abs(cpuSeconds(process.pid) - (user + system) / 1e6) < 0.5)
    t.ok(Math.abs(residentBytes(process.pid) / process.memoryUsage.rss() - 1) < 0.2)
  },
)

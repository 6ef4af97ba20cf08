import t from 'tap'
import { cpuSeconds, residentBytes } from '../../../scripts/bench/process-times.ts'
import {
  makeRow,
  markdownTable,
  median,
  plainTable,
  type Results,
  speedTable,
} from '../../../scripts/bench/report.ts'
import type { Samples } from '../../../scripts/bench/rounds.ts'

const samples = (...walls: readonly number[]): Samples =>
  new Map([['boot', walls.map((wallSeconds) => ({ wallSeconds, cpuSeconds: wallSeconds / 2 }))]])

t.test('the median is the middle one, or lies between the two in the middle', async (t) => {
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([4, 1, 2, 100]), 3)
  t.equal(median([7]), 7)
  t.ok(Number.isNaN(median([])))
})

t.test('a row compares medians', async (t) => {
  t.match(makeRow('boot', samples(8, 90, 7), samples(2, 1, 3)), {
    xt: { wallSeconds: 8, cpuSeconds: 4 },
    qemu: { wallSeconds: 2, cpuSeconds: 1 },
    ratio: 4,
    cpuRatio: 4,
  })
})

t.test('where there is no QEMU its columns are empty', async (t) => {
  const results = { rows: [makeRow('boot', samples(8), undefined)] } as unknown as Results
  t.same(speedTable(results)[1], ['boot', '8.00', '4.00', '–', '–', '–', '–'])
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

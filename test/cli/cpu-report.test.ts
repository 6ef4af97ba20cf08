import t from 'tap'
import { cpuReport, cpuText } from '../../src/cli/cpu-report.ts'

const counters = (atMs: number, more: Record<string, number>) => ({ atMs, vcpus: [{ polls: atMs, ...more }] })
const profiles = [
  {
    index: 0,
    parts: { waiting: 0.25, interpreter: 0.75 },
    functions: [{ name: 'run', part: 'interpreter', share: 0.75 }],
  },
]

t.test('counters are told as rates between two readings, and in all', async (t) => {
  const before = counters(1000, { regionsLive: 5, interpreterBranches: 1e6 })
  const after = counters(3000, { regionsLive: 7, interpreterBranches: 5e6 })
  const report = cpuReport(before, after, profiles)
  t.equal(report.seconds, 2)
  t.match(report.vcpus[0], {
    mips: 12,
    counters: { polls: { perSecond: 1000, total: 3000 }, regionsLive: { perSecond: 0, total: 7 } },
  })
  t.equal(
    cpuText(report, { functions: true }),
    `vCPU 0, 2.0 s, about 12 MIPS
  interpreter                         75.0 %
  waiting                             25.0 %
      75.0 %  interpreter           run
                                per second            in all
  polls                              1 000             3 000
  regions live                           0                 7
  interpreter branches           2 000 000         5 000 000
`,
  )
})

t.test('a speed is not told where branches are not counted, and a parked vCPU does not run', async (t) => {
  const [vcpu] = cpuReport(counters(0, {}), counters(1000, {}), []).vcpus
  t.notOk('mips' in vcpu!)
  t.match(cpuText({ seconds: 1, vcpus: [vcpu!] }, { functions: false }), /^vCPU 0, 1.0 s\n {2}not running\n/)
})

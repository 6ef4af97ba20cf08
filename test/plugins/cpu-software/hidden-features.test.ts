/** Instructions that are implemented though CPUID does not advertise them: they agree with hosts that have them. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { makeDecoder } from '../../../src/plugins/cpu-software/isa/decode.ts'
import { FEATURES, type Feature } from '../../../src/plugins/cpu-software/isa/features.ts'
import { ROWS } from '../../../src/plugins/cpu-software/isa/table.ts'
import { runsOnThisCpu } from './coverage.ts'
import { source } from './fp/operands.ts'
import { agreesWithHost, SEED, skip, trialsPerForm } from './host-trials.ts'
import { CodeRunner } from './run-code.ts'
import { formsOf, modesOf, trial } from './trials.ts'
import { vectorAdjustmentOf } from './vector-rows.ts'

/** Linux's names of the features that are tried. */
const TRIED: Partial<Record<Feature, string>> = {
  SSE4_2: 'sse4_2',
  MOVBE: 'movbe',
  LZCNT: 'abm',
  BMI1: 'bmi1',
}

const cpuinfo = (() => {
  try {
    return new Set((/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '').split(' '))
  } catch {
    return new Set<string>()
  }
})()

for (const [feature, flag] of Object.entries(TRIED)) {
  const missing = skip || (cpuinfo.has(flag) ? false : `the host's processor has no ${flag}`)
  t.test(`${feature} instructions do what the host does`, { skip: missing }, async (t) => {
    const s = source(SEED)
    const rows = ROWS.filter((row) => row.feature === feature)
    t.same(
      rows.filter((row) => !runsOnThisCpu(row)).map((row) => row.form),
      [],
      'all are implemented',
    )
    const trials = rows.flatMap((row) =>
      modesOf(row).flatMap((mode) =>
        formsOf(row).flatMap((memory) =>
          Array.from({ length: trialsPerForm(60) }, () =>
            trial(s, row, mode, memory, {}, vectorAdjustmentOf(row)),
          ),
        ),
      ),
    )
    const runner = new CodeRunner(makeDecoder(new Set(FEATURES)))
    agreesWithHost(
      t,
      trials.filter((drawn) => drawn !== undefined),
      true,
      runner,
    )
  })
}

/**
 * The seed and the number of trials of the comparisons with the host: XT_TEST_SEED and XT_TEST_TRIALS (per form)
 * in the environment override them. Runs a set of trials on both sides and fails the test with what differs.
 */
import type { HostResult } from '../../host-oracle/oracle.ts'
import { hostOracle } from '../../host-oracle/oracle.ts'
import { disagreements } from './compare.ts'
import { type CodeRunner, runOnSoftware } from './run-code.ts'
import type { Trial } from './trials.ts'

export const SEED = Number(process.env['XT_TEST_SEED'] ?? 1)
export const trialsPerForm = (usual: number): number => Number(process.env['XT_TEST_TRIALS'] ?? usual)

const oracle = hostOracle()
/** For tap: a reason to skip, or false. */
export const skip: string | false = oracle.kind === 'missing' ? oracle.reason : false

interface Asserting {
  equal(found: unknown, wanted: unknown, message: string): boolean
  ok(value: unknown, message: string): boolean
  comment(message: string): unknown
}

const EXAMPLES = 2

/** One assertion for the whole set; each form that differs is told with examples. */
export function agreesWithHost(
  t: Asserting,
  trials: readonly Trial[],
  vectors = false,
  runner?: CodeRunner,
): void {
  if (oracle.kind === 'missing') return
  const cases = trials.map((trial) => trial.case)
  const ours: HostResult[] = runOnSoftware(cases, runner)
  const found = disagreements(trials, ours, oracle.runOnHost(cases), vectors)
  for (const [form, examples] of found) {
    t.comment(`${form}: ${examples.length} differ`)
    for (const example of examples.slice(0, EXAMPLES)) t.comment(`  ${example}`)
  }
  t.ok(trials.length > 0, `there are trials (seed ${SEED})`)
  t.equal([...found.keys()].join('; '), '', `${trials.length} trials agree (seed ${SEED})`)
}

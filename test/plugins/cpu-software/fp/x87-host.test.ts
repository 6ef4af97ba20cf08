import t from 'tap'
import { hostOracle } from '../../../host-oracle/oracle.ts'
import { source } from './operands.ts'
import { exactForms } from './x87-forms.ts'
import {
  describe,
  differences,
  hostAfter,
  hostCase,
  ourAfter,
  randomTrial,
  withoutVendorChoices,
} from './x87-trial.ts'

const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false
const runOnHost = oracle.kind === 'ready' ? oracle.runOnHost : () => []

const TRIALS = 1000

for (const [index, encoding] of exactForms.entries()) {
  t.test(`${encoding.form} leaves the same x87 state as on the host`, { skip }, async (t) => {
    const s = source(0x87 + index)
    const trials = Array.from({ length: TRIALS }, () => randomTrial(s, encoding))
    const host = runOnHost(trials.map(hostCase)).map(hostAfter)
    const wrong = trials.flatMap((x, i) => {
      const theirs = withoutVendorChoices(x, host[i]!)
      const ours = withoutVendorChoices(x, ourAfter(x))
      return differences(theirs, ours).length === 0 ? [] : [describe(x, theirs, ours)]
    })
    t.same(wrong.slice(0, 4), [], `${wrong.length} of ${TRIALS} differ`)
  })
}

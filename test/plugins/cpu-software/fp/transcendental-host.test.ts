import t from 'tap'
import { hostOracle } from '../../../host-oracle/oracle.ts'
import { source } from './operands.ts'
import { transcendentalForms } from './x87-forms.ts'
import {
  describe,
  differences,
  hostAfter,
  hostCase,
  ourAfter,
  randomTrial,
  withoutVendorChoices,
  type X87After,
  type X87Trial,
} from './x87-trial.ts'

const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false
const runOnHost = oracle.kind === 'ready' ? oracle.runOnHost : () => []

const TRIALS = 1000
const C1 = 0x200

/** Place of an f80 value among all of its sign, so that neighbours differ by one. */
function ordinal(value: bigint): bigint {
  const magnitude = value & ((1n << 79n) - 1n)
  const significand = magnitude & ((1n << 64n) - 1n)
  const exponent = magnitude >> 64n
  const place = exponent === 0n ? significand : ((exponent - 1n) << 63n) + significand
  return value >> 79n === 0n ? place : -place
}

const isNeighbour = (a: bigint, b: bigint): boolean => {
  const distance = ordinal(a) - ordinal(b)
  return distance >= -1n && distance <= 1n
}

/** Ours where it is at most one unit in the last place away; C1 tells how that was rounded. */
function tolerant(host: X87After, ours: X87After): [X87After, X87After] {
  const st = host.st.map((value, i) => (isNeighbour(value, ours.st[i]!) ? ours.st[i]! : value))
  return [
    { ...host, st, fsw: host.fsw & ~C1 },
    { ...ours, fsw: ours.fsw & ~C1 },
  ]
}

/** Operands for which the manual says what happens: F2XM1 in [-1, 1], FYL2XP1 near zero, and all specials. */
function isDefined(x: X87Trial): boolean {
  const magnitude = x.st[0]! & ~(1n << 79n)
  const isNumber = magnitude >> 64n !== 0x7fffn
  if (x.encoding.form === 'F2XM1') return !isNumber || magnitude <= 0x3fff_8000_0000_0000_0000n
  if (x.encoding.form === 'FYL2XP1') return !isNumber || magnitude <= 0x3ffd_95f0_0000_0000_0000n
  return true
}

for (const [index, encoding] of transcendentalForms.entries()) {
  t.test(`${encoding.form} is within one unit in the last place of the host`, { skip }, async (t) => {
    const s = source(0x7a + index)
    const trials = Array.from({ length: TRIALS }, () => randomTrial(s, encoding)).filter(isDefined)
    const host = runOnHost(trials.map(hostCase)).map(hostAfter)
    const wrong = trials.flatMap((x, i) => {
      const [theirs, ours] = tolerant(withoutVendorChoices(x, host[i]!), withoutVendorChoices(x, ourAfter(x)))
      return differences(theirs, ours).length === 0 ? [] : [describe(x, theirs, ours)]
    })
    t.same(wrong.slice(0, 4), [], `${wrong.length} of ${trials.length} differ`)
  })
}

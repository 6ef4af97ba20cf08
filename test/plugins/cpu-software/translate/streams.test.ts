/**
 * Random streams of instructions, in the interpreter and translated at their first execution: both end alike, with
 * the same registers, flags, memory and vector state. Streams branch forwards, run in a loop, fault, and write into
 * their own code; a counter proves that they were translated. And single instructions, translated, do what the host does.
 */
import t from 'tap'
import { planMachine } from '../../../../src/base/machine-memory.ts'
import { decode } from '../../../../src/plugins/cpu-software/isa/decode.ts'
import { readCounters } from '../../../../src/plugins/cpu-software/state.ts'
import type { HostCase } from '../../../host-oracle/oracle.ts'
import { TIMED_OUT } from '../../../host-oracle/oracle.ts'
import { rowsOf } from '../coverage.ts'
import { type Source, source } from '../fp/operands.ts'
import { agreesWithHost, SEED, skip } from '../host-trials.ts'
import { adjustmentOf, isComparable } from '../integer-rows.ts'
import { CodeRunner, compiledCore, silentLog } from '../run-code.ts'
import { formsOf, modesOf, type Trial, trial } from '../trials.ts'
import { vectorAdjustmentOf } from '../vector-rows.ts'

t.setTimeout(300_000)

const STREAMS = Number(process.env['XT_TEST_STREAMS'] ?? 60)
const LONGEST = 24
const runner = (mode: 'off' | 'forced') =>
  new CodeRunner(decode, compiledCore(), silentLog, planMachine(4 << 20, 1)!, mode)
const counters = ({ state }: CodeRunner) => readCounters(state.view, state.base)

const BRANCHES = /^(J|CALL|RET|LOOP|INT|UD|HLT)/
const integers = rowsOf('integer', 'system').filter(
  (row) => modesOf(row).includes(64) && !BRANCHES.test(row.mnemonic),
)
const vectors = rowsOf('vector').filter((row) => modesOf(row).includes(64))

function draw(s: Source): Trial | undefined {
  const isVector = s.below(4) === 0
  const row = s.pick(isVector ? vectors : integers)
  const adjust = isVector ? vectorAdjustmentOf(row) : adjustmentOf(row.form, row.mnemonic)
  return trial(s, row, 64, s.pick([...formsOf(row)]), {}, adjust)
}

/** mov byte [rip + to], value */
const writeCode = (to: number, value: number): number[] => {
  const bytes = new DataView(new ArrayBuffer(7))
  bytes.setUint16(0, 0xc605)
  bytes.setInt32(2, to, true)
  bytes.setUint8(6, value)
  return [...new Uint8Array(bytes.buffer)]
}

/** Instructions with short branches over some of them, the immediate of a MOV that is written now and then, and the whole in a loop. */
function stream(s: Source): HostCase | undefined {
  const first = draw(s)
  if (first === undefined) return undefined
  const parts: number[][] = [[...first.case.code]]
  for (let n = s.below(LONGEST); n > 0; n--) {
    const code = draw(s)?.case.code
    if (code === undefined) continue
    if (s.below(3) === 0) parts.push([0x70 + s.below(16), code.length])
    parts.push([...code])
  }
  // mov r11d, imm32 somewhere behind; a store before it changes the first byte of its immediate.
  if (s.below(2) === 0) {
    const between = parts.slice(1).reduce((sum, part) => sum + part.length, 0)
    parts.splice(1, 0, writeCode(between + 2, s.below(256)))
    parts.push([0x41, 0xbb, 1, 2, 3, 4])
  }
  const body = parts.flat()
  // dec r15; jnz: r15 is whatever the instructions leave of it.
  const loop = s.below(2) === 0 ? [0x49, 0xff, 0xcf, 0x0f, 0x85] : []
  const back = loop.length === 0 ? [] : [...new Uint8Array(Int32Array.of(-(body.length + 9)).buffer)]
  const gpr = [...(first.case.gpr ?? [])]
  gpr[15] = BigInt(1 + s.below(5))
  return { ...first.case, code: Uint8Array.from([...body, ...loop, ...back, 0xcc]), gpr }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

t.test('random streams end alike in the interpreter and translated', async (t) => {
  const s = source(SEED)
  const [plain, forced] = [runner('off'), runner('forced')]
  const wrong: string[] = []
  let compared = 0
  for (let n = 0; n < STREAMS; n++) {
    const one = stream(s)
    if (one === undefined) continue
    const [a, b] = [plain.run(one), forced.run(one)]
    // Where patience ends depends on how branches are counted.
    if (a.vector === TIMED_OUT || b.vector === TIMED_OUT) continue
    compared++
    const text = ({ gpr, memory, fx, ...rest }: typeof a) =>
      JSON.stringify({ ...rest, gpr: [...gpr], memory: hex(memory), fx: hex(fx) }, (_, v) =>
        typeof v === 'bigint' ? v.toString(16) : v,
      )
    if (text(a) !== text(b)) wrong.push(`stream ${n} ${hex(one.code)}\n  ${text(a)}\n  ${text(b)}`)
  }
  for (const line of wrong.slice(0, 2)) t.comment(line)
  t.equal(wrong.length, 0, `${compared} streams (seed ${SEED})`)
  t.ok(compared > STREAMS / 2, 'most streams come to an end')
  const { regionsMade, regionEntries, regionsWritten } = counters(forced)
  t.ok(regionsMade > compared / 2 && regionEntries >= regionsMade / 2, 'they were translated')
  t.ok(regionsWritten > 0, 'some wrote into translated code')
  t.equal(counters(plain).regionsMade, 0, 'the interpreter alone translates nothing')
})

t.test('translated instructions do what the host does', { skip }, async (t) => {
  const s = source(SEED)
  const trials: Trial[] = []
  for (const row of rowsOf('integer')) {
    if (!modesOf(row).includes(64)) continue
    for (const memory of formsOf(row))
      for (let n = 0; n < 3; n++) {
        const drawn = trial(s, row, 64, memory, {}, adjustmentOf(row.form, row.mnemonic))
        if (drawn !== undefined && isComparable(drawn)) trials.push(drawn)
      }
  }
  const forced = runner('forced')
  agreesWithHost(t, trials, false, forced)
  t.ok(counters(forced).regionsMade > trials.length / 2, 'they were translated')
})

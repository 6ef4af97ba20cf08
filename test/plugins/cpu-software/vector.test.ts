/**
 * MMX and SSE instructions through the interpreter, against the host's processor: every integer, move and shuffle
 * form, and that the floating-point assists agree here too (their arithmetic has its own tests in fp/).
 */
import t from 'tap'
import type { Row } from '../../../src/plugins/cpu-software/isa/row.ts'
import { rowsOf } from './coverage.ts'
import { type Source, source } from './fp/operands.ts'
import { agreesWithHost, SEED, skip, trialsPerForm } from './host-trials.ts'
import { runOnSoftware } from './run-code.ts'
import { type Adjust, formsOf, type Mode, modesOf, type Trial, trial } from './trials.ts'
import { vectorAdjustmentOf } from './vector-rows.ts'

t.setTimeout(300_000)

function trialsOf(
  s: Source,
  rows: readonly Row[],
  count: number,
  adjust: (row: Row) => Adjust | undefined,
): Trial[] {
  const found: Trial[] = []
  for (const row of rows)
    for (const mode of modesOf(row))
      for (const memory of formsOf(row))
        for (let n = mode === 64 ? count : Math.ceil(count / 4); n > 0; n--) {
          const drawn = trial(s, row, mode as Mode, memory, {}, adjust(row))
          if (drawn !== undefined) found.push(drawn)
        }
  return found
}

t.test('MMX and SSE integer, move and shuffle instructions do what the host does', { skip }, async (t) => {
  agreesWithHost(t, trialsOf(source(SEED), rowsOf('vector'), trialsPerForm(24), vectorAdjustmentOf), true)
})

t.test('SSE arithmetic agrees through the interpreter', { skip }, async (t) => {
  // Approximations are the processor's own; FXSAVE images are what the runner itself works with.
  const rows = rowsOf('float').filter((row) => !/^(RCP|RSQRT|FXSAVE|FXRSTOR)/.test(row.mnemonic))
  agreesWithHost(t, trialsOf(source(SEED), rows, trialsPerForm(8), vectorAdjustmentOf), true)
})

t.test('x87 instructions agree through the interpreter', { skip }, async (t) => {
  // Transcendental results differ by processor; images hold the instruction's address.
  const own =
    /^(FSIN|FCOS|FSINCOS|FPTAN|FPATAN|F2XM1|FYL2X|FYL2XP1|FNSAVE|FRSTOR|FNSTENV|FLDENV|FNENI|FNDISI|FNSETPM)$/
  // D9 D8 is an alias without a name in Intel's manual; AMD's processors do not check for an empty register there.
  const rows = rowsOf('x87').filter((row) => !own.test(row.mnemonic) && row.encoding.text !== 'D9 D8+i')
  agreesWithHost(
    t,
    trialsOf(source(SEED), rows, trialsPerForm(8), () => undefined),
    true,
  )
})

t.test('an SSE operand that is not aligned faults before the page behind it does', async (t) => {
  // PADDB xmm0, [rcx] across the end of the memory.
  const [ended] = runOnSoftware([{ code: Uint8Array.of(0x66, 0x0f, 0xfc, 0x01), gpr: [0n, 0x2000_1ff8n] }])
  t.match({ ...ended }, { vector: 13, errorCode: 0 })
})

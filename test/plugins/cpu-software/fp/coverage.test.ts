import t from 'tap'
import { sseAssistOf } from '../../../../src/plugins/cpu-software/fp/sse.ts'
import { x87Instructions } from '../../../../src/plugins/cpu-software/fp/x87.ts'
import { ROWS } from '../../../../src/plugins/cpu-software/isa/table.ts'
import { exactForms, transcendentalForms } from './x87-forms.ts'

/** Forms that are images of the whole state: x87-images.ts, with a test of their own. */
const IMAGES = /^(FNSTENV|FLDENV|FNSAVE|FRSTOR|FXSAVE|FXRSTOR)/
/** 8087 instructions without an effect: nothing to compare. */
const EMPTY = /^(FNENI|FNDISI|FNSETPM)$/

const x87Forms = ROWS.filter((row) => row.mnemonic.startsWith('F')).map((row) => row.form)
const x87Here = x87Forms.filter((form) => !IMAGES.test(form))

t.test('every x87 form of the instruction table has its meaning, and nothing else has', async (t) => {
  t.same([...x87Instructions.keys()].sort(), [...new Set(x87Here)].sort())
})

t.test('every x87 form is compared with the host', async (t) => {
  const compared = new Set([...exactForms, ...transcendentalForms].map((e) => e.form))
  t.same(
    [...x87Instructions.keys()].filter((form) => !compared.has(form) && !EMPTY.test(form)),
    [],
  )
})

t.test('every arithmetic SSE mnemonic of the instruction table has a slow path', async (t) => {
  const arithmetic =
    /^(ADD|SUB|MUL|DIV|SQRT|MIN|MAX|CMP|ROUND|RCP|RSQRT|HADD|HSUB|ADDSUB|DP)(PS|PD|SS|SD)$|^U?COMIS[SD]$|^CVT/
  const rows = ROWS.filter((row) => arithmetic.test(row.mnemonic) && row.operands[0]?.kind !== 'm')
  const without = rows.filter((row) => row.operands.some((o) => /mm/.test(o.kind)))
  t.same(
    without.filter((row) => sseAssistOf(row.mnemonic, row.opSize) === undefined).map((row) => row.form),
    [],
  )
})

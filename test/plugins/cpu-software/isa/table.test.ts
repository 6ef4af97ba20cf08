/** The table as data: no two rows claim the same bytes, and its columns agree with one another. */
import t from 'tap'
import { readRow } from '../../../../src/plugins/cpu-software/isa/read-row.ts'
import { FLAG } from '../../../../src/plugins/cpu-software/isa/row.ts'
import { ROWS } from '../../../../src/plugins/cpu-software/isa/table.ts'

t.test('a row of the manual is read as the manual means it', (t) => {
  const [row, ...more] = readRow(
    ['ADC', 'r64/m64, simm8', 'MI', 'REX.W 83 /2 ib', 'LOCK', 'OF=X ZF=X CF=TX'],
    7,
  )
  t.same(more, [])
  t.match(row, {
    index: 7,
    form: 'ADC r64/m64, simm8',
    opSize: 64,
    lockable: true,
    cpl0: false,
    feature: 'BASE',
  })
  t.same(row!.operands[0], {
    kind: 'rm',
    text: 'r64/m64',
    width: 64,
    memWidth: 64,
    access: 'rw',
    where: 'rm',
    signed: false,
  })
  t.same(row!.operands[1], {
    kind: 'imm',
    text: 'simm8',
    width: 8,
    memWidth: 0,
    access: 'r',
    where: 'imm',
    signed: true,
  })
  t.match(row!.flags, { tested: FLAG.CF, computed: FLAG.OF | FLAG.ZF | FLAG.CF, undefined: 0 })
  t.end()
})

t.test(
  'the size letter v stands for three rows, and a default of 64 bits leaves no 32-bit row in 64-bit mode',
  (t) => {
    const forms = readRow(['PUSH', 'r:rv', 'O', '50+r', 'D64'], 0).map((r) => [r.form, r.no64, r.only64])
    t.same(forms, [
      ['PUSH r16', false, false],
      ['PUSH r32', true, false],
      ['PUSH r64', false, true],
    ])
    t.end()
  },
)

t.test('mistakes in a row are refused', (t) => {
  t.throws(() => readRow(['ADD', 'q8, r8', 'MR', '00 /r'], 0), /cannot read operand q8/)
  t.throws(() => readRow(['ADD', 'r8/m8, r8', 'MR', '00 /r', 'LOCKED'], 0), /unknown attribute LOCKED/)
  t.throws(() => readRow(['ADD', 'r8/m8, r8', 'MR', '00 /r', '', 'QF=X'], 0), /unknown flag effect/)
  t.throws(() => readRow(['ADD', 'r8/m8, imm8', 'MI', '80 /0 iq'], 0), /unknown immediate/)
  t.end()
})

t.test('rows of one encoding differ in what selects them', (t) => {
  const seen = new Map<string, string>()
  for (const row of ROWS) {
    const e = row.encoding
    for (const is64 of [false, true]) {
      if (is64 ? row.no64 : row.only64) continue
      for (let size = 0; size < 3; size++) {
        if (((e.sizes >> size) & 1) === 0) continue
        const mod = `${e.registerAllowed ? 'r' : ''}${e.memoryAllowed ? 'm' : ''}`
        const key = [is64, size, e.map, e.opcode, e.prefixes, e.digit, e.fixedModrm, mod].join()
        const before = seen.get(key)
        // 90 is both on purpose: the later row counts, and the decoder looks at REX.B.
        if (before !== undefined && row.encoding.text !== '90')
          t.fail(`${row.form} and ${before} are both ${e.text}`)
        seen.set(key, row.form)
      }
    }
  }
  t.ok(seen.size > ROWS.length)
  t.end()
})

t.test('a lockable row can have its destination in memory', (t) => {
  for (const row of ROWS)
    if (row.lockable) t.ok(row.operands[0]!.memWidth > 0 && row.operands[0]!.access === 'rw', row.form)
  t.end()
})

t.test('an operand in ModRM or an immediate has its bytes in the opcode column', (t) => {
  for (const row of ROWS) {
    const inModrm = row.operands.some((o) => o.where === 'reg' || o.where === 'rm' || o.where === 'mem')
    const hasImmediate = row.operands.some((o) => o.where === 'imm')
    t.equal(row.encoding.modrm || !inModrm, true, row.form)
    t.equal(row.encoding.immediate !== 0, hasImmediate, row.form)
  }
  t.end()
})

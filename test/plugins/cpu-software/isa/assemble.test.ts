/** The assembler: every row round trips through the decoder, and labels land where they should. */
import t from 'tap'
import { Assembler, at, label, mem } from '../../../../src/plugins/cpu-software/isa/assemble.ts'
import { Decoded, makeDecoder } from '../../../../src/plugins/cpu-software/isa/decode.ts'
import { encodeRow } from '../../../../src/plugins/cpu-software/isa/encode.ts'
import { FEATURES } from '../../../../src/plugins/cpu-software/isa/features.ts'
import {
  type Argument,
  REGISTERS,
  type RegisterName,
} from '../../../../src/plugins/cpu-software/isa/operand.ts'
import type { Operand, Row } from '../../../../src/plugins/cpu-software/isa/row.ts'
import { ROWS } from '../../../../src/plugins/cpu-software/isa/table.ts'
import { difference } from './iced.ts'

const decode = makeDecoder(new Set(FEATURES))
const out = new Decoded()
const hex = (bytes: ArrayLike<number>) => Buffer.from(Array.from(bytes)).toString('hex')

/** What to try for an operand, with the decoded fields each must come back as. */
function choices(operand: Operand, mode: 64 | 32 | 16): [Argument, Partial<Decoded>][] {
  const list: [Argument, Partial<Decoded>][] = []
  if (operand.where === 'fixed') {
    const name = operand.text === 'ST(0)' ? 'st0' : operand.text === '1' ? 1 : operand.text.toLowerCase()
    return [[name as Argument, {}]]
  }
  const kinds = {
    r: 'r',
    rm: 'r',
    xmm: 'xmm',
    'xmm/m': 'xmm',
    mm: 'mm',
    'mm/m': 'mm',
    st: 'st',
    sreg: 'sreg',
    cr: 'cr',
    dr: 'dr',
  }
  const registerKind = (kinds as Record<string, string>)[operand.kind]
  for (const [name, r] of REGISTERS) {
    if (r.kind !== registerKind || (r.kind === 'r' && r.width !== operand.width)) continue
    if (mode !== 64 && ((r.number >= 8 && r.number < 16) || r.rex === 'needed')) continue
    if (r.kind === 'sreg' && operand.access === 'w' && name === 'cs') continue
    list.push([name as RegisterName, { [operand.where]: r.number } as Partial<Decoded>])
  }
  if (operand.where === 'mem' || operand.kind.endsWith('/m') || operand.kind === 'rm')
    list.push(...memoryChoices(mode))
  if (operand.kind === 'imm') {
    const values = operand.signed ? [5, -3] : [5, 2 ** (Math.min(operand.width, 32) - 1) - 1]
    for (const value of values) list.push([value, { [operand.where]: value } as Partial<Decoded>])
    if (operand.width === 64) list.push([0x1122334455667788n, { imm: 0x55667788, immHi: 0x11223344 }])
  }
  if (operand.kind === 'rel') list.push([5, { imm: 5 }], [-100, { imm: -100, immHi: -1 }])
  if (operand.kind === 'moffs')
    list.push(
      [{ moffs: 0x1234 }, { imm: 0x1234 }],
      [
        { moffs: 0x10, seg: 'fs' },
        { imm: 16, seg: 4 },
      ],
    )
  if (operand.kind === 'far')
    list.push([
      { selector: 0x10, offset: 0x1234 },
      { imm: 0x1234, imm2: 0x10 },
    ])
  return list
}

function memoryChoices(mode: 64 | 32 | 16): [Argument, Partial<Decoded>][] {
  if (mode === 16) {
    return [
      [mem({ base: 'bx', index: 'di', disp: -2 }), { isMem: true, base: 3, index: 7, disp: -2 }],
      [mem({ base: 'bp' }), { isMem: true, base: 5, index: -1, disp: 0, defaultSeg: 2 }],
      [mem({ disp: 0x1234, seg: 'es' }), { isMem: true, base: -1, disp: 0x1234, seg: 0 }],
      [
        mem({ base: 'ebx', index: 'ecx', scale: 8 }),
        { isMem: true, base: 3, index: 1, scale: 3, addrSize: 32 },
      ],
    ]
  }
  const wide: [Argument, Partial<Decoded>][] = [
    [mem({ base: 'eax' }), { isMem: true, base: 0, index: -1, disp: 0, addrSize: 32 }],
    [
      mem({ base: 'esp', index: 'ebp', scale: 2, disp: -4 }),
      { base: 4, index: 5, scale: 1, disp: -4, defaultSeg: 2 },
    ],
    [
      mem({ index: 'esi', scale: 4, disp: 0x12345678 }),
      { isMem: true, base: -1, index: 6, scale: 2, disp: 0x12345678 },
    ],
    [mem({ base: 'ebp', seg: 'gs' }), { isMem: true, base: 5, disp: 0, seg: 5 }],
    [mem({ disp: -0x70000000 }), { isMem: true, base: -1, index: -1, disp: -0x70000000, ripRelative: false }],
  ]
  if (mode === 32) return wide
  return [
    ...wide,
    [
      mem({ base: 'r12', disp: 0x7f }),
      { isMem: true, base: 12, index: -1, disp: 0x7f, defaultSeg: 3, addrSize: 64 },
    ],
    [mem({ base: 'r13', index: 'r12', scale: 8 }), { isMem: true, base: 13, index: 12, scale: 3, disp: 0 }],
    [mem({ ripRelative: true, disp: 0x1000 }), { isMem: true, base: -1, disp: 0x1000, ripRelative: true }],
  ]
}

/** Prefetches and ENDBR lie inside the reserved NOPs; 90 is NOP, not XCHG with itself. */
const meansSame = (row: Row, found: Row) =>
  found === row ||
  (row.mnemonic === 'NOP' && /^PREFETCH/.test(found.mnemonic)) ||
  (row.mnemonic === 'XCHG' && found.mnemonic === 'NOP' && out.length <= 2)

t.test('every row decodes to itself with each kind of operand in every mode it has', (t) => {
  let encodings = 0
  const wrong: string[] = []
  for (const row of ROWS) {
    let before = encodings
    for (const mode of [64, 32, 16] as const) {
      if (mode === 64 ? row.no64 : row.only64) continue
      const named = row.operands.every((operand) => operand.where === 'fixed') ? [] : row.operands
      const lists = named.map((operand) => choices(operand, mode))
      const rounds = Math.max(1, ...lists.map((list) => list.length))
      for (let round = 0; round < rounds; round++) {
        // Different steps, so that operands meet in different pairs.
        const picked = lists.map((list, i) => list[(round * (i * 2 + 1)) % list.length]!)
        const encoded = encodeRow(
          row,
          picked.map(([argument]) => argument),
          mode,
        )
        if (encoded === undefined) continue
        encodings++
        const bytes = Uint8Array.from(encoded.bytes)
        const length = decode(bytes, 0, bytes.length, mode, out)
        const say = (what: string) =>
          wrong.push(`${mode}: ${row.form} (${row.encoding.text}) ${hex(bytes)}: ${what}`)
        if (length !== bytes.length) say(`length ${length}`)
        else if (!meansSame(row, ROWS[out.row]!)) say(`decodes to ${ROWS[out.row]!.form}`)
        else if (ROWS[out.row] === row) {
          for (const [field, value] of picked.flatMap(([, fields]) => Object.entries(fields))) {
            if (out[field as keyof Decoded] !== value)
              say(`${field} is ${out[field as keyof Decoded]}, not ${value}`)
          }
          const their = difference(bytes, mode)
          if (their !== undefined) say(their)
        }
      }
    }
    if (encodings === before) wrong.push(`${row.form} was never encoded`)
    before = encodings
  }
  t.same(wrong.slice(0, 20), [])
  t.comment(`${ROWS.length} rows, ${encodings} encodings`)
  t.end()
})

t.test('the shortest form is chosen', (t) => {
  const one = (...args: Parameters<Assembler['emit']>) => hex(new Assembler(64).emit(...args).assemble())
  t.equal(one('ADD', 'eax', 1), '83c001')
  t.equal(one('ADD', 'eax', 0x1000), '0500100000')
  t.equal(one('MOV', 'rax', -1), '48c7c0ffffffff')
  t.equal(one('MOV', 'rax', 0x123456789an), '48b89a78563412000000')
  t.equal(one('MOV', 'eax', 0xffffffff), 'b8ffffffff')
  t.equal(one('AND', 'rsp', -16), '4883e4f0')
  t.equal(one('SHL', 'eax', 1), 'd1e0')
  t.equal(one('PUSH', 'r12'), '4154')
  t.equal(one('PUSH', 0x80), '6880000000', 'the width of the stack, though 66 68 would be shorter')
  t.equal(one('MOV', mem({ base: 'rax', size: 8 }), 5), 'c60005')
  t.end()
})

t.test('what has no form is refused by name', (t) => {
  const a = new Assembler(64)
  t.throws(() => a.emit('PUSH', 'eax'), /no form of PUSH in 64-bit mode takes \(eax\)/)
  t.throws(() => a.emit('MOV', 'ah', 'r8b'), /no form of MOV/)
  t.throws(() => a.emit('INC', mem({ base: 'rax' })), /give the memory operand a size/)
  t.throws(() => a.emit('FROB'), /no form of FROB/)
  t.throws(() => a.emit('MOV', 'al', 256), /no form/)
  t.throws(() => new Assembler(32).emit('MOV', 'r8d', 1), /no form/)
  t.end()
})

t.test('branches reach their labels, short when they go back a little', (t) => {
  const a = new Assembler(64, 0x1000)
  a.label('start')
    .emit('NOP')
    .jmp('start')
    .jcc('NZ', 'end')
    .jmp('end', { short: true })
    .emit('LOOP', label('start'))
  a.label('end').emit('HLT')
  t.equal(hex(a.assemble()), '90ebfd0f8504000000eb02e2f3f4')
  t.equal(a.address('end'), 0x100d)
  t.end()
})

t.test('labels are addresses in data, immediates and RIP-relative memory', (t) => {
  const a = new Assembler(64, 0x2000)
  a.emit('LEA', 'rsi', at('data'))
    .emit('MOV', 'edi', label('data', 4))
    .label('data')
    .u64(label('data'))
    .u32(7)
    .ascii('hi')
  t.equal(hex(a.assemble()), '488d3505000000' + 'bf10200000' + '0c20000000000000' + '07000000' + '6869')
  t.end()
})

t.test('code sizes mix, data aligns, org fills', (t) => {
  const a = new Assembler(16)
    .emit('MOV', 'eax', 1)
    .mode(32)
    .emit('MOV', 'eax', 1)
    .align(4, 0x90)
    .org(16)
    .u8(0xaa)
  t.equal(hex(a.assemble()), '66b801000000' + 'b801000000' + '90' + '00000000' + 'aa')
  t.throws(() => a.org(3), /behind/)
  t.end()
})

t.test('prefixes and operand sizes without operands', (t) => {
  const a = new Assembler(64)
  a.string('STOS', 64, 'REP')
    .emitWith({ lock: true }, 'INC', mem({ base: 'rdi', size: 32 }))
    .emitWith({ size: 64 }, 'RETF')
  t.equal(hex(a.assemble()), 'f348ab' + 'f0ff07' + '48cb')
  t.end()
})

t.test('a label that is missing, double or out of reach is refused', (t) => {
  t.throws(() => new Assembler(64).jmp('nowhere').assemble(), /no label nowhere/)
  t.throws(() => new Assembler(64).label('a').label('a'), /there already/)
  t.throws(
    () => new Assembler(64).jmp('far', { short: true }).zero(200).label('far').assemble(),
    /out of reach/,
  )
  t.end()
})

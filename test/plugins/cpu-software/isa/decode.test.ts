/** What the decoder promises beyond agreeing with another decoder. */
import t from 'tap'
import {
  Decoded,
  decode,
  INVALID,
  makeDecoder,
  NEED_MORE,
  SEG,
  TOO_LONG,
} from '../../../../src/plugins/cpu-software/isa/decode.ts'
import { ADVERTISED, FEATURES } from '../../../../src/plugins/cpu-software/isa/features.ts'
import { ROWS } from '../../../../src/plugins/cpu-software/isa/table.ts'

const out = new Decoded()
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
function form(hex: string, mode: 64 | 32 | 16 = 64): string | number {
  const bytes = bytesOf(hex)
  const length = decode(bytes, 0, bytes.length, mode, out)
  return length > 0 ? ROWS[out.row]!.form : length
}

t.test('every proper beginning of an instruction needs more bytes', (t) => {
  for (const hex of [
    '48 b8 0102030405060708',
    '66 0f 3a 0f 44 88 7f 05',
    'f0 4c 0f b1 05 11223344',
    '64 67 81 44 24 08 01020304',
  ]) {
    const bytes = bytesOf(hex)
    t.equal(decode(bytes, 0, bytes.length, 64, out), bytes.length)
    for (let end = 0; end < bytes.length; end++)
      t.equal(decode(bytes, 0, end, 64, out), NEED_MORE, `${hex} to ${end}`)
  }
  t.end()
})

t.test('fifteen bytes decode, sixteen are too long', (t) => {
  const fifteen = bytesOf(`${'2e'.repeat(4)} 67 66 4881 84 88 11223344 0000`.replace('66 48', '48'))
  const padded = (count: number) => bytesOf(`${'2e'.repeat(count)} 4881848811223344 00000000`)
  t.equal(fifteen.length, 15)
  t.equal(decode(padded(3), 0, 15, 64, out), 15)
  t.equal(decode(padded(4), 0, 16, 64, out), TOO_LONG)
  t.equal(decode(new Uint8Array(20).fill(0x66), 0, 20, 64, out), TOO_LONG)
  t.equal(decode(new Uint8Array(14).fill(0x66), 0, 14, 64, out), NEED_MORE)
  t.end()
})

t.test('the fields of an instruction with everything', (t) => {
  t.equal(form('65 f0 4e 0f b1 a4 9d 78563412'), 'CMPXCHG r64/m64, r64')
  t.match(out, {
    length: 11,
    opSize: 64,
    addrSize: 64,
    lock: true,
    seg: SEG.GS,
    mod: 2,
    reg: 12,
    isMem: true,
  })
  t.match(out, { base: 5, index: 11, scale: 2, disp: 0x12345678, defaultSeg: SEG.SS, ripRelative: false })
  t.end()
})

t.test('immediates are two signed halves of one 64-bit value', (t) => {
  form('48 83 c0 ff')
  t.match(out, { imm: -1, immHi: -1 })
  form('b8 ffffffff')
  t.match(out, { imm: -1, immHi: 0 })
  form('48 b8 88776655 44332291')
  t.match(out, { imm: 0x55667788, immHi: 0x91223344 | 0 })
  form('b0 ff')
  t.match(out, { imm: 255, immHi: 0 })
  form('c8 3412 05')
  t.match(out, { imm: 0x1234, imm2: 5 })
  form('ea 78563412 3000', 32)
  t.match(out, { imm: 0x12345678, imm2: 0x30 })
  t.end()
})

t.test('AH is register 16 without REX and SPL register 4 with it', (t) => {
  form('88 e0')
  t.match(out, { reg: 16, rm: 0 })
  form('40 88 e0')
  t.match(out, { reg: 4, rm: 0 })
  form('b7 01')
  t.equal(out.reg2, 19)
  t.end()
})

t.test('a REX prefix counts right before the opcode only', (t) => {
  t.equal(form('48 66 01 c8'), 'ADD r16/m16, r16')
  t.equal(form('66 48 01 c8'), 'ADD r64/m64, r64')
  t.end()
})

t.test('stack and near branch operands are 64 bits wide in 64-bit mode', (t) => {
  t.equal(form('50'), 'PUSH r64')
  t.equal(form('66 50'), 'PUSH r16')
  t.equal(form('e9 00000000'), 'JMP rel32')
  t.equal(out.opSize, 64)
  t.equal(form('66 e9 00000000'), 'JMP rel32')
  t.equal(out.opSize, 64)
  t.equal(form('66 e9 0000', 32), 'JMP rel16')
  t.equal(form('66 50', 16), 'PUSH r32')
  t.end()
})

t.test('90 is a pause after F3 and an exchange with REX.B', (t) => {
  t.equal(form('90'), 'NOP')
  t.equal(form('f3 90'), 'PAUSE')
  t.equal(form('41 90'), 'XCHG r32, EAX')
  t.equal(out.reg2, 8)
  t.equal(form('f3 41 90'), 'XCHG r32, EAX')
  t.end()
})

t.test('LOCK is accepted before a lockable instruction that writes memory only', (t) => {
  t.equal(form('f0 01 00'), 'ADD r32/m32, r32')
  t.equal(form('f0 01 c0'), INVALID)
  t.equal(form('f0 03 00'), INVALID)
  t.equal(form('f0 3b 00'), INVALID)
  t.end()
})

t.test('the last of F2 and F3 counts, and only where repeating means something', (t) => {
  form('f2 f3 a4')
  t.equal(out.rep, 0xf3)
  form('f3 f2 a6')
  t.equal(out.rep, 0xf2)
  form('f3 01 c0')
  t.equal(out.rep, 0)
  t.end()
})

t.test('segment overrides but FS and GS mean nothing in 64-bit mode', (t) => {
  form('64 2e 8b 00')
  t.equal(out.seg, SEG.FS)
  form('36 8b 00')
  t.equal(out.seg, SEG.none)
  form('36 8b 00', 32)
  t.equal(out.seg, SEG.SS)
  t.end()
})

t.test('addresses based on rSP or rBP are in SS, those on R12 and R13 are not', (t) => {
  const segment = (hex: string, mode: 64 | 32 | 16 = 64) => {
    form(hex, mode)
    return out.defaultSeg
  }
  t.equal(segment('8b 04 24'), SEG.SS)
  t.equal(segment('8b 45 00'), SEG.SS)
  t.equal(segment('41 8b 04 24'), SEG.DS)
  t.equal(segment('41 8b 45 00'), SEG.DS)
  t.equal(segment('8b 04 2d 00000000'), SEG.DS, 'an index is no base')
  t.equal(segment('8b 02', 16), SEG.SS, '[bp+si]')
  t.equal(segment('8b 06 0000', 16), SEG.DS, '[disp16]')
  t.end()
})

t.test('an instruction whose feature is not advertised is invalid or its older self', (t) => {
  const everything = makeDecoder(new Set(FEATURES))
  const nothing = makeDecoder(new Set(['BASE'] as const))
  const rdrand = bytesOf('0f c7 f0')
  t.equal(everything(rdrand, 0, 3, 64, out), 3)
  t.equal(nothing(rdrand, 0, 3, 64, out), INVALID)
  const tzcnt = bytesOf('f3 0f bc c1')
  everything(tzcnt, 0, 4, 64, out)
  t.equal(ROWS[out.row]!.mnemonic, 'TZCNT')
  nothing(tzcnt, 0, 4, 64, out)
  t.equal(ROWS[out.row]!.mnemonic, 'BSF')
  t.end()
})

t.test('decode knows exactly the rows of the advertised features', (t) => {
  const same = makeDecoder(ADVERTISED)
  const other = new Decoded()
  for (let opcode = 0; opcode < 256; opcode++) {
    const bytes = Uint8Array.of(0x0f, opcode, 0xc1, 0, 0, 0, 0)
    t.equal(decode(bytes, 0, 7, 64, out), same(bytes, 0, 7, 64, other))
  }
  t.end()
})

t.test('CR1, DR8, segment register 6 and a load of CS are invalid', (t) => {
  t.equal(form('0f 20 c8'), INVALID)
  t.equal(form('44 0f 20 c0'), 'MOV r64, cr')
  t.equal(out.reg, 8)
  t.equal(form('44 0f 21 c0'), INVALID)
  t.equal(form('8c f0'), INVALID)
  t.equal(form('8e c8'), INVALID)
  t.equal(form('8c c8'), 'MOV r32/m16, sreg')
  t.end()
})

t.test('VEX and EVEX prefixes are invalid, LES and BOUND are valid where they are', (t) => {
  t.equal(form('c5 f8 77'), INVALID)
  t.equal(form('c5 f8 77', 32), INVALID)
  t.equal(form('62 f1 7c 48 10 00'), INVALID)
  t.equal(form('c4 00', 32), 'LES r32, m16:32')
  t.equal(form('62 00', 32), 'BOUND r32, m32&32')
  t.end()
})

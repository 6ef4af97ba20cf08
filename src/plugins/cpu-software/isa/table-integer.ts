/**
 * General-purpose instructions (SDM vol. 2, without control transfer, string and system ones).
 * Notation: row.ts. Not here: VEX-encoded BMI forms, 3DNow!, TSX.
 */
import type { RowText } from './row.ts'

export const ARITHMETIC_FLAGS = 'OF=X SF=X ZF=X AF=X PF=X CF=X'
const WITH_CARRY = 'OF=X SF=X ZF=X AF=X PF=X CF=TX'
const LOGIC = 'OF=0 SF=X ZF=X AF=U PF=X CF=0'
const ALL_UNDEFINED = 'OF=U SF=U ZF=U AF=U PF=U CF=U'

/** The sixteen conditions: name, low opcode bits, flags tested. */
export const CONDITIONS = [
  ['O', 0, 'OF=T'],
  ['NO', 1, 'OF=T'],
  ['B', 2, 'CF=T'],
  ['AE', 3, 'CF=T'],
  ['E', 4, 'ZF=T'],
  ['NE', 5, 'ZF=T'],
  ['BE', 6, 'CF=T ZF=T'],
  ['A', 7, 'CF=T ZF=T'],
  ['S', 8, 'SF=T'],
  ['NS', 9, 'SF=T'],
  ['P', 10, 'PF=T'],
  ['NP', 11, 'PF=T'],
  ['L', 12, 'SF=T OF=T'],
  ['GE', 13, 'SF=T OF=T'],
  ['LE', 14, 'ZF=T SF=T OF=T'],
  ['G', 15, 'ZF=T SF=T OF=T'],
] as const

export const hexByte = (n: number) => n.toString(16).toUpperCase().padStart(2, '0')

/** The eight operations that share one pattern of opcodes: ADD at 00, OR at 08 ... */
function twoOperand(mnemonic: string, digit: number, flags: string): RowText[] {
  const compare = mnemonic === 'CMP'
  const lock = compare ? '' : 'LOCK'
  const x = compare ? 'r:' : ''
  const op = (low: number) => hexByte(digit * 8 + low)
  return [
    [mnemonic, `${x}r8/m8, r8`, 'MR', `${op(0)} /r`, lock, flags],
    [mnemonic, `${x}rv/mv, rv`, 'MR', `${op(1)} /r`, lock, flags],
    [mnemonic, `${x}r8, r8/m8`, 'RM', `${op(2)} /r`, '', flags],
    [mnemonic, `${x}rv, rv/mv`, 'RM', `${op(3)} /r`, '', flags],
    [mnemonic, `${x}AL, imm8`, 'I', `${op(4)} ib`, '', flags],
    [mnemonic, `${x}rAX, immz`, 'I', `${op(5)} iz`, '', flags],
    [mnemonic, `${x}r8/m8, imm8`, 'MI', `80 /${digit} ib`, lock, flags],
    [mnemonic, `${x}rv/mv, immz`, 'MI', `81 /${digit} iz`, lock, flags],
    [mnemonic, `${x}r8/m8, imm8`, 'MI', `82 /${digit} ib`, `${lock} NO64`, flags],
    [mnemonic, `${x}rv/mv, simm8`, 'MI', `83 /${digit} ib`, lock, flags],
  ]
}

/** Shifts and rotates. OF is defined for a count of one only; nothing changes for a count of zero. */
function shift(mnemonic: string, digit: number, one: string, many: string): RowText[] {
  return [
    [mnemonic, 'r8/m8, imm8', 'MI', `C0 /${digit} ib`, '', many],
    [mnemonic, 'rv/mv, imm8', 'MI', `C1 /${digit} ib`, '', many],
    [mnemonic, 'r8/m8, 1', 'M', `D0 /${digit}`, '', one],
    [mnemonic, 'rv/mv, 1', 'M', `D1 /${digit}`, '', one],
    [mnemonic, 'r8/m8, CL', 'M', `D2 /${digit}`, '', many],
    [mnemonic, 'rv/mv, CL', 'M', `D3 /${digit}`, '', many],
  ]
}

const ROTATED = ['OF=X CF=X', 'OF=XU CF=XU'] as const
const ROTATED_THROUGH = ['OF=X CF=TX', 'OF=XU CF=TX'] as const
const SHIFTED = ['OF=X SF=X ZF=X AF=U PF=X CF=X', 'OF=XU SF=X ZF=X AF=XU PF=X CF=XU'] as const

/** BT, BTS, BTR, BTC: with a register index memory operands reach beyond the operand (bit string). */
function bit(mnemonic: string, opcode: string, digit: number): RowText[] {
  const lock = mnemonic === 'BT' ? '' : 'LOCK'
  const x = mnemonic === 'BT' ? 'r:' : ''
  const flags = 'OF=U SF=U AF=U PF=U CF=X'
  return [
    [mnemonic, `${x}rv/mv, rv`, 'MR', `0F ${opcode} /r`, lock, flags],
    [mnemonic, `${x}rv/mv, imm8`, 'MI', `0F BA /${digit} ib`, lock, flags],
  ]
}

export const INTEGER: readonly RowText[] = [
  ...twoOperand('ADD', 0, ARITHMETIC_FLAGS),
  ...twoOperand('OR', 1, LOGIC),
  ...twoOperand('ADC', 2, WITH_CARRY),
  ...twoOperand('SBB', 3, WITH_CARRY),
  ...twoOperand('AND', 4, LOGIC),
  ...twoOperand('SUB', 5, ARITHMETIC_FLAGS),
  ...twoOperand('XOR', 6, LOGIC),
  ...twoOperand('CMP', 7, ARITHMETIC_FLAGS),

  ['TEST', 'r:r8/m8, r8', 'MR', '84 /r', '', LOGIC],
  ['TEST', 'r:rv/mv, rv', 'MR', '85 /r', '', LOGIC],
  ['TEST', 'r:AL, imm8', 'I', 'A8 ib', '', LOGIC],
  ['TEST', 'r:rAX, immz', 'I', 'A9 iz', '', LOGIC],
  ['TEST', 'r:r8/m8, imm8', 'MI', 'F6 /0 ib', '', LOGIC],
  ['TEST', 'r:rv/mv, immz', 'MI', 'F7 /0 iz', '', LOGIC],
  // Alias without a name in the manual; processors decode it as /0.
  ['TEST', 'r:r8/m8, imm8', 'MI', 'F6 /1 ib', '', LOGIC],
  ['TEST', 'r:rv/mv, immz', 'MI', 'F7 /1 iz', '', LOGIC],

  ['INC', 'rv', 'O', '40+r', 'NO64', 'OF=X SF=X ZF=X AF=X PF=X'],
  ['INC', 'r8/m8', 'M', 'FE /0', 'LOCK', 'OF=X SF=X ZF=X AF=X PF=X'],
  ['INC', 'rv/mv', 'M', 'FF /0', 'LOCK', 'OF=X SF=X ZF=X AF=X PF=X'],
  ['DEC', 'rv', 'O', '48+r', 'NO64', 'OF=X SF=X ZF=X AF=X PF=X'],
  ['DEC', 'r8/m8', 'M', 'FE /1', 'LOCK', 'OF=X SF=X ZF=X AF=X PF=X'],
  ['DEC', 'rv/mv', 'M', 'FF /1', 'LOCK', 'OF=X SF=X ZF=X AF=X PF=X'],
  ['NOT', 'r8/m8', 'M', 'F6 /2', 'LOCK'],
  ['NOT', 'rv/mv', 'M', 'F7 /2', 'LOCK'],
  ['NEG', 'r8/m8', 'M', 'F6 /3', 'LOCK', ARITHMETIC_FLAGS],
  ['NEG', 'rv/mv', 'M', 'F7 /3', 'LOCK', ARITHMETIC_FLAGS],

  ['MUL', 'r:r8/m8', 'M', 'F6 /4', '', 'OF=X SF=U ZF=U AF=U PF=U CF=X'],
  ['MUL', 'r:rv/mv', 'M', 'F7 /4', '', 'OF=X SF=U ZF=U AF=U PF=U CF=X'],
  ['IMUL', 'r:r8/m8', 'M', 'F6 /5', '', 'OF=X SF=U ZF=U AF=U PF=U CF=X'],
  ['IMUL', 'r:rv/mv', 'M', 'F7 /5', '', 'OF=X SF=U ZF=U AF=U PF=U CF=X'],
  ['IMUL', 'rv, rv/mv', 'RM', '0F AF /r', '', 'OF=X SF=U ZF=U AF=U PF=U CF=X'],
  ['IMUL', 'w:rv, rv/mv, immz', 'RMI', '69 /r iz', '', 'OF=X SF=U ZF=U AF=U PF=U CF=X'],
  ['IMUL', 'w:rv, rv/mv, simm8', 'RMI', '6B /r ib', '', 'OF=X SF=U ZF=U AF=U PF=U CF=X'],
  ['DIV', 'r:r8/m8', 'M', 'F6 /6', '', ALL_UNDEFINED],
  ['DIV', 'r:rv/mv', 'M', 'F7 /6', '', ALL_UNDEFINED],
  ['IDIV', 'r:r8/m8', 'M', 'F6 /7', '', ALL_UNDEFINED],
  ['IDIV', 'r:rv/mv', 'M', 'F7 /7', '', ALL_UNDEFINED],

  ...shift('ROL', 0, ...ROTATED),
  ...shift('ROR', 1, ...ROTATED),
  ...shift('RCL', 2, ...ROTATED_THROUGH),
  ...shift('RCR', 3, ...ROTATED_THROUGH),
  ...shift('SHL', 4, ...SHIFTED),
  ...shift('SHR', 5, ...SHIFTED),
  ...shift('SHL', 6, ...SHIFTED),
  ...shift('SAR', 7, ...SHIFTED),
  ['SHLD', 'rv/mv, rv, imm8', 'MRI', '0F A4 /r ib', '', 'OF=XU SF=X ZF=X AF=XU PF=X CF=X'],
  ['SHLD', 'rv/mv, rv, CL', 'MR', '0F A5 /r', '', 'OF=XU SF=X ZF=X AF=XU PF=X CF=X'],
  ['SHRD', 'rv/mv, rv, imm8', 'MRI', '0F AC /r ib', '', 'OF=XU SF=X ZF=X AF=XU PF=X CF=X'],
  ['SHRD', 'rv/mv, rv, CL', 'MR', '0F AD /r', '', 'OF=XU SF=X ZF=X AF=XU PF=X CF=X'],

  ...bit('BT', 'A3', 4),
  ...bit('BTS', 'AB', 5),
  ...bit('BTR', 'B3', 6),
  ...bit('BTC', 'BB', 7),
  ['BSF', 'rv, rv/mv', 'RM', '0F BC /r', '', 'OF=U SF=U ZF=X AF=U PF=U CF=U'],
  ['BSR', 'rv, rv/mv', 'RM', '0F BD /r', '', 'OF=U SF=U ZF=X AF=U PF=U CF=U'],
  ['TZCNT', 'w:rv, rv/mv', 'RM', 'F3 0F BC /r', 'BMI1', 'OF=U SF=U ZF=X AF=U PF=U CF=X'],
  ['LZCNT', 'w:rv, rv/mv', 'RM', 'F3 0F BD /r', 'LZCNT', 'OF=U SF=U ZF=X AF=U PF=U CF=X'],
  ['POPCNT', 'w:rv, rv/mv', 'RM', 'F3 0F B8 /r', 'POPCNT', 'OF=0 SF=0 ZF=X AF=0 PF=0 CF=0'],
  ['BSWAP', 'rv', 'O', '0F C8+r'],
  ['CRC32', 'ry, r8/m8', 'RM', 'F2 0F 38 F0 /r', 'SSE4_2'],
  ['CRC32', 'r32, r16/m16', 'RM', 'F2 o16 0F 38 F1 /r', 'SSE4_2'],
  ['CRC32', 'r32, r32/m32', 'RM', 'F2 o32 0F 38 F1 /r', 'SSE4_2'],
  ['CRC32', 'r64, r64/m64', 'RM', 'F2 REX.W 0F 38 F1 /r', 'SSE4_2'],

  ['MOV', 'w:r8/m8, r8', 'MR', '88 /r'],
  ['MOV', 'w:rv/mv, rv', 'MR', '89 /r'],
  ['MOV', 'w:r8, r8/m8', 'RM', '8A /r'],
  ['MOV', 'w:rv, rv/mv', 'RM', '8B /r'],
  ['MOV', 'w:rv/m16, sreg', 'MR', '8C /r'],
  ['MOV', 'w:sreg, r16/m16', 'RM', '8E /r'],
  ['MOV', 'w:AL, moffs8', 'D', 'A0 mo'],
  ['MOV', 'w:rAX, moffsv', 'D', 'A1 mo'],
  ['MOV', 'w:moffs8, AL', 'D', 'A2 mo'],
  ['MOV', 'w:moffsv, rAX', 'D', 'A3 mo'],
  ['MOV', 'w:r8, imm8', 'OI', 'B0+r ib'],
  ['MOV', 'w:rv, immv', 'OI', 'B8+r iv'],
  ['MOV', 'w:r8/m8, imm8', 'MI', 'C6 /0 ib'],
  ['MOV', 'w:rv/mv, immz', 'MI', 'C7 /0 iz'],
  ['MOVZX', 'w:rv, r8/m8', 'RM', '0F B6 /r'],
  ['MOVZX', 'w:rv, r16/m16', 'RM', '0F B7 /r'],
  ['MOVSX', 'w:rv, r8/m8', 'RM', '0F BE /r'],
  ['MOVSX', 'w:rv, r16/m16', 'RM', '0F BF /r'],
  ['MOVSXD', 'w:r16, r16/m16', 'RM', 'o16 63 /r', 'ONLY64'],
  ['MOVSXD', 'w:r32, r32/m32', 'RM', 'o32 63 /r', 'ONLY64'],
  ['MOVSXD', 'w:r64, r32/m32', 'RM', 'REX.W 63 /r', 'ONLY64'],
  ['MOVBE', 'w:r16, m16', 'RM', 'NFx o16 0F 38 F0 /r', 'MOVBE'],
  ['MOVBE', 'w:r32, m32', 'RM', 'NFx o32 0F 38 F0 /r', 'MOVBE'],
  ['MOVBE', 'w:r64, m64', 'RM', 'NFx REX.W 0F 38 F0 /r', 'MOVBE'],
  ['MOVBE', 'w:m16, r16', 'MR', 'NFx o16 0F 38 F1 /r', 'MOVBE'],
  ['MOVBE', 'w:m32, r32', 'MR', 'NFx o32 0F 38 F1 /r', 'MOVBE'],
  ['MOVBE', 'w:m64, r64', 'MR', 'NFx REX.W 0F 38 F1 /r', 'MOVBE'],
  ['MOVNTI', 'w:my, ry', 'MR', 'NP 0F C3 /r', 'SSE2'],
  ...CONDITIONS.map(
    ([name, low, flags]): RowText => [
      `CMOV${name}`,
      'rv, rv/mv',
      'RM',
      `0F ${hexByte(0x40 + low)} /r`,
      '',
      flags,
    ],
  ),
  ...CONDITIONS.map(
    ([name, low, flags]): RowText => [
      `SET${name}`,
      'w:r8/m8',
      'M',
      `0F ${hexByte(0x90 + low)} /r`,
      '',
      flags,
    ],
  ),

  ['XCHG', 'r8/m8, x:r8', 'MR', '86 /r', 'LOCK'],
  ['XCHG', 'rv/mv, x:rv', 'MR', '87 /r', 'LOCK'],
  ['XCHG', 'rv, x:rAX', 'O', '90+r'],
  ['XADD', 'r8/m8, x:r8', 'MR', '0F C0 /r', 'LOCK', ARITHMETIC_FLAGS],
  ['XADD', 'rv/mv, x:rv', 'MR', '0F C1 /r', 'LOCK', ARITHMETIC_FLAGS],
  ['CMPXCHG', 'r8/m8, r8', 'MR', '0F B0 /r', 'LOCK', ARITHMETIC_FLAGS],
  ['CMPXCHG', 'rv/mv, rv', 'MR', '0F B1 /r', 'LOCK', ARITHMETIC_FLAGS],
  ['CMPXCHG8B', 'm64', 'M', 'W0 0F C7 /1', 'LOCK', 'ZF=X'],
  ['CMPXCHG16B', 'm128', 'M', 'REX.W 0F C7 /1', 'LOCK CX16', 'ZF=X'],

  ['LEA', 'w:rv, m', 'RM', '8D /r'],
  ['CBW', '', 'ZO', 'o16 98'],
  ['CWDE', '', 'ZO', 'o32 98'],
  ['CDQE', '', 'ZO', 'REX.W 98'],
  ['CWD', '', 'ZO', 'o16 99'],
  ['CDQ', '', 'ZO', 'o32 99'],
  ['CQO', '', 'ZO', 'REX.W 99'],
  ['XLATB', '', 'ZO', 'o8 D7'],

  ['PUSH', 'r:rv', 'O', '50+r', 'D64'],
  ['PUSH', 'r:rv/mv', 'M', 'FF /6', 'D64'],
  ['PUSH', 'r:simm8', 'I', '6A ib', 'D64'],
  ['PUSH', 'r:immz', 'I', '68 iz', 'D64'],
  ['POP', 'w:rv', 'O', '58+r', 'D64'],
  ['POP', 'w:rv/mv', 'M', '8F /0', 'D64'],
  ['PUSHA', '', 'ZO', '60', 'NO64 V'],
  ['POPA', '', 'ZO', '61', 'NO64 V'],
  ['ENTER', 'r:imm16, imm8', 'II', 'C8 iw ib', 'D64'],
  ['LEAVE', '', 'ZO', 'C9', 'D64'],

  ['DAA', '', 'ZO', 'o8 27', 'NO64', 'OF=U SF=X ZF=X AF=TX PF=X CF=TX'],
  ['DAS', '', 'ZO', 'o8 2F', 'NO64', 'OF=U SF=X ZF=X AF=TX PF=X CF=TX'],
  ['AAA', '', 'ZO', 'o8 37', 'NO64', 'OF=U SF=U ZF=U AF=TX PF=U CF=X'],
  ['AAS', '', 'ZO', 'o8 3F', 'NO64', 'OF=U SF=U ZF=U AF=TX PF=U CF=X'],
  ['AAM', 'r:imm8', 'I', 'o8 D4 ib', 'NO64', 'OF=U SF=X ZF=X AF=U PF=X CF=U'],
  ['AAD', 'r:imm8', 'I', 'o8 D5 ib', 'NO64', 'OF=U SF=X ZF=X AF=U PF=X CF=U'],
  // Not in the manual's alphabet, but in every processor: AL ← CF ? FF : 0.
  ['SALC', '', 'ZO', 'o8 D6', 'NO64', 'CF=T'],
  ['BOUND', 'r:rv, mv&v', 'RM', '62 /r', 'NO64'],

  ['CLC', '', 'ZO', 'F8', '', 'CF=0'],
  ['STC', '', 'ZO', 'F9', '', 'CF=1'],
  ['CMC', '', 'ZO', 'F5', '', 'CF=TX'],
  ['CLD', '', 'ZO', 'FC', '', 'DF=0'],
  ['STD', '', 'ZO', 'FD', '', 'DF=1'],
  ['SAHF', '', 'ZO', 'o8 9E', '', 'SF=X ZF=X AF=X PF=X CF=X'],
  ['LAHF', '', 'ZO', 'o8 9F', '', 'SF=T ZF=T AF=T PF=T CF=T'],

  ['NOP', '', 'ZO', '90'],
  ['PAUSE', '', 'ZO', 'F3 90'],
  // Hints and reserved hints: they read nothing and never fault.
  ['NOP', 'r:rv/mv', 'M', '0F 18 /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 19 /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 1A /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 1B /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 1C /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 1D /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 1E /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 1F /r'],
  ['NOP', 'r:rv/mv', 'M', '0F 0D /r'],
  ['PREFETCHNTA', 'r:m', 'M', '0F 18 /0'],
  ['PREFETCHT0', 'r:m', 'M', '0F 18 /1'],
  ['PREFETCHT1', 'r:m', 'M', '0F 18 /2'],
  ['PREFETCHT2', 'r:m', 'M', '0F 18 /3'],
  ['PREFETCHW', 'r:m', 'M', '0F 0D /1'],
  ['ENDBR64', '', 'ZO', 'F3 0F 1E FA'],
  ['ENDBR32', '', 'ZO', 'F3 0F 1E FB'],
]

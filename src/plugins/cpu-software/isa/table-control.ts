/**
 * Control transfer and string instructions (SDM vol. 1, sections 7.3.8 and 7.3.9). Notation: row.ts.
 *
 * Near branches have a 64-bit operand size in 64-bit mode and ignore a 66 prefix there, as Intel's do. Far forms
 * have mnemonics of their own (CALLF, JMPF, RETF). JRCXZ and LOOPcc count in the register of the address size.
 */

import type { RowText } from './row.ts'
import { ARITHMETIC_FLAGS as COMPARED, CONDITIONS, hexByte } from './table-integer.ts'

const POPPED_FLAGS = 'OF=X SF=X ZF=X AF=X PF=X CF=X TF=X IF=X DF=X IOPL=X NT=X RF=X VM=X AC=X ID=X'

export const CONTROL: readonly RowText[] = [
  ...CONDITIONS.map(
    ([name, low, flags]): RowText => [`J${name}`, 'r:rel8', 'D', `${hexByte(0x70 + low)} cb`, 'F64', flags],
  ),
  ...CONDITIONS.map(
    ([name, low, flags]): RowText => [
      `J${name}`,
      'r:relz',
      'D',
      `0F ${hexByte(0x80 + low)} cz`,
      'F64',
      flags,
    ],
  ),
  ['LOOPNE', 'r:rel8', 'D', 'E0 cb', 'F64', 'ZF=T'],
  ['LOOPE', 'r:rel8', 'D', 'E1 cb', 'F64', 'ZF=T'],
  ['LOOP', 'r:rel8', 'D', 'E2 cb', 'F64'],
  ['JRCXZ', 'r:rel8', 'D', 'E3 cb', 'F64'],
  ['JMP', 'r:rel8', 'D', 'EB cb', 'F64'],
  ['JMP', 'r:relz', 'D', 'E9 cz', 'F64'],
  ['JMP', 'r:rv/mv', 'M', 'FF /4', 'F64'],
  ['JMPF', 'r:ptr16:v', 'D', 'EA cp', 'NO64'],
  ['JMPF', 'r:m16:v', 'M', 'FF /5'],
  ['CALL', 'r:relz', 'D', 'E8 cz', 'F64'],
  ['CALL', 'r:rv/mv', 'M', 'FF /2', 'F64'],
  ['CALLF', 'r:ptr16:v', 'D', '9A cp', 'NO64'],
  ['CALLF', 'r:m16:v', 'M', 'FF /3'],
  ['RET', '', 'ZO', 'C3', 'F64'],
  ['RET', 'r:imm16', 'I', 'C2 iw', 'F64'],
  ['RETF', '', 'ZO', 'CB', 'V'],
  ['RETF', 'r:imm16', 'I', 'CA iw', 'V'],
  ['INT3', '', 'ZO', 'CC'],
  ['INT', 'r:imm8', 'I', 'CD ib'],
  ['INTO', '', 'ZO', 'CE', 'NO64', 'OF=T'],
  ['INT1', '', 'ZO', 'F1'],
  ['IRET', '', 'ZO', 'o16 CF', '', POPPED_FLAGS],
  ['IRETD', '', 'ZO', 'o32 CF', '', POPPED_FLAGS],
  ['IRETQ', '', 'ZO', 'REX.W CF', '', POPPED_FLAGS],
  ['UD2', '', 'ZO', '0F 0B'],
  ['UD1', 'r:rv, rv/mv', 'RM', '0F B9 /r'],
  ['UD0', 'r:rv, rv/mv', 'RM', '0F FF /r'],

  // The source segment of [rSI] can be overridden, that of [rDI] is always ES.
  ['MOVS', 'w:m8[rDI], m8[rSI]', 'ZO', 'A4', 'REP', 'DF=T'],
  ['MOVS', 'w:mv[rDI], mv[rSI]', 'ZO', 'A5', 'REP', 'DF=T'],
  ['CMPS', 'r:m8[rSI], m8[rDI]', 'ZO', 'A6', 'REPE', `${COMPARED} DF=T`],
  ['CMPS', 'r:mv[rSI], mv[rDI]', 'ZO', 'A7', 'REPE', `${COMPARED} DF=T`],
  ['STOS', 'w:m8[rDI], AL', 'ZO', 'AA', 'REP', 'DF=T'],
  ['STOS', 'w:mv[rDI], rAX', 'ZO', 'AB', 'REP', 'DF=T'],
  ['LODS', 'w:AL, m8[rSI]', 'ZO', 'AC', 'REP', 'DF=T'],
  ['LODS', 'w:rAX, mv[rSI]', 'ZO', 'AD', 'REP', 'DF=T'],
  ['SCAS', 'r:AL, m8[rDI]', 'ZO', 'AE', 'REPE', `${COMPARED} DF=T`],
  ['SCAS', 'r:rAX, mv[rDI]', 'ZO', 'AF', 'REPE', `${COMPARED} DF=T`],
  ['INS', 'w:m8[rDI], DX', 'ZO', 'o8 6C', 'REP', 'DF=T'],
  ['INS', 'w:m16[rDI], DX', 'ZO', 'o16 6D', 'REP', 'DF=T'],
  ['INS', 'w:m32[rDI], DX', 'ZO', 'o32+ 6D', 'REP', 'DF=T'],
  ['OUTS', 'r:DX, m8[rSI]', 'ZO', 'o8 6E', 'REP', 'DF=T'],
  ['OUTS', 'r:DX, m16[rSI]', 'ZO', 'o16 6F', 'REP', 'DF=T'],
  ['OUTS', 'r:DX, m32[rSI]', 'ZO', 'o32+ 6F', 'REP', 'DF=T'],

  ['PUSHF', '', 'ZO', '9C', 'D64', 'OF=T SF=T ZF=T AF=T PF=T CF=T TF=T IF=T DF=T IOPL=T NT=T AC=T ID=T'],
  ['POPF', '', 'ZO', '9D', 'D64', POPPED_FLAGS],
]

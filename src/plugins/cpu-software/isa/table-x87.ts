/**
 * The x87 floating-point unit (SDM vol. 1, chapter 8). Notation: row.ts.
 *
 * x87 exceptions, the condition codes C0..C3 and the tag word belong to the semantics; RFLAGS effects are here.
 */
import type { RowText } from './row.ts'

const COMPARED = 'OF=0 SF=0 ZF=X AF=0 PF=X CF=X'

/** The arithmetic group: the same eight operations by /digit in D8, DA, DC, DE. */
const GROUP = ['ADD', 'MUL', 'COM', 'COMP', 'SUB', 'SUBR', 'DIV', 'DIVR'] as const
const memoryGroup = (prefix: string, opcode: string, operand: string): RowText[] =>
  GROUP.map((name, digit) => [`${prefix}${name}`, `r:${operand}`, 'M', `${opcode} /${digit}`, 'X87'])

/** Instructions that are a whole byte after D9. */
const D9: Record<string, string> = {
  D0: 'FNOP', E0: 'FCHS', E1: 'FABS', E4: 'FTST', E5: 'FXAM',
  E8: 'FLD1', E9: 'FLDL2T', EA: 'FLDL2E', EB: 'FLDPI', EC: 'FLDLG2', ED: 'FLDLN2', EE: 'FLDZ',
  F0: 'F2XM1', F1: 'FYL2X', F2: 'FPTAN', F3: 'FPATAN', F4: 'FXTRACT', F5: 'FPREM1', F6: 'FDECSTP', F7: 'FINCSTP',
  F8: 'FPREM', F9: 'FYL2XP1', FA: 'FSQRT', FB: 'FSINCOS', FC: 'FRNDINT', FD: 'FSCALE', FE: 'FSIN', FF: 'FCOS',
} // biome-ignore format: a table

export const X87: readonly RowText[] = [
  ['FWAIT', '', 'ZO', '9B', 'X87'],

  ...memoryGroup('F', 'D8', 'm32'),
  ['FADD', 'ST(0), ST(i)', 'O', 'D8 C0+i', 'X87'],
  ['FMUL', 'ST(0), ST(i)', 'O', 'D8 C8+i', 'X87'],
  ['FCOM', 'r:ST(0), ST(i)', 'O', 'D8 D0+i', 'X87'],
  ['FCOMP', 'r:ST(0), ST(i)', 'O', 'D8 D8+i', 'X87'],
  ['FSUB', 'ST(0), ST(i)', 'O', 'D8 E0+i', 'X87'],
  ['FSUBR', 'ST(0), ST(i)', 'O', 'D8 E8+i', 'X87'],
  ['FDIV', 'ST(0), ST(i)', 'O', 'D8 F0+i', 'X87'],
  ['FDIVR', 'ST(0), ST(i)', 'O', 'D8 F8+i', 'X87'],

  ['FLD', 'r:m32', 'M', 'D9 /0', 'X87'],
  ['FST', 'w:m32', 'M', 'D9 /2', 'X87'],
  ['FSTP', 'w:m32', 'M', 'D9 /3', 'X87'],
  ['FLDENV', 'r:m112', 'M', 'o16 D9 /4', 'X87'],
  ['FLDENV', 'r:m224', 'M', 'o32+ D9 /4', 'X87'],
  ['FLDCW', 'r:m16', 'M', 'D9 /5', 'X87'],
  ['FNSTENV', 'w:m112', 'M', 'o16 D9 /6', 'X87'],
  ['FNSTENV', 'w:m224', 'M', 'o32+ D9 /6', 'X87'],
  ['FNSTCW', 'w:m16', 'M', 'D9 /7', 'X87'],
  ['FLD', 'r:ST(i)', 'O', 'D9 C0+i', 'X87'],
  ['FXCH', 'x:ST(0), x:ST(i)', 'O', 'D9 C8+i', 'X87'],
  ...Object.entries(D9).map(([byte, name]): RowText => [name, '', 'ZO', `D9 ${byte}`, 'X87']),

  ...memoryGroup('FI', 'DA', 'm32'),
  ['FCMOVB', 'ST(0), ST(i)', 'O', 'DA C0+i', 'X87', 'CF=T'],
  ['FCMOVE', 'ST(0), ST(i)', 'O', 'DA C8+i', 'X87', 'ZF=T'],
  ['FCMOVBE', 'ST(0), ST(i)', 'O', 'DA D0+i', 'X87', 'CF=T ZF=T'],
  ['FCMOVU', 'ST(0), ST(i)', 'O', 'DA D8+i', 'X87', 'PF=T'],
  ['FUCOMPP', '', 'ZO', 'DA E9', 'X87'],

  ['FILD', 'r:m32', 'M', 'DB /0', 'X87'],
  ['FISTTP', 'w:m32', 'M', 'DB /1', 'SSE3'],
  ['FIST', 'w:m32', 'M', 'DB /2', 'X87'],
  ['FISTP', 'w:m32', 'M', 'DB /3', 'X87'],
  ['FLD', 'r:m80', 'M', 'DB /5', 'X87'],
  ['FSTP', 'w:m80', 'M', 'DB /7', 'X87'],
  ['FCMOVNB', 'ST(0), ST(i)', 'O', 'DB C0+i', 'X87', 'CF=T'],
  ['FCMOVNE', 'ST(0), ST(i)', 'O', 'DB C8+i', 'X87', 'ZF=T'],
  ['FCMOVNBE', 'ST(0), ST(i)', 'O', 'DB D0+i', 'X87', 'CF=T ZF=T'],
  ['FCMOVNU', 'ST(0), ST(i)', 'O', 'DB D8+i', 'X87', 'PF=T'],
  // 8087 and 80287 control instructions that do nothing since the 80387.
  ['FNENI', '', 'ZO', 'DB E0', 'X87'],
  ['FNDISI', '', 'ZO', 'DB E1', 'X87'],
  ['FNCLEX', '', 'ZO', 'DB E2', 'X87'],
  ['FNINIT', '', 'ZO', 'DB E3', 'X87'],
  ['FNSETPM', '', 'ZO', 'DB E4', 'X87'],
  ['FUCOMI', 'r:ST(0), ST(i)', 'O', 'DB E8+i', 'X87', COMPARED],
  ['FCOMI', 'r:ST(0), ST(i)', 'O', 'DB F0+i', 'X87', COMPARED],

  ...memoryGroup('F', 'DC', 'm64'),
  ['FADD', 'ST(i), ST(0)', 'O', 'DC C0+i', 'X87'],
  ['FMUL', 'ST(i), ST(0)', 'O', 'DC C8+i', 'X87'],
  ['FSUBR', 'ST(i), ST(0)', 'O', 'DC E0+i', 'X87'],
  ['FSUB', 'ST(i), ST(0)', 'O', 'DC E8+i', 'X87'],
  ['FDIVR', 'ST(i), ST(0)', 'O', 'DC F0+i', 'X87'],
  ['FDIV', 'ST(i), ST(0)', 'O', 'DC F8+i', 'X87'],

  ['FLD', 'r:m64', 'M', 'DD /0', 'X87'],
  ['FISTTP', 'w:m64', 'M', 'DD /1', 'SSE3'],
  ['FST', 'w:m64', 'M', 'DD /2', 'X87'],
  ['FSTP', 'w:m64', 'M', 'DD /3', 'X87'],
  ['FRSTOR', 'r:m752', 'M', 'o16 DD /4', 'X87'],
  ['FRSTOR', 'r:m864', 'M', 'o32+ DD /4', 'X87'],
  ['FNSAVE', 'w:m752', 'M', 'o16 DD /6', 'X87'],
  ['FNSAVE', 'w:m864', 'M', 'o32+ DD /6', 'X87'],
  ['FNSTSW', 'w:m16', 'M', 'DD /7', 'X87'],
  ['FFREE', 'r:ST(i)', 'O', 'DD C0+i', 'X87'],
  ['FST', 'w:ST(i)', 'O', 'DD D0+i', 'X87'],
  ['FSTP', 'w:ST(i)', 'O', 'DD D8+i', 'X87'],
  ['FUCOM', 'r:ST(0), ST(i)', 'O', 'DD E0+i', 'X87'],
  ['FUCOMP', 'r:ST(0), ST(i)', 'O', 'DD E8+i', 'X87'],

  ...memoryGroup('FI', 'DE', 'm16'),
  ['FADDP', 'ST(i), ST(0)', 'O', 'DE C0+i', 'X87'],
  ['FMULP', 'ST(i), ST(0)', 'O', 'DE C8+i', 'X87'],
  ['FCOMPP', '', 'ZO', 'DE D9', 'X87'],
  ['FSUBRP', 'ST(i), ST(0)', 'O', 'DE E0+i', 'X87'],
  ['FSUBP', 'ST(i), ST(0)', 'O', 'DE E8+i', 'X87'],
  ['FDIVRP', 'ST(i), ST(0)', 'O', 'DE F0+i', 'X87'],
  ['FDIVP', 'ST(i), ST(0)', 'O', 'DE F8+i', 'X87'],

  ['FILD', 'r:m16', 'M', 'DF /0', 'X87'],
  ['FISTTP', 'w:m16', 'M', 'DF /1', 'SSE3'],
  ['FIST', 'w:m16', 'M', 'DF /2', 'X87'],
  ['FISTP', 'w:m16', 'M', 'DF /3', 'X87'],
  ['FBLD', 'r:m80', 'M', 'DF /4', 'X87'],
  ['FILD', 'r:m64', 'M', 'DF /5', 'X87'],
  ['FBSTP', 'w:m80', 'M', 'DF /6', 'X87'],
  ['FISTP', 'w:m64', 'M', 'DF /7', 'X87'],
  ['FNSTSW', 'w:AX', 'ZO', 'DF E0', 'X87'],
  ['FUCOMIP', 'r:ST(0), ST(i)', 'O', 'DF E8+i', 'X87', COMPARED],
  ['FCOMIP', 'r:ST(0), ST(i)', 'O', 'DF F0+i', 'X87', COMPARED],

  // Alternative encodings that processors decode and the manual does not list (FFREEP: free, then pop).
  ['FSTP', 'w:ST(i)', 'O', 'D9 D8+i', 'X87'],
  ['FCOM', 'r:ST(0), ST(i)', 'O', 'DC D0+i', 'X87'],
  ['FCOMP', 'r:ST(0), ST(i)', 'O', 'DC D8+i', 'X87'],
  ['FXCH', 'x:ST(0), x:ST(i)', 'O', 'DD C8+i', 'X87'],
  ['FCOMP', 'r:ST(0), ST(i)', 'O', 'DE D0+i', 'X87'],
  ['FFREEP', 'r:ST(i)', 'O', 'DF C0+i', 'X87'],
  ['FXCH', 'x:ST(0), x:ST(i)', 'O', 'DF C8+i', 'X87'],
  ['FSTP', 'w:ST(i)', 'O', 'DF D0+i', 'X87'],
  ['FSTP', 'w:ST(i)', 'O', 'DF D8+i', 'X87'],
]

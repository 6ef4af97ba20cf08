/** Encodings of the x87 forms, for the comparison with the host: memory operands are [RDI]. */

export interface X87Encoding {
  readonly form: string
  /** Escape byte, then either /digit of a memory form or the second byte of a register form (ST(0)). */
  readonly opcode: number
  readonly digit?: number
  readonly second?: number
  /** The register form takes ST(i). */
  readonly takesI?: boolean
  /** Kind of the loaded operand. */
  readonly memory?: 'f32' | 'f64' | 'f80' | 'bcd' | 'int' | 'fcw'
}

const mem = (form: string, opcode: number, digit: number, memory?: X87Encoding['memory']): X87Encoding =>
  memory === undefined ? { form, opcode, digit } : { form, opcode, digit, memory }
const reg = (form: string, opcode: number, second: number): X87Encoding => ({
  form,
  opcode,
  second,
  takesI: form.includes('ST(i)'),
})

const arithmetic = (
  [
    ['FADD', 0, 0],
    ['FMUL', 1, 1],
    ['FSUB', 4, 5],
    ['FSUBR', 5, 4],
    ['FDIV', 6, 7],
    ['FDIVR', 7, 6],
  ] as const
).flatMap(([name, digit, reversed]): X87Encoding[] => [
  mem(`${name} m32`, 0xd8, digit, 'f32'),
  mem(`${name} m64`, 0xdc, digit, 'f64'),
  mem(`FI${name.slice(1)} m16`, 0xde, digit, 'int'),
  mem(`FI${name.slice(1)} m32`, 0xda, digit, 'int'),
  reg(`${name} ST(0), ST(i)`, 0xd8, 0xc0 + 8 * digit),
  reg(`${name} ST(i), ST(0)`, 0xdc, 0xc0 + 8 * reversed),
  reg(`${name}P ST(i), ST(0)`, 0xde, 0xc0 + 8 * reversed),
])

/** Forms whose results must equal the host's bit for bit. */
export const exactForms: readonly X87Encoding[] = [
  ...arithmetic,
  mem('FCOM m32', 0xd8, 2, 'f32'),
  mem('FCOMP m32', 0xd8, 3, 'f32'),
  mem('FCOM m64', 0xdc, 2, 'f64'),
  mem('FCOMP m64', 0xdc, 3, 'f64'),
  mem('FICOM m16', 0xde, 2, 'int'),
  mem('FICOMP m16', 0xde, 3, 'int'),
  mem('FICOM m32', 0xda, 2, 'int'),
  mem('FICOMP m32', 0xda, 3, 'int'),
  reg('FCOM ST(0), ST(i)', 0xd8, 0xd0),
  reg('FCOMP ST(0), ST(i)', 0xd8, 0xd8),
  reg('FUCOM ST(0), ST(i)', 0xdd, 0xe0),
  reg('FUCOMP ST(0), ST(i)', 0xdd, 0xe8),
  reg('FCOMPP', 0xde, 0xd9),
  reg('FUCOMPP', 0xda, 0xe9),
  reg('FCOMI ST(0), ST(i)', 0xdb, 0xf0),
  reg('FCOMIP ST(0), ST(i)', 0xdf, 0xf0),
  reg('FUCOMI ST(0), ST(i)', 0xdb, 0xe8),
  reg('FUCOMIP ST(0), ST(i)', 0xdf, 0xe8),
  reg('FTST', 0xd9, 0xe4),
  reg('FXAM', 0xd9, 0xe5),
  reg('FCMOVB ST(0), ST(i)', 0xda, 0xc0),
  reg('FCMOVE ST(0), ST(i)', 0xda, 0xc8),
  reg('FCMOVBE ST(0), ST(i)', 0xda, 0xd0),
  reg('FCMOVU ST(0), ST(i)', 0xda, 0xd8),
  reg('FCMOVNB ST(0), ST(i)', 0xdb, 0xc0),
  reg('FCMOVNE ST(0), ST(i)', 0xdb, 0xc8),
  reg('FCMOVNBE ST(0), ST(i)', 0xdb, 0xd0),
  reg('FCMOVNU ST(0), ST(i)', 0xdb, 0xd8),
  reg('FLD1', 0xd9, 0xe8),
  reg('FLDL2T', 0xd9, 0xe9),
  reg('FLDL2E', 0xd9, 0xea),
  reg('FLDPI', 0xd9, 0xeb),
  reg('FLDLG2', 0xd9, 0xec),
  reg('FLDLN2', 0xd9, 0xed),
  reg('FLDZ', 0xd9, 0xee),
  mem('FLD m32', 0xd9, 0, 'f32'),
  mem('FLD m64', 0xdd, 0, 'f64'),
  mem('FLD m80', 0xdb, 5, 'f80'),
  reg('FLD ST(i)', 0xd9, 0xc0),
  mem('FILD m16', 0xdf, 0, 'int'),
  mem('FILD m32', 0xdb, 0, 'int'),
  mem('FILD m64', 0xdf, 5, 'int'),
  mem('FBLD m80', 0xdf, 4, 'bcd'),
  mem('FST m32', 0xd9, 2),
  mem('FST m64', 0xdd, 2),
  mem('FSTP m32', 0xd9, 3),
  mem('FSTP m64', 0xdd, 3),
  mem('FSTP m80', 0xdb, 7),
  reg('FST ST(i)', 0xdd, 0xd0),
  reg('FSTP ST(i)', 0xdd, 0xd8),
  mem('FIST m16', 0xdf, 2),
  mem('FIST m32', 0xdb, 2),
  mem('FISTP m16', 0xdf, 3),
  mem('FISTP m32', 0xdb, 3),
  mem('FISTP m64', 0xdf, 7),
  mem('FISTTP m16', 0xdf, 1),
  mem('FISTTP m32', 0xdb, 1),
  mem('FISTTP m64', 0xdd, 1),
  mem('FBSTP m80', 0xdf, 6),
  reg('FXCH ST(0), ST(i)', 0xd9, 0xc8),
  reg('FFREE ST(i)', 0xdd, 0xc0),
  reg('FFREEP ST(i)', 0xdf, 0xc0),
  reg('FINCSTP', 0xd9, 0xf7),
  reg('FDECSTP', 0xd9, 0xf6),
  reg('FNOP', 0xd9, 0xd0),
  { form: 'FWAIT', opcode: 0x9b },
  reg('FCHS', 0xd9, 0xe0),
  reg('FABS', 0xd9, 0xe1),
  reg('FSQRT', 0xd9, 0xfa),
  reg('FRNDINT', 0xd9, 0xfc),
  reg('FSCALE', 0xd9, 0xfd),
  reg('FXTRACT', 0xd9, 0xf4),
  reg('FPREM', 0xd9, 0xf8),
  reg('FPREM1', 0xd9, 0xf5),
  reg('FNINIT', 0xdb, 0xe3),
  reg('FNCLEX', 0xdb, 0xe2),
  mem('FNSTCW m16', 0xd9, 7),
  mem('FNSTSW m16', 0xdd, 7),
  reg('FNSTSW AX', 0xdf, 0xe0),
  mem('FLDCW m16', 0xd9, 5, 'fcw'),
]

/** Forms whose results may differ from the host's in the last place. */
export const transcendentalForms: readonly X87Encoding[] = [
  reg('F2XM1', 0xd9, 0xf0),
  reg('FYL2X', 0xd9, 0xf1),
  reg('FYL2XP1', 0xd9, 0xf9),
  reg('FPTAN', 0xd9, 0xf2),
  reg('FPATAN', 0xd9, 0xf3),
  reg('FSINCOS', 0xd9, 0xfb),
  reg('FSIN', 0xd9, 0xfe),
  reg('FCOS', 0xd9, 0xff),
]

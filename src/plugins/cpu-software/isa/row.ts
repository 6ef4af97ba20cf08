/**
 * The notation of the instruction table and what a row means once read.
 *
 * A row is written as in the manual (SDM vol. 2, "Instruction Format"):
 *
 *   ['ADC', 'rv/mv, rv', 'MR', '11 /r', 'LOCK', 'OF=X SF=X ZF=X AF=X PF=X CF=TX']
 *
 * Operands: `r64/m64` register or memory; access is read-write for the first operand and read for the others
 * unless marked `r:`, `w:` or `x:` (read-write). `simm` is sign-extended to the operand size, `imm` is not.
 * `m8[rDI]` is memory at a fixed register; capitals (`AL`, `ES`, `ST(0)`, `1`) are fixed operands.
 * Sizes may be the letters of the manual's appendix A; the row then stands for one row per size:
 *   v  word, dword, qword (o16, o32, REX.W)      y  dword, qword       z  word, dword, dword (immediates)
 * Encoding: one letter for each operand that is not fixed: M = ModRM.rm, R = ModRM.reg, O = low opcode bits,
 *   I = immediate, D = displacement in the instruction (relative, far or moffs). ZO: none.
 * Opcode: NP (no 66/F3/F2), NFx (no F3/F2), 66/F3/F2 mandatory; o8/o16/o32/o32+/REX.W operand size, W0 not REX.W;
 *   bytes; +r, +i; /r, /0../7; ib iw id io, cb cw cd, cp (far pointer), mo (moffs).
 * Attributes: LOCK; REP, REPE (what an F2/F3 prefix means); CPL0; NO64, ONLY64; D64 (operand size is 64 in
 *   64-bit mode), F64 (the same and 66 is ignored); V (one row per size though no operand shows it);
 *   ANYMOD (ModRM.mod is ignored, rm is a register); UNALIGNED; or a feature of features.ts.
 * Flags: X computed, 0, 1, U undefined, XU computed for some operand values only; T before it: tested.
 */
import { FEATURES, type Feature } from './features.ts'

export type RowText = readonly [
  mnemonic: string,
  operands: string,
  encoding: string,
  opcode: string,
  attributes?: string,
  flags?: string,
]

export type OperandKind =
  | 'r'
  | 'm'
  | 'rm'
  | 'imm'
  | 'rel'
  | 'far'
  | 'moffs'
  | 'xmm'
  | 'xmm/m'
  | 'mm'
  | 'mm/m'
  | 'st'
  | 'sreg'
  | 'cr'
  | 'dr'
  | 'fixed'

/** The field of `Decoded` that holds the operand; `mem` is the memory fields together; `fixed` is none. */
export type OperandField = 'reg' | 'rm' | 'mem' | 'reg2' | 'imm' | 'imm2' | 'fixed'

export interface Operand {
  readonly kind: OperandKind
  /** As written, sizes filled in: `r64/m64`. */
  readonly text: string
  /** Bits of the register, immediate or fixed operand; of the memory operand where only that is allowed. 0: none. */
  readonly width: number
  /** Bits accessed when the operand is in memory; 0 where it cannot be or where no data is accessed (LEA, INVLPG). */
  readonly memWidth: number
  readonly access: 'r' | 'w' | 'rw'
  /** For kinds that are a register or memory: `rm`; then `Decoded.isMem` tells. */
  readonly where: OperandField
  /** Immediates: sign-extended to the operand size. */
  readonly signed: boolean
}

/** Masks of RFLAGS bits. A bit in both `computed` and `undefined` depends on the operand's value. */
export interface FlagEffects {
  readonly tested: number
  readonly computed: number
  readonly cleared: number
  readonly set: number
  readonly undefined: number
  /** All that the instruction may change. */
  readonly written: number
}

export interface Row {
  readonly index: number
  readonly mnemonic: string
  /** `ADC r64/m64, r64`: unique but for alternative encodings. */
  readonly form: string
  readonly operands: readonly Operand[]
  /** Operand size in bits: 8, 16, 32 or 64; 0 where the instruction has none (most of MMX and SSE). */
  readonly opSize: number
  readonly feature: Feature
  readonly flags: FlagEffects
  readonly lockable: boolean
  readonly rep: '' | 'rep' | 'repe'
  /** Needs CPL 0, else #GP(0). IOPL and CR4 conditions are not part of the table. */
  readonly cpl0: boolean
  /** A 128-bit memory operand must be aligned, else #GP(0). */
  readonly aligned: boolean
  readonly only64: boolean
  readonly no64: boolean
  readonly encoding: RowEncoding
}

/** How the row is encoded, for the decoder's tables and the assembler. */
export interface RowEncoding {
  /** The opcode column, sizes filled in. */
  readonly text: string
  /** 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A. */
  readonly map: 0 | 1 | 2 | 3
  readonly opcode: number
  /** Prefix states that select the row: bits 0 none, 1 66, 2 F3, 3 F2. */
  readonly prefixes: number
  /** The mandatory prefix byte, 0 for none. */
  readonly mandatory: 0 | 0x66 | 0xf2 | 0xf3
  /** Operand-size states before D64/F64 that select the row: bits 0 16, 1 32, 2 64. */
  readonly sizes: number
  readonly plusR: boolean
  readonly modrm: boolean
  /** /digit, or -1. */
  readonly digit: number
  /** A whole ModRM byte that belongs to the opcode, or -1; `plusI`: and the seven after it. */
  readonly fixedModrm: number
  readonly plusI: boolean
  readonly registerAllowed: boolean
  readonly memoryAllowed: boolean
  readonly anyMod: boolean
  /** Index into IMMEDIATES. */
  readonly immediate: number
}

/** Layouts of the bytes after ModRM and displacement; the index is `RowEncoding.immediate`. */
export const IMMEDIATES = [
  '',
  'ib',
  'ibs',
  'iw',
  'id',
  'ids',
  'io',
  'iw ib',
  'cp16',
  'cp32',
  'mo',
  'iws',
] as const

export const FLAG = {
  CF: 0x1,
  PF: 0x4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  ID: 0x200000,
} as const

/** The bit in `sizes` for an operand size. */
const SIZE_BIT = { 16: 1, 32: 2, 64: 4 } as const
type Size = keyof typeof SIZE_BIT

const FIXED_WIDTH: Record<string, number> = {
  AL: 8, CL: 8, AH: 8, AX: 16, DX: 16, EAX: 32, RAX: 64, '1': 8,
  ES: 16, CS: 16, SS: 16, DS: 16, FS: 16, GS: 16, 'ST(0)': 80, XMM0: 128,
} // biome-ignore format: a table

/** The rows that one line of the table stands for. */
export function readRow(text: RowText, firstIndex: number): Row[] {
  const [, operands, , opcode, attributes = ''] = text
  const words = new Set(attributes.split(' ').filter(Boolean))
  const byV =
    words.has('V') ||
    words.has('D64') ||
    words.has('F64') ||
    /[a-zA-Z:&]v|rAX/.test(operands) ||
    /\biv\b/.test(opcode)
  const byY = /\b[rm]y\b/.test(operands)
  const sizes: readonly (Size | undefined)[] = byY
    ? [32, 64]
    : byV
      ? words.has('NO64')
        ? [16, 32]
        : [16, 32, 64]
      : [undefined]
  return sizes.map((size, i) => readSized(text, words, size, byY, firstIndex + i))
}

function readSized(
  text: RowText,
  words: ReadonlySet<string>,
  size: Size | undefined,
  byY: boolean,
  index: number,
): Row {
  const [mnemonic, operandText, letters, opcodeText, , flagText = ''] = text
  for (const word of words) if (!isAttribute(word)) throw new Error(`${mnemonic}: unknown attribute ${word}`)
  const default64 = words.has('D64') || words.has('F64')
  const fill = (s: string) => (size === undefined ? s : fillSize(s, size))
  const only64 = words.has('ONLY64') || (default64 && size === 64)
  const no64 = words.has('NO64') || (size === 32 && default64) || (size === 16 && words.has('F64'))
  const operands = remember(OPERANDS, `${letters} ${fill(operandText)}`, readOperands)
  const encoding = readEncoding(fill(opcodeText), operands, words)
  const sizes = size === undefined || encoding.sizes !== 7 ? encoding.sizes : sizesOf(size, words, byY)
  return {
    index,
    mnemonic,
    form: operands.length === 0 ? mnemonic : `${mnemonic} ${operands.map((o) => o.text).join(', ')}`,
    operands,
    opSize: size ?? explicitSize(opcodeText) ?? sizeOfOperands(operands),
    feature: FEATURES.find((feature) => words.has(feature)) ?? 'BASE',
    flags: remember(FLAGS, flagText, readFlags),
    lockable: words.has('LOCK'),
    rep: words.has('REPE') ? 'repe' : words.has('REP') ? 'rep' : '',
    cpl0: words.has('CPL0'),
    aligned: !words.has('UNALIGNED') && operands.some((o) => o.memWidth === 128),
    only64,
    no64,
    encoding: { ...encoding, sizes },
  }
}

const ATTRIBUTES = 'LOCK REP REPE CPL0 NO64 ONLY64 D64 F64 V ANYMOD UNALIGNED'.split(' ')
const isAttribute = (word: string) =>
  ATTRIBUTES.includes(word) || (FEATURES as readonly string[]).includes(word)

function sizesOf(size: Size, words: ReadonlySet<string>, byY: boolean): number {
  if (words.has('F64') && size === 64) return 7
  if (words.has('D64') && size === 64) return 6
  if (byY && size === 32) return 3
  return SIZE_BIT[size]
}

function explicitSize(opcode: string): number | undefined {
  if (/\bREX\.W\b/.test(opcode)) return 64
  const match = /\bo(8|16|32)\b/.exec(opcode)
  if (match !== null) return Number(match[1])
  return /\bW0\b/.test(opcode) ? 32 : undefined
}

function sizeOfOperands(operands: readonly Operand[]): number {
  const sized = operands.find(
    (o) => ['r', 'rm', 'm', 'fixed'].includes(o.kind) && o.width >= 8 && o.width <= 64,
  )
  return operands[0]?.kind === 'xmm' || operands[0]?.kind === 'mm' ? 0 : (sized?.width ?? 0)
}

const SIZE_LETTER = /\bmv&v\b|\brAX\b|\b(r|m|m\d+[:&]|ptr16:|imm|rel|moffs|i|c)([vyz])\b/g

/** Replaces the size letters of appendix A. */
function fillSize(text: string, size: Size): string {
  const z = size === 16 ? 16 : 32
  return text.replace(SIZE_LETTER, (all, stem: string, letter: string) => {
    if (all === 'mv&v') return `m${size}&${size}`
    if (all === 'rAX') return size === 16 ? 'AX' : size === 32 ? 'EAX' : 'RAX'
    const bits = letter === 'z' ? z : size
    if (stem === 'i' || stem === 'c') return stem + (bits === 16 ? 'w' : bits === 32 ? 'd' : 'o')
    return `${letter === 'z' && size === 64 && stem === 'imm' ? 'simm' : stem}${bits}`
  })
}

/** Many rows share their operands and flags: each text is read once (start-up time). */
const OPERANDS = new Map<string, Operand[]>()
const FLAGS = new Map<string, FlagEffects>()
function remember<T>(known: Map<string, T>, text: string, read: (text: string) => T): T {
  let value = known.get(text)
  if (value === undefined) {
    value = read(text)
    known.set(text, value)
  }
  return value
}

/** `text` is the encoding letters, a space and the operand column. */
function readOperands(lettersAndText: string): Operand[] {
  const [letters = ''] = lettersAndText.split(' ', 1)
  const text = lettersAndText.slice(letters.length + 1)
  if (text === '') return []
  let letter = 0
  let immediates = 0
  return text.split(', ').map((marked, position) => {
    const mark = /^[rwx]:/.test(marked) ? marked[0]! : position === 0 ? 'x' : 'r'
    const plain = marked.replace(/^[rwx]:/, '')
    const access = mark === 'x' ? 'rw' : (mark as 'r' | 'w')
    const fixedWidth = FIXED_WIDTH[plain]
    if (fixedWidth !== undefined) {
      return {
        kind: 'fixed',
        text: plain,
        width: fixedWidth,
        memWidth: 0,
        access,
        where: 'fixed',
        signed: false,
      }
    }
    const string = /^m(\d+)\[\w+\]$/.exec(plain)
    if (string !== null) {
      const width = Number(string[1])
      return { kind: 'm', text: plain, width, memWidth: width, access, where: 'fixed', signed: false }
    }
    const where = letters[letter++]
    const shape = shapeOf(plain)
    if (shape === undefined || where === undefined)
      throw new Error(`cannot read operand ${plain} of ${letters} ${text}`)
    const field =
      where === 'I' || where === 'D' ? (immediates++ === 0 ? 'imm' : 'imm2') : fieldOf(where, shape.kind)
    return {
      ...shape,
      text: plain,
      access,
      where: field,
      signed: plain.startsWith('simm') || plain.startsWith('rel'),
    }
  })
}

function fieldOf(letter: string, kind: OperandKind): OperandField {
  if (letter === 'R') return 'reg'
  if (letter === 'O') return kind === 'st' ? 'rm' : 'reg2'
  return kind === 'm' ? 'mem' : 'rm'
}

function shapeOf(text: string): { kind: OperandKind; width: number; memWidth: number } | undefined {
  const [first = '', second] = text.split('/')
  const register = /^(?:r(\d+)|(xmm)|(mm))$/.exec(first)
  if (register !== null) {
    const width = register[1] !== undefined ? Number(register[1]) : register[2] !== undefined ? 128 : 64
    const memWidth = second === undefined ? 0 : Number(second.slice(1))
    const name = register[1] !== undefined ? 'r' : register[2] !== undefined ? 'xmm' : 'mm'
    const kind = second === undefined ? name : name === 'r' ? 'rm' : (`${name}/m` as const)
    return { kind: kind as OperandKind, width, memWidth }
  }
  const pair = /^m(\d+)[:&](\d+)$/.exec(text)
  if (pair !== null)
    return {
      kind: 'm',
      width: Number(pair[1]) + Number(pair[2]),
      memWidth: Number(pair[1]) + Number(pair[2]),
    }
  const memory = /^m(\d*)$/.exec(text)
  if (memory !== null) return { kind: 'm', width: Number(memory[1]), memWidth: Number(memory[1]) }
  const immediate = /^(s?imm|rel|moffs)(\d+)$/.exec(text)
  if (immediate !== null) {
    const kind = immediate[1] === 'rel' ? 'rel' : immediate[1] === 'moffs' ? 'moffs' : 'imm'
    return { kind, width: Number(immediate[2]), memWidth: kind === 'moffs' ? Number(immediate[2]) : 0 }
  }
  const far = /^ptr16:(\d+)$/.exec(text)
  if (far !== null) return { kind: 'far', width: 16 + Number(far[1]), memWidth: 0 }
  if (text === 'ST(i)') return { kind: 'st', width: 80, memWidth: 0 }
  if (text === 'sreg') return { kind: 'sreg', width: 16, memWidth: 0 }
  if (text === 'cr' || text === 'dr') return { kind: text, width: 64, memWidth: 0 }
  return undefined
}

function readEncoding(text: string, operands: readonly Operand[], words: ReadonlySet<string>): RowEncoding {
  const tokens = text.split(' ')
  const rm = operands.find((o) => o.where === 'rm' || o.where === 'mem')
  const bytes: number[] = []
  let plusR = false
  let plusI = false
  let digit = -1
  let modrm = false
  const tail: string[] = []
  for (const token of tokens.slice(
    tokens.findIndex((t) => /^[0-9A-F]{2}(\+[ri])?$/.test(t) && !isMandatory(tokens, t)),
  )) {
    if (/^[0-9A-F]{2}/.test(token)) {
      bytes.push(Number.parseInt(token.slice(0, 2), 16))
      plusR ||= token.endsWith('+r')
      plusI ||= token.endsWith('+i')
    } else if (token.startsWith('/')) {
      modrm = true
      if (token !== '/r') digit = Number(token[1])
    } else if (!/^(NP|NFx|o8|o16|o32|o32\+|REX\.W|W0)$/.test(token)) tail.push(token)
  }
  const map = bytes[0] !== 0x0f ? 0 : bytes[1] === 0x38 ? 2 : bytes[1] === 0x3a ? 3 : 1
  const at = map === 0 ? 0 : map === 1 ? 1 : 2
  const fixedModrm = bytes[at + 1] ?? -1
  const mandatory = mandatoryOf(tokens)
  return {
    text,
    map,
    opcode: bytes[at] ?? 0,
    prefixes: prefixesOf(tokens, mandatory),
    mandatory,
    sizes: tokens.reduce((sizes, t) => sizes & (SIZES[t] ?? 7), 7),
    plusR,
    modrm: modrm || fixedModrm >= 0,
    digit,
    fixedModrm,
    plusI,
    registerAllowed: rm === undefined || rm.kind !== 'm',
    memoryAllowed:
      rm === undefined ? fixedModrm < 0 && !words.has('ANYMOD') : rm.memWidth > 0 || rm.kind === 'm',
    anyMod: words.has('ANYMOD'),
    immediate: immediateOf(tail.join(' '), operands),
  }
}

const SIZES: Record<string, number> = { o16: 1, o32: 2, 'o32+': 6, 'REX.W': 4, W0: 3 }

function mandatoryOf(tokens: readonly string[]): 0 | 0x66 | 0xf2 | 0xf3 {
  const first = tokens.find((t) => !/^(o8|o16|o32|o32\+|REX\.W|W0)$/.test(t))
  const isPrefix = tokens.length > 1 && (first === '66' || first === 'F2' || first === 'F3')
  return isPrefix ? (Number.parseInt(first, 16) as 0x66 | 0xf2 | 0xf3) : 0
}

const isMandatory = (tokens: readonly string[], token: string) =>
  mandatoryOf(tokens) !== 0 && /^(66|F2|F3)$/.test(token) && tokens.indexOf(token) <= 1

function prefixesOf(tokens: readonly string[], mandatory: number): number {
  if (mandatory === 0x66) return 2
  if (mandatory === 0xf3) return 4
  if (mandatory === 0xf2) return 8
  return tokens.includes('NP') ? 1 : tokens.includes('NFx') ? 3 : 15
}

function immediateOf(tail: string, operands: readonly Operand[]): number {
  const signed = operands.some((o) => o.where === 'imm' && o.signed)
  const far = operands.find((o) => o.kind === 'far')
  const name =
    tail === 'cp'
      ? far?.width === 32
        ? 'cp16'
        : 'cp32'
      : tail === 'mo'
        ? 'mo'
        : tail.replace(/^c([bwd])$/, 'i$1') + (signed ? 's' : '')
  const index = (IMMEDIATES as readonly string[]).indexOf(name)
  if (index < 0) throw new Error(`unknown immediate "${tail}"`)
  return index
}

function readFlags(text: string): FlagEffects {
  const effects = { tested: 0, computed: 0, cleared: 0, set: 0, undefined: 0, written: 0 }
  for (const word of text.split(' ').filter(Boolean)) {
    const [name = '', effect = ''] = word.split('=')
    const bit = FLAG[name as keyof typeof FLAG]
    if (bit === undefined || !/^T?(X|XU|U|0|1)?$/.test(effect)) throw new Error(`unknown flag effect ${word}`)
    if (effect.startsWith('T')) effects.tested |= bit
    if (effect.includes('X')) effects.computed |= bit
    if (effect.includes('U')) effects.undefined |= bit
    if (effect.endsWith('0')) effects.cleared |= bit
    if (effect.endsWith('1')) effects.set |= bit
  }
  effects.written = effects.computed | effects.cleared | effects.set | effects.undefined
  return effects
}

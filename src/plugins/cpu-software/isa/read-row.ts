/**
 * Reads the notation of the instruction table (row.ts): one line of it stands for one row or, by its size letters,
 * for two or three. Mistakes in the table throw at start-up, by name.
 */
import { FEATURES } from './features.ts'
import {
  FLAG,
  type FlagEffects,
  IMMEDIATES,
  type Operand,
  type OperandField,
  type OperandKind,
  type Row,
  type RowEncoding,
  type RowText,
} from './row.ts'

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
  const rm = operands.find((o) => o.where === 'rm' || o.where === 'mem')
  const bytes: number[] = []
  let [plusR, plusI, modrm] = [false, false, false]
  let [digit, sizes, prefixes] = [-1, 7, 15]
  let mandatory: RowEncoding['mandatory'] = 0
  let tail = ''
  for (const token of text.split(' ')) {
    const first = token.charCodeAt(0)
    const known = MODIFIERS[token]
    if (known !== undefined) {
      sizes &= known.sizes
      prefixes &= known.prefixes
    } else if (bytes.length === 0 && (token === '66' || token === 'F2' || token === 'F3')) {
      mandatory = Number.parseInt(token, 16) as RowEncoding['mandatory']
      prefixes = mandatory === 0x66 ? 2 : mandatory === 0xf3 ? 4 : 8
    } else if (first === SLASH) {
      modrm = true
      if (token !== '/r') digit = Number(token[1])
    } else if (first <= UPPER_F) {
      bytes.push(Number.parseInt(token.slice(0, 2), 16))
      plusR ||= token.endsWith('+r')
      plusI ||= token.endsWith('+i')
    } else tail += tail === '' ? token : ` ${token}`
  }
  const map = bytes[0] !== 0x0f ? 0 : bytes[1] === 0x38 ? 2 : bytes[1] === 0x3a ? 3 : 1
  const at = map === 0 ? 0 : map === 1 ? 1 : 2
  const fixedModrm = bytes[at + 1] ?? -1
  const anyMod = words.has('ANYMOD')
  return {
    text,
    map,
    opcode: bytes[at] ?? 0,
    prefixes,
    mandatory,
    sizes,
    plusR,
    modrm: modrm || fixedModrm >= 0,
    digit,
    fixedModrm,
    plusI,
    registerAllowed: rm === undefined || rm.kind !== 'm',
    memoryAllowed: rm === undefined ? fixedModrm < 0 && !anyMod : rm.memWidth > 0 || rm.kind === 'm',
    anyMod,
    immediate: immediateOf(tail, operands),
  }
}

const SLASH = 0x2f
const UPPER_F = 0x46
/** Words of the opcode column that are no bytes: operand sizes and prefix states they allow. */
const MODIFIERS: Record<string, { readonly sizes: number; readonly prefixes: number }> = {
  NP: { sizes: 7, prefixes: 1 },
  NFx: { sizes: 7, prefixes: 3 },
  o8: { sizes: 7, prefixes: 15 },
  o16: { sizes: 1, prefixes: 15 },
  o32: { sizes: 2, prefixes: 15 },
  'o32+': { sizes: 6, prefixes: 15 },
  'REX.W': { sizes: 4, prefixes: 15 },
  W0: { sizes: 3, prefixes: 15 },
}

function immediateOf(tail: string, operands: readonly Operand[]): number {
  if (tail === '') return 0
  const operand = operands.find((o) => o.where === 'imm')
  let name = tail.startsWith('c') ? `i${tail.slice(1)}` : tail
  if (tail === 'cp') name = operand?.width === 32 ? 'cp16' : 'cp32'
  else if (operand?.signed === true) name += 's'
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

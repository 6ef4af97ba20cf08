/**
 * Operands as the assembler takes them: register names, numbers, memory, labels.
 */

const LEGACY = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const
const EIGHT = [0, 1, 2, 3, 4, 5, 6, 7] as const
const UPPER = [8, 9, 10, 11, 12, 13, 14, 15] as const
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const

type Upper = (typeof UPPER)[number]
type Low = 'al' | 'cl' | 'dl' | 'bl'
type High = 'ah' | 'ch' | 'dh' | 'bh'
export type SegmentName = (typeof SEGMENTS)[number]
export type RegisterName =
  | Low
  | High
  | 'spl'
  | 'bpl'
  | 'sil'
  | 'dil'
  | (typeof LEGACY)[number]
  | `e${(typeof LEGACY)[number]}`
  | `r${(typeof LEGACY)[number]}`
  | `r${Upper}${'b' | 'w' | 'd' | ''}`
  | `xmm${number}`
  | `mm${number}`
  | `st${number}`
  | SegmentName
  | `cr${number}`
  | `dr${number}`

export interface RegisterInfo {
  readonly kind: 'r' | 'xmm' | 'mm' | 'st' | 'sreg' | 'cr' | 'dr'
  readonly width: number
  /** As in `Decoded`: AH, CH, DH, BH are 16..19. */
  readonly number: number
  /** The register can only be named with a REX prefix (SPL), or only without (AH). */
  readonly rex: 'needed' | 'forbidden' | 'any'
}

export const REGISTERS: ReadonlyMap<string, RegisterInfo> = registers()

function registers(): Map<string, RegisterInfo> {
  const all = new Map<string, RegisterInfo>()
  const add = (
    name: string,
    kind: RegisterInfo['kind'],
    width: number,
    number: number,
    rex: RegisterInfo['rex'] = 'any',
  ) => all.set(name, { kind, width, number, rex })
  for (const i of EIGHT) {
    const name = LEGACY[i]
    add(name, 'r', 16, i)
    add(`e${name}`, 'r', 32, i)
    add(`r${name}`, 'r', 64, i)
    add(i < 4 ? `${name[0]}l` : `${name}l`, 'r', 8, i, i < 4 ? 'any' : 'needed')
    if (i < 4) add(`${name[0]}h`, 'r', 8, 16 + i, 'forbidden')
    add(`mm${i}`, 'mm', 64, i)
    add(`st${i}`, 'st', 80, i)
    add(`dr${i}`, 'dr', 64, i)
  }
  for (const i of UPPER) {
    add(`r${i}b`, 'r', 8, i)
    add(`r${i}w`, 'r', 16, i)
    add(`r${i}d`, 'r', 32, i)
    add(`r${i}`, 'r', 64, i)
  }
  for (let i = 0; i < 16; i++) add(`xmm${i}`, 'xmm', 128, i)
  for (const i of [0, 2, 3, 4, 8]) add(`cr${i}`, 'cr', 64, i)
  for (const [i, name] of SEGMENTS.entries()) add(name, 'sreg', 16, i)
  return all
}

/** The place of a label: as an immediate its address, as a branch operand the distance. */
export interface LabelReference {
  readonly label: string
  readonly addend: number
}

export interface MemoryOperand {
  readonly base?: RegisterName
  readonly index?: RegisterName
  readonly scale?: 1 | 2 | 4 | 8
  readonly disp?: number | LabelReference
  /** Base is the next instruction; `disp` is then a label, or a number taken as it is. */
  readonly ripRelative?: boolean
  readonly seg?: SegmentName
  /** Bits accessed; needed only where no register operand tells. */
  readonly size?: number
}

export interface Memory extends MemoryOperand {
  readonly isMemory: true
}

/** An absolute address in the instruction (MOV with moffs). */
export interface AbsoluteAddress {
  readonly moffs: number | bigint
  readonly seg?: SegmentName
}

/** A far pointer in the instruction. */
export interface FarPointer {
  readonly selector: number
  readonly offset: number | LabelReference
}

export type Argument = RegisterName | number | bigint | Memory | LabelReference | AbsoluteAddress | FarPointer

export const mem = (operand: MemoryOperand): Memory => ({ ...operand, isMemory: true })
export const label = (name: string, addend = 0): LabelReference => ({ label: name, addend })
/** Memory at a label, relative to RIP. */
export const at = (
  name: string,
  options: { size?: number; addend?: number; seg?: SegmentName } = {},
): Memory => ({
  isMemory: true,
  ripRelative: true,
  disp: label(name, options.addend ?? 0),
  ...(options.size === undefined ? {} : { size: options.size }),
  ...(options.seg === undefined ? {} : { seg: options.seg }),
})

export const isMemory = (argument: Argument): argument is Memory =>
  typeof argument === 'object' && 'isMemory' in argument
export const isLabel = (argument: Argument): argument is LabelReference =>
  typeof argument === 'object' && 'label' in argument
export const isNumber = (argument: Argument): argument is number | bigint =>
  typeof argument === 'number' || typeof argument === 'bigint'

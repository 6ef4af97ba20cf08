/**
 * Encodes one row of the table with given operands: the inverse of the decoder (SDM vol. 2, chapter 2).
 */
import {
  type Argument,
  isLabel,
  isMemory,
  isNumber,
  type LabelReference,
  type Memory,
  REGISTERS,
  type RegisterInfo,
} from './operand.ts'
import { IMMEDIATES, type Operand, type Row } from './row.ts'

/** A place in the encoded bytes that a label's address goes to. */
export interface Fixup {
  readonly offset: number
  readonly size: 1 | 2 | 4 | 8
  readonly target: LabelReference
  /** Relative to the end of the instruction; else absolute. */
  readonly relative: boolean
}

export interface Encoded {
  readonly bytes: number[]
  readonly fixups: Fixup[]
}

export interface EncodeOptions {
  readonly lock?: boolean
  readonly rep?: 0xf2 | 0xf3
  /** Address size in bits where no memory operand tells. */
  readonly addrSize?: 64 | 32 | 16
}

/** The bytes, or undefined where the arguments do not fit the row or the mode. */
export function encodeRow(
  row: Row,
  args: readonly Argument[],
  mode: 64 | 32 | 16,
  options: EncodeOptions = {},
): Encoded | undefined {
  if (mode === 64 ? row.no64 : row.only64) return undefined
  const matched = matchArguments(row, args, mode)
  if (matched === undefined) return undefined
  const parts = new Parts(row, mode, options)
  for (const [operand, argument] of matched) if (!parts.place(operand, argument)) return undefined
  return parts.encode()
}

/** Pairs each operand that is not fixed with its argument. Instructions with fixed operands only need none named. */
function matchArguments(
  row: Row,
  args: readonly Argument[],
  mode: 64 | 32 | 16,
): [Operand, Argument][] | undefined {
  if (args.length === 0 && row.operands.every((operand) => operand.where === 'fixed')) return []
  if (args.length !== row.operands.length) return undefined
  const pairs: [Operand, Argument][] = []
  for (const [i, operand] of row.operands.entries()) {
    const argument = args[i]!
    if (!fits(operand, argument, row, mode)) return undefined
    if (operand.where !== 'fixed') pairs.push([operand, argument])
  }
  return pairs
}

function fits(operand: Operand, argument: Argument, row: Row, mode: number): boolean {
  if (typeof argument === 'string') {
    const register = REGISTERS.get(argument)
    if (register === undefined) throw new Error(`no register ${argument}`)
    return registerFits(operand, argument, register, row, mode)
  }
  if (isMemory(argument)) {
    const takesMemory =
      operand.where === 'mem' ||
      (operand.where === 'rm' && operand.kind.includes('m') && row.encoding.memoryAllowed)
    return (
      takesMemory &&
      operand.kind !== 'xmm' &&
      operand.kind !== 'mm' &&
      (argument.size === undefined || argument.size === operand.memWidth)
    )
  }
  if (isNumber(argument)) {
    if (operand.where === 'fixed') return operand.text === '1' && BigInt(argument) === 1n
    return operand.kind === 'rel'
      ? fitsSigned(BigInt(argument), operand.width)
      : operand.kind === 'imm' && fitsImmediate(operand, BigInt(argument), row)
  }
  if (isLabel(argument)) return operand.kind === 'rel' || (operand.kind === 'imm' && operand.width >= 16)
  return 'moffs' in argument ? operand.kind === 'moffs' : operand.kind === 'far'
}

function registerFits(
  operand: Operand,
  name: string,
  register: RegisterInfo,
  row: Row,
  mode: number,
): boolean {
  if (operand.where === 'fixed')
    return operand.text.toLowerCase() === (operand.text === 'ST(0)' && name === 'st0' ? 'st(0)' : name)
  if (mode !== 64 && (register.rex === 'needed' || (register.number >= 8 && register.number < 16)))
    return false
  if (!row.encoding.registerAllowed && operand.where === 'rm') return false
  switch (operand.kind) {
    case 'r':
    case 'rm':
      return register.kind === 'r' && register.width === operand.width
    case 'xmm':
    case 'xmm/m':
      return register.kind === 'xmm'
    case 'mm':
    case 'mm/m':
      return register.kind === 'mm'
    case 'sreg':
      return register.kind === 'sreg' && !(operand.access === 'w' && name === 'cs')
    default:
      return register.kind === operand.kind
  }
}

const fitsSigned = (value: bigint, bits: number) => BigInt.asIntN(bits, value) === value

/** A number fits if the operand has the value meant, signed or unsigned, at the operand size. */
function fitsImmediate(operand: Operand, value: bigint, row: Row): boolean {
  if (!operand.signed)
    return fitsSigned(value, operand.width) || BigInt.asUintN(operand.width, value) === value
  const size = row.opSize || 64
  if (!fitsSigned(value, size) && BigInt.asUintN(size, value) !== value) return false
  return fitsSigned(BigInt.asIntN(size, value), operand.width)
}

/** The parts of one instruction, filled operand by operand. */
class Parts {
  readonly #row: Row
  readonly #mode: 64 | 32 | 16
  readonly #options: EncodeOptions
  #rex = 0
  #rexForbidden = false
  #opcodeReg = 0
  #reg = 0
  #rm: RegisterInfo | Memory | undefined
  #seg: string | undefined
  #addrSize: number
  #immediates: (bigint | LabelReference)[] = []

  constructor(row: Row, mode: 64 | 32 | 16, options: EncodeOptions) {
    this.#row = row
    this.#mode = mode
    this.#options = options
    this.#addrSize = options.addrSize ?? mode
  }

  /** False where the argument cannot be encoded in this row. */
  place(operand: Operand, argument: Argument): boolean {
    if (typeof argument === 'string') {
      const register = REGISTERS.get(argument)!
      if (register.rex === 'needed') this.#rex |= 0x40
      if (register.rex === 'forbidden') this.#rexForbidden = true
      const number = register.number >= 16 ? register.number - 12 : register.number
      if (operand.where === 'reg') {
        this.#reg = number & 7
        if (number >= 8) this.#rex |= 0x44
      } else {
        if (operand.where === 'reg2') this.#opcodeReg = number & 7
        else this.#rm = { ...register, number }
        if (number >= 8) this.#rex |= 0x41
      }
      return true
    }
    if (isMemory(argument)) {
      this.#rm = argument
      this.#seg = argument.seg
      return this.#chooseAddressSize(argument)
    }
    if (isNumber(argument)) this.#immediates.push(BigInt(argument))
    else if (isLabel(argument)) this.#immediates.push(argument)
    else if ('moffs' in argument) {
      this.#immediates.push(BigInt(argument.moffs))
      this.#seg = argument.seg
    } else {
      const { offset, selector } = argument
      this.#immediates.push(typeof offset === 'number' ? BigInt(offset) : offset, BigInt(selector))
    }
    return true
  }

  #chooseAddressSize(memory: Memory): boolean {
    const register = memory.base ?? memory.index
    if (register !== undefined) this.#addrSize = REGISTERS.get(register)!.width
    const allowed = this.#mode === 64 ? [64, 32] : [32, 16]
    if (!allowed.includes(this.#addrSize) || (memory.ripRelative === true && this.#mode !== 64)) return false
    const index = memory.index === undefined ? undefined : REGISTERS.get(memory.index)!
    if (this.#addrSize === 16) return modrm16(memory) >= 0
    return index === undefined || index.number !== 4
  }

  encode(): Encoded | undefined {
    const row = this.#row
    const { encoding } = row
    const prefixes: number[] = []
    if (this.#options.lock === true) prefixes.push(0xf0)
    if (this.#seg !== undefined) prefixes.push(SEGMENT_PREFIX[this.#seg]!)
    if (this.#addrSize !== this.#mode) prefixes.push(0x67)
    const natural = this.#mode === 16 ? 1 : 2
    const other = this.#mode === 16 ? 2 : 1
    if (encoding.mandatory === 0x66) {
      prefixes.push(0x66)
      if ((encoding.sizes & other) === 0) this.#rex |= 0x48
    } else if ((encoding.sizes & natural) === 0) {
      if ((encoding.sizes & other) !== 0) prefixes.push(0x66)
      else this.#rex |= 0x48
    }
    if (encoding.mandatory === 0xf2 || encoding.mandatory === 0xf3) prefixes.push(encoding.mandatory)
    if (this.#options.rep !== undefined) prefixes.push(this.#options.rep)

    const fixups: Fixup[] = []
    const tail: number[] = []
    if (encoding.modrm) this.#encodeModrm(tail, fixups)
    if (!this.#encodeImmediates(tail, fixups)) return undefined
    if (this.#rex !== 0 && (this.#mode !== 64 || this.#rexForbidden)) return undefined
    const head = [...prefixes]
    if (this.#rex !== 0) head.push(this.#rex)
    if (encoding.map > 0) head.push(0x0f)
    if (encoding.map > 1) head.push(encoding.map === 2 ? 0x38 : 0x3a)
    head.push(encoding.opcode + this.#opcodeReg)
    return {
      bytes: [...head, ...tail],
      fixups: fixups.map((fixup) => ({ ...fixup, offset: fixup.offset + head.length })),
    }
  }

  #encodeModrm(tail: number[], fixups: Fixup[]): void {
    const { fixedModrm, digit } = this.#row.encoding
    const rm = this.#rm
    if (fixedModrm >= 0) {
      tail.push(fixedModrm + (rm !== undefined && !('isMemory' in rm) ? rm.number : 0))
      return
    }
    const reg = (digit >= 0 ? digit : this.#reg) << 3
    if (rm === undefined) throw new Error(`${this.#row.form}: no rm operand`)
    if (!('isMemory' in rm)) tail.push(0xc0 | reg | (rm.number & 7))
    else if (this.#addrSize === 16) this.#encodeMemory16(rm, reg, tail, fixups)
    else this.#encodeMemory(rm, reg, tail, fixups)
  }

  #encodeMemory(memory: Memory, reg: number, tail: number[], fixups: Fixup[]): void {
    const { disp = 0 } = memory
    if (memory.ripRelative === true) {
      tail.push(reg | 5)
      this.#displacement(disp, 4, tail, fixups, true)
      return
    }
    const base = memory.base === undefined ? -1 : REGISTERS.get(memory.base)!.number
    const index = memory.index === undefined ? -1 : REGISTERS.get(memory.index)!.number
    if (base >= 8) this.#rex |= 0x41
    if (index >= 8) this.#rex |= 0x42
    let mod = 0
    if (base >= 0 && (typeof disp !== 'number' || disp !== 0 || (base & 7) === 5)) {
      mod = typeof disp === 'number' && disp >= -128 && disp <= 127 ? 1 : 2
    }
    // Without a base, SIB's "no base" keeps 64-bit code from meaning RIP.
    const needsSib = index >= 0 || (base & 7) === 4 || (base < 0 && this.#mode === 64)
    tail.push((mod << 6) | reg | (needsSib ? 4 : base < 0 ? 5 : base & 7))
    if (needsSib) {
      const scale = Math.log2(memory.scale ?? 1)
      tail.push((scale << 6) | ((index < 0 ? 4 : index & 7) << 3) | (base < 0 ? 5 : base & 7))
    }
    if (mod === 1) tail.push((disp as number) & 0xff)
    else if (mod === 2 || base < 0) this.#displacement(disp, 4, tail, fixups, false)
  }

  #encodeMemory16(memory: Memory, reg: number, tail: number[], fixups: Fixup[]): void {
    const { disp = 0 } = memory
    const low = modrm16(memory)
    if (memory.base === undefined && memory.index === undefined) {
      tail.push(reg | 6)
      this.#displacement(disp, 2, tail, fixups, false)
      return
    }
    const mod =
      typeof disp !== 'number' ? 2 : disp === 0 && low !== 6 ? 0 : disp >= -128 && disp <= 127 ? 1 : 2
    tail.push((mod << 6) | reg | low)
    if (mod === 1) tail.push((disp as number) & 0xff)
    else if (mod === 2) this.#displacement(disp, 2, tail, fixups, false)
  }

  #displacement(
    disp: number | LabelReference,
    size: 2 | 4,
    tail: number[],
    fixups: Fixup[],
    relative: boolean,
  ): void {
    if (typeof disp === 'number') pushLittle(tail, BigInt(disp), size)
    else {
      fixups.push({ offset: tail.length, size, target: disp, relative })
      pushLittle(tail, 0n, size)
    }
  }

  #encodeImmediates(tail: number[], fixups: Fixup[]): boolean {
    const sizes = immediateSizes(this.#row, this.#addrSize)
    for (const [i, size] of sizes.entries()) {
      const value = this.#immediates[i]
      if (value === undefined) throw new Error(`${this.#row.form}: too few immediates`)
      if (typeof value === 'bigint') pushLittle(tail, value, size)
      else {
        const relative = this.#row.operands.some((operand) => operand.kind === 'rel')
        fixups.push({ offset: tail.length, size, target: value, relative })
        pushLittle(tail, 0n, size)
      }
    }
    return true
  }
}

const SEGMENT_PREFIX: Record<string, number> = { es: 0x26, cs: 0x2e, ss: 0x36, ds: 0x3e, fs: 0x64, gs: 0x65 }

/** ModRM.rm of a 16-bit address (SDM vol. 2, table 2-1), -1 where there is none. */
function modrm16(memory: Memory): number {
  const pair = `${memory.base ?? ''}${memory.index === undefined ? '' : `+${memory.index}`}`
  if (pair === '') return 6
  return ['bx+si', 'bx+di', 'bp+si', 'bp+di', 'si', 'di', 'bp', 'bx'].indexOf(pair)
}

function immediateSizes(row: Row, addrSize: number): (1 | 2 | 4 | 8)[] {
  switch (IMMEDIATES[row.encoding.immediate]) {
    case '':
      return []
    case 'ib':
    case 'ibs':
      return [1]
    case 'iw':
    case 'iws':
      return [2]
    case 'io':
      return [8]
    case 'iw ib':
      return [2, 1]
    case 'cp16':
      return [2, 2]
    case 'cp32':
      return [4, 2]
    case 'mo':
      return [(addrSize >> 3) as 2 | 4 | 8]
    default:
      return [4]
  }
}

export function pushLittle(bytes: number[], value: bigint, size: number): void {
  for (let i = 0; i < size; i++) bytes.push(Number((value >> BigInt(8 * i)) & 0xffn))
}

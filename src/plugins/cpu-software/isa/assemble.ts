/**
 * A small assembler over the instruction table, for micro-guests and CPU tests.
 *
 *   const a = new Assembler(64, 0x100000)
 *   a.emit('MOV', 'rcx', 5)
 *   a.label('again')
 *   a.emit('DEC', 'ecx')
 *   a.jcc('NZ', 'again')
 *
 * The shortest form that fits is taken. Branches back to a near label are short; branches to a label that comes
 * later are long unless they say `short`. Sections, expressions and macros: there are none, it is TypeScript.
 */
import { type Encoded, type EncodeOptions, encodeRow, type Fixup, pushLittle } from './encode.ts'
import { type Argument, isLabel, isMemory, label } from './operand.ts'
import type { Row } from './row.ts'
import { ROWS } from './table.ts'

export { at, label, mem } from './operand.ts'

const BY_MNEMONIC = new Map<string, Row[]>()
for (const row of ROWS) {
  const rows = BY_MNEMONIC.get(row.mnemonic)
  if (rows === undefined) BY_MNEMONIC.set(row.mnemonic, [row])
  else rows.push(row)
}

/** The manual's other names of conditions. */
const ALIASES: Record<string, string> = {
  Z: 'E', NZ: 'NE', C: 'B', NC: 'AE', NAE: 'B', NB: 'AE', NA: 'BE', NBE: 'A',
  PE: 'P', PO: 'NP', NGE: 'L', NL: 'GE', NG: 'LE', NLE: 'G',
} // biome-ignore format: a table

export interface EmitOptions extends EncodeOptions {
  /** Operand size where operands do not tell (STOS, IRET, RETF). */
  readonly size?: 8 | 16 | 32 | 64
  /** A branch to a later label fits a byte. */
  readonly short?: boolean
  /** This row, not the shortest. */
  readonly row?: Row
}

export class Assembler {
  #mode: 64 | 32 | 16
  readonly #origin: number
  readonly #bytes: number[] = []
  readonly #labels = new Map<string, number>()
  readonly #fixups: (Fixup & { readonly end: number })[] = []

  /** `origin` is the address of the first byte. */
  constructor(mode: 64 | 32 | 16, origin = 0) {
    this.#mode = mode
    this.#origin = origin
  }

  /** Address of the next byte. */
  get here(): number {
    return this.#origin + this.#bytes.length
  }

  /** Code size of what follows. */
  mode(mode: 64 | 32 | 16): this {
    this.#mode = mode
    return this
  }

  emit(mnemonic: string, ...args: readonly Argument[]): this {
    return this.emitWith({}, mnemonic, ...args)
  }

  emitWith(options: EmitOptions, mnemonic: string, ...args: readonly Argument[]): this {
    const encoded = this.#shortest(options, mnemonic, args)
    if (encoded === undefined) {
      throw new Error(
        `no form of ${mnemonic} in ${this.#mode}-bit mode takes (${args.map(describe).join(', ')})`,
      )
    }
    const start = this.#bytes.length
    this.#bytes.push(...encoded.bytes)
    for (const fixup of encoded.fixups) {
      this.#fixups.push({ ...fixup, offset: start + fixup.offset, end: this.#bytes.length })
    }
    return this
  }

  #shortest(options: EmitOptions, mnemonic: string, args: readonly Argument[]): Encoded | undefined {
    let best: { readonly encoded: Encoded; readonly cost: number; readonly memWidth: number } | undefined
    for (const row of options.row === undefined ? (BY_MNEMONIC.get(mnemonic) ?? []) : [options.row]) {
      if (options.size !== undefined && row.opSize !== options.size) continue
      const encoded = encodeRow(row, args, this.#mode, options)
      if (encoded === undefined || !this.#reaches(encoded, options)) continue
      const memWidth = accessWidth(row, args)
      if (best !== undefined && memWidth !== best.memWidth) {
        throw new Error(`${mnemonic} ${args.map(describe).join(', ')}: give the memory operand a size`)
      }
      // PUSH 1 means the stack's width, not its shortest encoding.
      const cost = encoded.bytes.length + (overridesSize(row, this.#mode) ? 100 : 0)
      if (best === undefined || cost < best.cost) best = { encoded, cost, memWidth }
    }
    return best?.encoded
  }

  /** Whether labels fit: a byte only reaches near, and a word of an address only in 16-bit code. */
  #reaches(encoded: Encoded, options: EmitOptions): boolean {
    return encoded.fixups.every((fixup) => {
      if (!fixup.relative) return fixup.size >= this.#mode >> 3 || fixup.size >= 4
      if (fixup.size !== 1) return options.short !== true
      if (options.short === true || /* LOOP, JRCXZ have no other form */ encoded.bytes[0]! >> 2 === 0x38)
        return true
      const target = this.#labels.get(fixup.target.label)
      return target !== undefined && target - (this.here + encoded.bytes.length) >= -128
    })
  }

  jcc(condition: string, to: string, options: EmitOptions = {}): this {
    return this.emitWith(options, `J${ALIASES[condition] ?? condition}`, label(to))
  }

  jmp(to: string, options: EmitOptions = {}): this {
    return this.emitWith(options, 'JMP', label(to))
  }

  call(to: string): this {
    return this.emit('CALL', label(to))
  }

  /** A string instruction of the given operand size. */
  string(mnemonic: string, size: 8 | 16 | 32 | 64, repeat?: 'REP' | 'REPE' | 'REPNE'): this {
    return this.emitWith(
      { size, ...(repeat === undefined ? {} : { rep: repeat === 'REPNE' ? 0xf2 : 0xf3 }) },
      mnemonic,
    )
  }

  label(name: string): this {
    return this.define(name, this.here)
  }

  /** A label for memory outside the bytes, such as zeroed memory behind them. */
  define(name: string, address: number): this {
    if (this.#labels.has(name)) throw new Error(`label ${name} is there already`)
    this.#labels.set(name, address)
    return this
  }

  bytes(...bytes: readonly number[]): this {
    for (const byte of bytes) this.#bytes.push(byte & 0xff)
    return this
  }

  u8(...values: readonly number[]): this {
    return this.bytes(...values)
  }

  u16(...values: readonly number[]): this {
    return this.#data(2, values)
  }

  u32(...values: readonly (number | Argument)[]): this {
    return this.#data(4, values)
  }

  u64(...values: readonly (number | bigint | Argument)[]): this {
    return this.#data(8, values)
  }

  ascii(text: string): this {
    return this.bytes(...new TextEncoder().encode(text))
  }

  zero(count: number): this {
    for (let i = 0; i < count; i++) this.#bytes.push(0)
    return this
  }

  align(to: number, fill = 0): this {
    while (this.here % to !== 0) this.#bytes.push(fill)
    return this
  }

  /** Zeroes up to an address. */
  org(address: number): this {
    if (address < this.here)
      throw new Error(`org ${address.toString(16)} is behind ${this.here.toString(16)}`)
    return this.zero(address - this.here)
  }

  #data(size: 2 | 4 | 8, values: readonly Argument[]): this {
    for (const value of values) {
      if (typeof value === 'number' || typeof value === 'bigint') pushLittle(this.#bytes, BigInt(value), size)
      else if (isLabel(value)) {
        this.#fixups.push({ offset: this.#bytes.length, size, target: value, relative: false, end: 0 })
        pushLittle(this.#bytes, 0n, size)
      } else throw new Error(`not data: ${describe(value)}`)
    }
    return this
  }

  /** Address of a label. */
  address(name: string): number {
    const address = this.#labels.get(name)
    if (address === undefined) throw new Error(`no label ${name}`)
    return address
  }

  /** The bytes, with all labels put in. */
  assemble(): Uint8Array {
    const bytes = Uint8Array.from(this.#bytes)
    for (const { offset, size, target, relative, end } of this.#fixups) {
      const address = this.address(target.label) + target.addend
      const value = relative ? address - (this.#origin + end) : address
      if (relative && size < 4 && (value < -(2 ** (8 * size - 1)) || value >= 2 ** (8 * size - 1))) {
        throw new Error(`label ${target.label} is out of reach: ${value}`)
      }
      for (let i = 0; i < size; i++) bytes[offset + i] = Number((BigInt(value) >> BigInt(8 * i)) & 0xffn)
    }
    return bytes
  }
}

/** Bits accessed in memory where the argument does not say, else 0. */
function accessWidth(row: Row, args: readonly Argument[]): number {
  const unsized = args.findIndex((argument) => isMemory(argument) && argument.size === undefined)
  return unsized < 0 ? 0 : row.operands[unsized]!.memWidth
}

function overridesSize(row: Row, mode: 64 | 32 | 16): boolean {
  const [natural, other] = mode === 16 ? [1, 2] : [2, 1]
  const { sizes, mandatory } = row.encoding
  return mandatory !== 0x66 && (sizes & natural) === 0 && (sizes & other) !== 0
}

function describe(argument: Argument): string {
  return typeof argument === 'object' ? JSON.stringify(argument) : String(argument)
}

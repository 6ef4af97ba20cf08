/**
 * The reference reading of the vocabulary: a value is a bigint, a condition a boolean, and everything happens at
 * once on plain registers. Slow and obvious: the oracle that the emitting reading is compared with.
 *
 * Flat segments with base 0, as 64-bit code has them. Not here: LOCK (one processor has nothing to lose), vectors.
 */
import type { Decoded } from '../isa/decode.ts'
import type { Row, Operand as RowOperand } from '../isa/row.ts'
import {
  type Access,
  type Bool,
  CONDITIONS,
  type Condition,
  EXCEPTION,
  type Flag,
  type Meaning,
  type Operand,
  type Val,
  type Vocabulary,
  type Width,
} from './vocabulary.ts'

/** Registers, flags and memory that an instruction works on. Memory answers faults by throwing `ReferenceFault`. */
export interface ReferenceMachine {
  readonly gpr: bigint[]
  readonly flags: Record<Flag, boolean>
  readonly direction: 1 | -1
  rip: bigint
  /** `modify`: a store to the same place follows, whose fault comes first. */
  load(address: bigint, bytes: number, modify: boolean): bigint
  store(address: bigint, bytes: number, value: bigint): void
}

/** The exception that ended an instruction; what it wrote before stays written. */
export class ReferenceFault extends Error {
  readonly vector: number
  readonly errorCode: number
  readonly address: bigint
  constructor(vector: number, errorCode = 0, address = 0n) {
    super(`exception ${vector}`)
    this.vector = vector
    this.errorCode = errorCode
    this.address = address
  }
}

/** Thrown to end an instruction early: it jumped, or is to run again. */
const JUMPED = new Error('jumped')
const AGAIN = new Error('again')

const V = (n: bigint): Val => BigInt.asUintN(64, n) as unknown as Val
const B = (b: boolean): Bool => b as unknown as Bool
const N = (v: Val): bigint => v as unknown as bigint
const T = (b: Bool): boolean => b as unknown as boolean
const signed = (v: Val): bigint => BigInt.asIntN(64, N(v))
const topBit = (w: number, v: bigint): boolean => ((v >> BigInt(w - 1)) & 1n) === 1n

const FIXED: Readonly<Record<string, number>> = { AL: 0, AX: 0, EAX: 0, RAX: 0, CL: 1, DX: 2, AH: 16 }

export class Reference implements Vocabulary {
  readonly long: boolean
  readonly #m: ReferenceMachine
  readonly #d: Decoded
  readonly #row: Row
  /** Operands that meanings count: without those that a string instruction implies. */
  readonly #operands: readonly RowOperand[]
  #access: readonly Access[] = []
  readonly #displaced: bigint[] = [0n, 0n, 0n]

  constructor(machine: ReferenceMachine, row: Row, decoded: Decoded, long: boolean) {
    this.#m = machine
    this.#row = row
    this.#d = decoded
    this.long = long
    this.#operands = row.operands.filter((o) => !(o.where === 'fixed' && o.kind === 'm') && o.kind !== 'rel')
  }

  /** Runs the meaning, repeated as it asks; rIP is then where to go on. Faults are thrown. */
  run(meaning: Meaning): void {
    this.#access = meaning.access
    const w = (this.#row.opSize || 64) as Width
    for (;;) {
      try {
        meaning.run(this, w)
        this.#m.rip += BigInt(this.#d.length)
        return
      } catch (thrown) {
        if (thrown === JUMPED) return
        if (thrown !== AGAIN) throw thrown
      }
    }
  }

  const = (n: bigint | number): Val => V(BigInt(n))
  add = (a: Val, b: Val): Val => V(N(a) + N(b))
  sub = (a: Val, b: Val): Val => V(N(a) - N(b))
  mul = (a: Val, b: Val): Val => V(N(a) * N(b))
  and = (a: Val, b: Val): Val => V(N(a) & N(b))
  or = (a: Val, b: Val): Val => V(N(a) | N(b))
  xor = (a: Val, b: Val): Val => V(N(a) ^ N(b))
  not = (a: Val): Val => V(~N(a))
  neg = (a: Val): Val => V(-N(a))
  // A count of 64 or more has no meaning in the vocabulary; like the emitting reading, it counts modulo 64.
  shl = (a: Val, n: Val): Val => V(N(a) << (N(n) & 63n))
  shr = (a: Val, n: Val): Val => V(N(a) >> (N(n) & 63n))
  sar = (a: Val, n: Val): Val => V(signed(a) >> (N(n) & 63n))
  rotl = (a: Val, n: Val): Val => V((N(a) << (N(n) & 63n)) | (N(a) >> ((64n - (N(n) & 63n)) & 127n)))
  clz = (a: Val): Val => V(64n - BigInt(N(a) === 0n ? 0 : N(a).toString(2).length))
  ctz = (a: Val): Val => V(N(a) === 0n ? 64n : BigInt((N(a) & -N(a)).toString(2).length - 1))
  popcnt = (a: Val): Val => V(BigInt(N(a).toString(2).replaceAll('0', '').length))
  mulHighU = (a: Val, b: Val): Val => V((N(a) * N(b)) >> 64n)
  mulHighS = (a: Val, b: Val): Val => V((signed(a) * signed(b)) >> 64n)
  divWide(hi: Val, lo: Val, d: Val): readonly [Val, Val] {
    const n = (N(hi) << 64n) | N(lo)
    return [V(n / N(d)), V(n % N(d))]
  }
  divU = (a: Val, b: Val): Val => V(N(a) / N(b))
  remU = (a: Val, b: Val): Val => V(N(a) % N(b))
  divS = (a: Val, b: Val): Val => V(signed(a) / signed(b))
  remS = (a: Val, b: Val): Val => V(signed(a) % signed(b))
  zext = (w: Width, a: Val): Val => V(BigInt.asUintN(w, N(a)))
  sext = (w: Width, a: Val): Val => V(BigInt.asIntN(w, N(a)))

  eq = (a: Val, b: Val): Bool => B(N(a) === N(b))
  ne = (a: Val, b: Val): Bool => B(N(a) !== N(b))
  ltU = (a: Val, b: Val): Bool => B(N(a) < N(b))
  ltS = (a: Val, b: Val): Bool => B(signed(a) < signed(b))
  isZero = (a: Val): Bool => B(N(a) === 0n)
  bit = (a: Val, index: Val | number): Bool =>
    B(((N(a) >> ((typeof index === 'number' ? BigInt(index) : N(index)) & 63n)) & 1n) === 1n)
  allOf = (...conditions: Bool[]): Bool => B(conditions.every(T))
  anyOf = (...conditions: Bool[]): Bool => B(conditions.some(T))
  differ = (a: Bool, b: Bool): Bool => B(T(a) !== T(b))
  isNot = (a: Bool): Bool => B(!T(a))
  word = (b: Bool): Val => V(T(b) ? 1n : 0n)
  select = (b: Bool, then: Val, otherwise: Val): Val => (T(b) ? then : otherwise)
  keep = (a: Val): Val => a
  keepBool = (b: Bool): Bool => b

  when(b: Bool, then: () => void, otherwise?: () => void): void {
    if (T(b)) then()
    else otherwise?.()
  }
  fault(exception: keyof typeof EXCEPTION, errorCode?: Val): void {
    throw new ReferenceFault(EXCEPTION[exception], errorCode === undefined ? 0 : Number(N(errorCode)))
  }

  #operand(o: Operand): RowOperand {
    return this.#operands[o]!
  }
  isMemory(o: Operand): boolean {
    const operand = this.#operands[o]
    if (operand === undefined) return false
    return operand.kind === 'm' || operand.kind === 'moffs' || (operand.kind === 'rm' && this.#d.isMem)
  }
  isImmediate(o: Operand): boolean {
    const operand = this.#operands[o]
    return operand?.kind === 'imm' || operand?.text === '1'
  }
  /** Register of an operand as decoded: AH, CH, DH and BH are 16 to 19. */
  #registerOf(o: Operand): number {
    const operand = this.#operand(o)
    if (operand.kind === 'fixed') return FIXED[operand.text]!
    return operand.where === 'reg' ? this.#d.reg : operand.where === 'reg2' ? this.#d.reg2 : this.#d.rm
  }
  read(o: Operand, w: Width): Val {
    const operand = this.#operand(o)
    if (operand.text === '1') return V(1n)
    if (operand.kind === 'imm') {
      const low = operand.where === 'imm2' ? this.#d.imm2 : this.#d.imm
      const wide = operand.width === 64 ? (BigInt(this.#d.immHi) << 32n) | BigInt(low >>> 0) : BigInt(low)
      return this.zext(w, V(wide))
    }
    if (this.isMemory(o)) return V(this.#m.load(N(this.linearAddress(o)), w / 8, this.#access[o] === 'rw'))
    return this.#readRegister(this.#registerOf(o), w)
  }
  write(o: Operand, w: Width, v: Val): void {
    if (this.isMemory(o)) this.store(w, this.linearAddress(o), v)
    else this.#writeRegister(this.#registerOf(o), w, v)
  }
  #readRegister(n: number, w: Width): Val {
    return this.zext(w, V(n >= 16 ? this.#m.gpr[n - 16]! >> 8n : this.#m.gpr[n]!))
  }
  #writeRegister(n: number, w: Width, v: Val): void {
    const { gpr } = this.#m
    if (w >= 32) gpr[n] = N(v)
    else {
      const [at, shift] = n >= 16 ? [n - 16, 8n] : [n, 0n]
      const mask = ((1n << BigInt(w)) - 1n) << shift
      gpr[at] = (gpr[at]! & BigInt.asUintN(64, ~mask)) | ((N(v) << shift) & mask)
    }
  }
  #addressMask(bits: number): bigint {
    return (1n << BigInt(bits)) - 1n
  }
  #address(o: Operand, moved: bigint): Val {
    const d = this.#d
    if (this.#operand(o).kind === 'moffs')
      return V(((BigInt(d.immHi) << 32n) | BigInt(d.imm >>> 0)) & this.#addressMask(d.addrSize))
    const base = d.ripRelative ? this.#m.rip + BigInt(d.length) : d.base >= 0 ? this.#m.gpr[d.base]! : 0n
    const index = d.index >= 0 ? this.#m.gpr[d.index]! << BigInt(d.scale) : 0n
    // POP addresses its operand with the stack pointer already moved.
    const popped = this.#row.mnemonic === 'POP' && d.base === 4 ? BigInt(d.opSize / 8) : 0n
    return V((base + index + BigInt(d.disp) + popped + moved) & this.#addressMask(d.addrSize))
  }
  effectiveAddress = (o: Operand): Val => this.#address(o, 0n)
  linearAddress = (o: Operand): Val => this.#address(o, this.#displaced[o]!)
  displace(o: Operand, bytes: Val): void {
    this.#displaced[o] = signed(bytes)
  }

  reg = (n: number, w: Width): Val => this.#readRegister(n, w)
  setReg = (n: number, w: Width, v: Val): void => this.#writeRegister(n, w, v)
  load = (w: Width, address: Val): Val => V(this.#m.load(N(address), w / 8, false))
  store = (w: Width, address: Val, v: Val): void => this.#m.store(N(address), w / 8, BigInt.asUintN(w, N(v)))

  flag = (f: Flag): Bool => B(this.#m.flags[f])
  setFlags(flags: Partial<Record<Flag, Bool>>): void {
    for (const [name, value] of Object.entries(flags)) this.#m.flags[name as Flag] = T(value)
  }
  #setResult(w: Width, z: Val, af: boolean, cf: boolean, of: boolean): void {
    const low = (N(z) & 255n).toString(2).replaceAll('0', '').length
    const result = BigInt.asUintN(w, N(z))
    Object.assign(this.#m.flags, {
      CF: cf,
      OF: of,
      AF: af,
      ZF: result === 0n,
      SF: topBit(w, result),
      PF: low % 2 === 0,
    })
  }
  flagsOfAdd(w: Width, a: Val, b: Val, z: Val): void {
    // The operands show whether a carry came in: what the sum has beyond them.
    const carryIn = BigInt.asUintN(w, N(z) - N(a) - N(b))
    const overflow = topBit(w, N(a)) === topBit(w, N(b)) && topBit(w, N(a)) !== topBit(w, N(z))
    this.#setResult(
      w,
      z,
      (N(a) & 15n) + (N(b) & 15n) + carryIn > 15n,
      (N(a) + N(b) + carryIn) >> BigInt(w) !== 0n,
      overflow,
    )
  }
  flagsOfSub(w: Width, a: Val, b: Val, z: Val): void {
    const borrowIn = BigInt.asUintN(w, N(a) - N(b) - N(z))
    const overflow = topBit(w, N(a)) !== topBit(w, N(b)) && topBit(w, N(a)) !== topBit(w, N(z))
    this.#setResult(w, z, (N(a) & 15n) < (N(b) & 15n) + borrowIn, N(a) < N(b) + borrowIn, overflow)
  }
  flagsOfLogic = (w: Width, z: Val): void => this.#setResult(w, z, false, false, false)
  flagsOfResult = (w: Width, z: Val, af: Bool, cf: Bool, of: Bool): void =>
    this.#setResult(w, z, T(af), T(cf), T(of))
  condition(cc: Condition): Bool {
    const { CF, ZF, SF, OF, PF } = this.#m.flags
    const index = CONDITIONS.indexOf(cc)
    const positive = [OF, CF, ZF, CF || ZF, SF, PF, SF !== OF, ZF || SF !== OF][index >> 1]!
    return B(positive !== ((index & 1) === 1))
  }
  direction = (): Val => V(BigInt(this.#m.direction))

  get #stackMask(): bigint {
    return this.long ? this.#addressMask(64) : this.#addressMask(32)
  }
  stackPointer = (): Val => V(this.#m.gpr[4]! & this.#stackMask)
  setStackPointer(v: Val): void {
    this.#m.gpr[4] = N(v) & this.#stackMask
  }
  stackLoad = (w: Width, pointer: Val): Val => this.load(w, V(N(pointer) & this.#stackMask))
  stackStore = (w: Width, pointer: Val, v: Val): void => this.store(w, V(N(pointer) & this.#stackMask), v)

  #codeAddress(address: bigint): Val {
    return V(
      address & (this.long ? this.#addressMask(64) : this.#addressMask(this.#row.opSize === 16 ? 16 : 32)),
    )
  }
  nextRip = (): Val => this.#codeAddress(this.#m.rip + BigInt(this.#d.length))
  branchTarget = (): Val => this.#codeAddress(this.#m.rip + BigInt(this.#d.length + this.#d.imm))
  jump(target: Val): void {
    this.#m.rip = N(target)
    throw JUMPED
  }
  branch = (): void => this.jump(this.branchTarget())
  again(): void {
    throw AGAIN
  }

  addressReg = (n: number): Val => this.#readRegister(n, this.#d.addrSize as Width)
  setAddressReg = (n: number, v: Val): void =>
    this.#writeRegister(n, this.#d.addrSize as Width, this.zext(this.#d.addrSize as Width, v))
  atOnce = (): Val => V(0n)
  sourceAddress = (): Val => this.addressReg(6)
  destinationAddress = (): Val => this.addressReg(7)
}

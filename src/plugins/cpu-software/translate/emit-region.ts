/**
 * The reading of an instruction inside a region: registers are locals, operands and displacements are constants, and
 * whatever cannot go on leaves the region before the instruction has done anything; the interpreter then executes it.
 *
 * Flags are kept as the operands and the result that they come from, and made into values only where those are used.
 */
import { Emit } from '../read/emit.ts'
import type { CoreFunctions, HandlerFacts, OpenStore } from '../read/surroundings.ts'
import type { Bool, Condition, Flag, Operand, Val, Vocabulary, Width } from '../read/vocabulary.ts'
import { LAZY, STATE, UOP } from '../state.ts'
import type { Traced } from '../trace/emit-trace.ts'
import { CONST, type Expr, type FunctionWriter, i32, i64, load32, op } from '../wasm/encoder.ts'
import { add, and, eqz, leU, ltU, mul, or, or32, shl, shl32, shr, sub, wrap, xor } from '../wasm/operators.ts'
import { type FlagUse, WANTED, type Wanted } from './flags.ts'
import type { RegionRegisters } from './registers.ts'

/** Functions of the core that regions import. */
export interface RegionFunctions extends CoreFunctions {
  /** (state, linear page) → host address of the page to fetch from. */
  readonly regionPage: number
  /** (state) makes the words of what the state block says of the flags. */
  readonly settleFlags: number
  /** (state, target) → whether to poll: of a traced core, of every taken branch (trace/emit-trace.ts). */
  readonly trace: number | undefined
  readonly traced: Traced | undefined
}

/** What the flags are at some point of the code. */
export type FlagForm =
  /** What the state block says, in words or lazily. */
  | { readonly kind: 'state' }
  /** The three words of the state block. */
  | { readonly kind: 'words' }
  /** The lazy locals, in a way that is known. */
  | { readonly kind: 'lazy'; readonly way: number; readonly width: Width; readonly carriedIn: boolean }

/** What all instructions of a region share. */
export interface RegionFrame {
  readonly f: FunctionWriter
  readonly core: RegionFunctions
  readonly state: Expr
  readonly tlb: Expr
  readonly registers: RegionRegisters
  /** Linear address of the job's first page. */
  readonly origin: Expr
  readonly lazyA: number
  readonly lazyB: number
  readonly lazyZ: number
  /** Taken branches until the next poll. */
  readonly left: number
  flags: FlagForm
  /** Units that this block has required (requireUnit): what switches them off and on leaves the region. */
  readonly unitsOn: Set<number>
}

/** Leaves the region for an address, with registers and flags as they are here. `interpret`: its instruction must be interpreted. */
export function leaveRegion(frame: RegionFrame, rip: Expr, interpret: boolean): void {
  const { f, state, left } = frame
  frame.registers.store()
  storeFlags(frame)
  f.store64(8, state, rip, STATE.rip)
  f.return(or32(shl32(f.get(left, 'i32'), i32(1)), i32(interpret ? 1 : 0)))
}
/** Writes what the lazy locals say into the state block; `frame.flags` stays. */
export function storeFlags(frame: RegionFrame): void {
  const { flags, f, state } = frame
  if (flags.kind !== 'lazy') return
  const { way, width } = flags
  f.store32(4, state, i32(way * 4 + Math.log2(width / 8) + 1), STATE.lazyKind)
  if (way !== LAZY.logic) f.store64(8, state, f.get(frame.lazyA, 'i64'), STATE.lazyA)
  if (way === LAZY.add || way === LAZY.sub) f.store64(8, state, f.get(frame.lazyB, 'i64'), STATE.lazyB)
  f.store64(8, state, f.get(frame.lazyZ, 'i64'), STATE.lazyZ)
}

const V = (e: Expr): Val => e as unknown as Val
const B = (e: Expr): Bool => e as unknown as Bool
const E = (v: Val | Bool): Expr => v as unknown as Expr
const signExtend = (w: Width, e: Expr): Expr =>
  w === 64 ? e : op('i64', { 8: 0xc2, 16: 0xc3, 32: 0xc4 }[w], e)
const bitOf = (e: Expr, index: number): Expr => op('i32', 0x71, wrap(shr(e, i64(index))), i32(1))
const xor32 = (a: Expr, b: Expr): Expr => op('i32', 0x73, a, b)
const lowMask = (w: Width): Expr => i64((1n << BigInt(w)) - 1n)
const GPR_END = STATE.gpr + 16 * 8

export interface RegionInstruction {
  readonly uop: DataView
  /** Linear distance of the instruction, and of the one behind it, from the origin. */
  readonly from: number
  readonly behind: number
  readonly facts: HandlerFacts
  readonly key: string
  readonly width: Width
  readonly use: FlagUse
  readonly wanted: Wanted
  /** The address that the micro-op before made. */
  readonly address: Expr | undefined
  /** Goes to the block of a taken branch; to an address known only now. */
  readonly branch: () => void
  readonly jump: (target: Expr) => void
}

export class EmitRegion extends Emit {
  readonly #frame: RegionFrame
  readonly #i: RegionInstruction
  protected override readonly refusesSplits = true
  /** Depth of conditions in which a change of flags is not the only possibility. */
  #conditions = 0

  constructor(frame: RegionFrame, instruction: RegionInstruction) {
    const locals = { state: frame.state, uop: i32(0), page: i64(0), tlb: frame.tlb }
    super(frame.f, locals, frame.core, { kind: 'function' }, instruction.facts)
    this.#frame = frame
    this.#i = instruction
  }

  /** Writes the instruction; falling out of its end is going on behind it. */
  run(run: (s: Vocabulary) => void): void {
    const { use, wanted, facts } = this.#i
    if (use.conditional && wanted > WANTED.nothing) this.flagsToWords()
    if (facts.locked)
      this.#frame.registers.piece(true, () =>
        this.f.loop((retry) => {
          this.retry = retry
          run(this)
        }),
      )
    else run(this)
    this.done()
  }
  done(): void {
    for (const { local, type } of this.temporaries) this.f.release(local, type)
  }

  // The micro-op

  protected override field(offset: number, size: 1 | 2 | 4): Expr {
    const { uop } = this.#i
    if (size === 1) return i32(uop.getUint8(offset))
    return i32(size === 2 ? uop.getUint16(offset, true) : uop.getInt32(offset, true))
  }
  protected override immediate64(): Expr {
    return i64(this.#i.uop.getBigInt64(UOP.immediate64, true))
  }
  protected override displacement(): Expr {
    return i64(this.#i.uop.getInt32(UOP.displacement, true))
  }

  // The state block

  protected override wordAt(offset: Expr): Expr {
    return this.word64(offset.imm as number)
  }
  override word64(offset: number): Expr {
    const frame = this.#frame
    if (offset >= STATE.gpr && offset < GPR_END)
      return this.f.get(frame.registers.read((offset - STATE.gpr) / 8), 'i64')
    switch (offset) {
      case STATE.zero:
        return i64(0)
      case STATE.page:
        return add(frame.origin, i64(this.#i.from - this.#i.uop.getUint16(UOP.pageOffset, true)))
      case STATE.tmpAddress:
        return this.#i.address ?? i64(0)
    }
    return super.word64(offset)
  }
  #part(n: number, high: boolean, w: Width): Expr {
    const whole = this.f.get(this.#frame.registers.read(n), 'i64')
    const shifted = high ? shr(whole, i64(8)) : whole
    if (w === 64) return shifted
    return w === 32 ? op('i64', 0xad, wrap(shifted)) : and(shifted, lowMask(w))
  }
  #setPart(n: number, high: boolean, w: Width, v: Expr): void {
    const { registers } = this.#frame
    if (w >= 32) {
      this.f.set(registers.overwrite(n), v)
      return
    }
    const local = registers.update(n)
    const mask = ((1n << BigInt(w)) - 1n) << (high ? 8n : 0n)
    const kept = and(this.f.get(local, 'i64'), i64(~mask))
    const low = and(v, lowMask(w))
    this.f.set(local, or(kept, high ? shl(low, i64(8)) : low))
  }
  protected override readRegister(o: Operand, w: Width): Expr {
    const offset = this.#i.uop.getUint16(UOP.operand[o], true) - STATE.gpr
    return this.#part(offset >> 3, (offset & 1) === 1, w)
  }
  protected override writeRegister(o: Operand, w: Width, v: Expr): void {
    const offset = this.#i.uop.getUint16(UOP.operand[o], true) - STATE.gpr
    this.#setPart(offset >> 3, (offset & 1) === 1, w, v)
  }
  override reg(n: number, w: Width): Val {
    return V(this.fix(this.#part(n, false, w)))
  }
  override setReg(n: number, w: Width, v: Val): void {
    this.#setPart(n, false, w, E(v))
  }

  override requireUnit(fault: number, raise: () => void): void {
    const { unitsOn } = this.#frame
    if (!unitsOn.has(fault)) super.requireUnit(fault, raise)
    unitsOn.add(fault)
  }

  // Control

  /** Leaves before this instruction. */
  protected override leave(): void {
    leaveRegion(this.#frame, add(this.#frame.origin, i64(this.#i.from)), true)
  }
  protected override raiseIf(condition: Expr): void {
    this.f.ifUnlikely(condition, () => this.leave())
  }
  override fault(): void {
    this.leave()
  }
  override raise(): void {
    this.leave()
  }
  override assist(): void {
    this.leave()
  }
  override when(b: Bool, then: () => void, otherwise?: () => void): void {
    const condition = E(b)
    if (condition.op === CONST) {
      if (condition.imm !== 0) then()
      else otherwise?.()
      return
    }
    this.#conditions++
    this.#frame.registers.piece(true, () => super.when(b, then, otherwise))
    this.#conditions--
  }
  override nextRip(): Val {
    return V(this.fix(add(this.#frame.origin, i64(this.#i.behind))))
  }
  override branchTarget(): Val {
    return V(add(this.#frame.origin, add(i64(this.#i.behind), this.displacement())))
  }
  override jump(target: Val): void {
    this.#i.jump(E(target))
  }
  override branch(): void {
    this.#i.branch()
  }
  override again(): void {
    throw new Error('a repeated instruction is not translated')
  }
  override commitStore(_opened: OpenStore): void {}

  // Arithmetic that the interpreter calls functions for

  override mulHighU = (a: Val, b: Val): Val => V(this.#highProduct(E(a), E(b)))
  override mulHighS = (a: Val, b: Val): Val => {
    const [x, y] = [this.fix(E(a)), this.fix(E(b))]
    const high = this.#highProduct(x, y)
    const sign = (v: Expr) => op('i64', 0x87, v, i64(63))
    return V(sub(sub(high, and(sign(x), y)), and(sign(y), x)))
  }
  #highProduct(x: Expr, y: Expr): Expr {
    const low = i64(0xffff_ffffn)
    const [a, b] = [this.fix(x), this.fix(y)]
    const [al, ah, bl, bh] = [a, b].flatMap((v) => [this.fix(and(v, low)), this.fix(shr(v, i64(32)))]) as [
      Expr,
      Expr,
      Expr,
      Expr,
    ]
    const t = this.fix(add(mul(ah, bl), shr(mul(al, bl), i64(32))))
    const u = this.fix(add(and(t, low), mul(al, bh)))
    return this.fix(add(add(mul(ah, bh), shr(t, i64(32))), shr(u, i64(32))))
  }

  // Flags

  #lazy(way: number, width: Width, a: Expr | undefined, b: Expr | undefined, z: Expr): void {
    const frame = this.#frame
    const { f } = this
    if (a !== undefined) f.set(frame.lazyA, a)
    if (b !== undefined) f.set(frame.lazyB, b)
    f.set(frame.lazyZ, z)
    frame.flags = { kind: 'lazy', way, width, carriedIn: /^(ADC|SBB)$/.test(this.#i.key) }
  }
  override flagsOfAdd(w: Width, a: Val, b: Val, z: Val): void {
    if (this.#i.wanted === WANTED.nothing) return
    if (this.#conditions > 0) super.flagsOfAdd(w, a, b, z)
    else this.#lazy(LAZY.add, w, E(a), E(b), E(z))
  }
  override flagsOfSub(w: Width, a: Val, b: Val, z: Val): void {
    if (this.#i.wanted === WANTED.nothing) return
    if (this.#conditions > 0) super.flagsOfSub(w, a, b, z)
    else this.#lazy(LAZY.sub, w, E(a), E(b), E(z))
  }
  override flagsOfLogic(w: Width, z: Val): void {
    if (this.#i.wanted === WANTED.nothing) return
    if (this.#conditions > 0) super.flagsOfLogic(w, z)
    else this.#lazy(LAZY.logic, w, undefined, undefined, E(z))
  }
  override flagsOfResult(w: Width, z: Val, af: Bool, cf: Bool, of: Bool): void {
    if (this.#i.wanted === WANTED.nothing) return
    if (this.#conditions > 0) {
      super.flagsOfResult(w, z, af, cf, of)
      return
    }
    const bits = or32(or32(E(cf), op('i32', 0x74, E(of), i32(1))), op('i32', 0x74, E(af), i32(2)))
    this.#lazy(LAZY.result, w, op('i64', 0xad, bits), undefined, E(z))
  }
  override setFlags(flags: Partial<Record<Flag, Bool>>): void {
    if (this.#i.wanted === WANTED.nothing) return
    const isAll = Object.keys(flags).length === 6
    if (this.#conditions === 0) {
      if (isAll) setWords(this.#frame)
      else this.flagsToWords()
    }
    super.setFlags(flags)
  }
  /** Makes the three words true. */
  flagsToWords(): void {
    const frame = this.#frame
    const { flags, state } = frame
    if (flags.kind === 'words') return
    if (flags.kind === 'state') {
      const lazily = load32(4, state, STATE.lazyKind)
      this.f.ifUnlikely(lazily, () => this.f.do(frame.core.settleFlags, state))
      // Under a condition this is so on one way only.
      if (this.#conditions === 0) frame.flags = { kind: 'words' }
      return
    }
    const [a, b, z] = this.#operands()
    const w = flags.width
    setWords(frame)
    if (flags.way === LAZY.add) super.flagsOfAdd(w, V(a), V(b), V(z))
    else if (flags.way === LAZY.sub) super.flagsOfSub(w, V(a), V(b), V(z))
    else if (flags.way === LAZY.logic) super.flagsOfLogic(w, V(z))
    else super.flagsOfResult(w, V(z), B(bitOf(a, 2)), B(this.fix(bitOf(a, 0))), B(this.fix(bitOf(a, 1))))
  }
  #operands(): readonly [a: Expr, b: Expr, z: Expr] {
    const { lazyA, lazyB, lazyZ } = this.#frame
    return [this.f.get(lazyA, 'i64'), this.f.get(lazyB, 'i64'), this.f.get(lazyZ, 'i64')]
  }
  override flag(name: Flag): Bool {
    // Nobody wants what is made of it.
    if (this.#i.wanted === WANTED.nothing && !this.#i.use.reads) return B(i32(0))
    if (this.#frame.flags.kind === 'state') this.flagsToWords()
    const { flags } = this.#frame
    return flags.kind === 'lazy' ? B(this.fix(this.#flagOf(name, flags))) : super.flag(name)
  }
  #flagOf(name: Flag, { way, width, carriedIn }: FlagForm & { kind: 'lazy' }): Expr {
    const [a, b, z] = this.#operands()
    const top = width - 1
    const not = (e: Expr) => xor(e, i64(-1))
    switch (name) {
      case 'ZF':
        return eqz(z)
      case 'SF':
        return bitOf(z, top)
      case 'PF':
        return xor32(op('i32', 0x71, wrap(op('i64', 0x7b, and(z, i64(255)))), i32(1)), i32(1))
      case 'CF':
        if (way === LAZY.logic) return i32(0)
        if (way === LAZY.result) return bitOf(a, 0)
        if (!carriedIn) return way === LAZY.add ? ltU(z, a) : ltU(a, b)
        return way === LAZY.add
          ? bitOf(or(and(a, b), and(or(a, b), not(z))), top)
          : bitOf(or(and(not(a), b), and(not(xor(a, b)), z)), top)
      case 'OF':
        if (way === LAZY.logic) return i32(0)
        if (way === LAZY.result) return bitOf(a, 1)
        return bitOf(way === LAZY.add ? and(xor(a, z), xor(b, z)) : and(xor(a, b), xor(a, z)), top)
      case 'AF':
        if (way === LAZY.logic) return i32(0)
        if (way === LAZY.result) return bitOf(a, 2)
        return bitOf(xor(xor(a, b), z), 4)
    }
  }
  override condition(cc: Condition): Bool {
    const fused = this.#fused(cc)
    return fused === undefined ? super.condition(cc) : B(this.fix(fused))
  }
  /** Comparisons of the operands themselves. */
  #fused(cc: Condition): Expr | undefined {
    const { flags } = this.#frame
    if (flags.kind !== 'lazy') return undefined
    const [a, b, z] = this.#operands()
    const { way, width } = flags
    const negative = cc !== 'NO' && /^(N|AE$|A$|GE$|G$)/.test(cc)
    const positive = { AE: 'B', A: 'BE', GE: 'L', G: 'LE' }[cc as string] ?? cc.replace(/^N/, '')
    const answer = (e: Expr) => (negative ? op('i32', 0x45, e) : e)
    if (positive === 'E') return answer(eqz(z))
    if (way === LAZY.sub && !flags.carriedIn) {
      const [sa, sb] = [signExtend(width, a), signExtend(width, b)]
      if (positive === 'B') return answer(ltU(a, b))
      if (positive === 'BE') return answer(leU(a, b))
      if (positive === 'L') return answer(op('i32', 0x53, sa, sb))
      if (positive === 'LE') return answer(op('i32', 0x57, sa, sb))
    }
    if (way === LAZY.logic) {
      if (positive === 'BE') return answer(eqz(z))
      if (positive === 'L' || positive === 'S') return answer(op('i32', 0x53, signExtend(width, z), i64(0)))
      if (positive === 'LE') return answer(op('i32', 0x57, signExtend(width, z), i64(0)))
    }
    return undefined
  }
}

/** The words are about to be written. */
function setWords(frame: RegionFrame): void {
  frame.f.store32(4, frame.state, i32(0), STATE.lazyKind)
  frame.flags = { kind: 'words' }
}

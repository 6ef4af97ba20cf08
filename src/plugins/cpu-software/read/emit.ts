/**
 * The emitting reading: a value is WebAssembly code.
 *
 * One `Emit` writes one handler of the interpreter: operands are read through the fields of the current
 * micro-op. Inline handlers live in the big function and leave by branching to its labels; out-of-line
 * handlers are functions of their own and leave with an OUTCOME. What is `protected` is read otherwise by the
 * region translator, which has constants and locals in place of micro-op and state block (translate/emit-region.ts).
 * Long because it is one class, a method for each word of the vocabulary.
 */

import { MACHINE_LOCK } from '../../../base/machine-memory.ts'
import { OUTCOME, SEGMENT, STATE, TLB_ENTRIES, TLB_ENTRY, UOP } from '../state.ts'
import {
  atomicCmpxchg32,
  atomicCmpxchg64,
  atomicLoad64,
  type Expr,
  type FunctionWriter,
  i32,
  i64,
  type Label,
  load32,
  load64,
  op,
} from '../wasm/encoder.ts'
import {
  add,
  add32,
  and,
  and32,
  clz,
  ctz,
  divS,
  divU,
  eq,
  eqz,
  gtS32,
  ltS,
  ltU,
  ltU32,
  mul,
  ne,
  ne32,
  not32,
  or,
  or32,
  popcnt,
  remS,
  remU,
  rotl,
  sar,
  select,
  shl,
  shr,
  shr32,
  sub,
  sub32,
  widen,
  wrap,
  xor,
  xor32,
} from '../wasm/operators.ts'
import type { CoreFunctions, HandlerFacts, OpenStore, Place } from './surroundings.ts'
import {
  type Bool,
  CONDITIONS,
  type Condition,
  EXCEPTION,
  type Flag,
  type Operand,
  type Val,
  type Vocabulary,
  type Width,
} from './vocabulary.ts'

const V = (e: Expr): Val => e as unknown as Val
const B = (e: Expr): Bool => e as unknown as Bool
const E = (v: Val | Bool): Expr => v as unknown as Expr

/** Sign-extending operators by the width they extend from (core specification, 5.4.7). */
const EXTEND = { 8: 0xc2, 16: 0xc3, 32: 0xc4 } as const
const EXTEND_S = 0xac
/** DF in the system flags. */
const DIRECTION = 0x400
/** Elements that are not worth a bulk operation. */
const FEW = 4
const bytes = (w: Width) => (w / 8) as 1 | 2 | 4 | 8
const isConst = (e: Expr): boolean => e.op === -1

/** Words of the vocabulary that are one operator. */
const one =
  (operator: (a: Expr) => Expr) =>
  (a: Val): Val =>
    V(operator(E(a)))
const two =
  (operator: (a: Expr, b: Expr) => Expr) =>
  (a: Val, b: Val): Val =>
    V(operator(E(a), E(b)))
const test =
  (operator: (a: Expr, b: Expr) => Expr) =>
  (a: Val, b: Val): Bool =>
    B(operator(E(a), E(b)))

export class Emit implements Vocabulary {
  readonly long: boolean
  readonly f: FunctionWriter
  readonly #state: Expr
  readonly #uop: Expr
  readonly #page: Expr
  readonly #tlb: Expr
  protected readonly core: CoreFunctions
  readonly #place: Place
  protected readonly facts: HandlerFacts
  /** Whether locked operations on misaligned operands leave the handler. */
  protected readonly refusesSplits: boolean = false
  /** Host addresses of registers, linear addresses of memory operands: computed once. */
  readonly #slots: (Expr | undefined)[] = []
  readonly #addresses: (Expr | undefined)[] = []
  readonly #displaced: (Expr | undefined)[] = []
  /** A memory operand opened for read and write. */
  readonly #opened: (OpenStore | undefined)[] = []
  /** LOCK: the old value and where to go back when the exchange fails. */
  protected lockedOld: Expr | undefined
  /** 1 when the operand is misaligned. */
  protected split: Expr | undefined
  protected retry: Label | undefined
  #width: Width = 64
  protected temporaries: { local: number; type: Expr['type'] }[] = []

  constructor(
    f: FunctionWriter,
    locals: { state: Expr; uop: Expr; page: Expr; tlb: Expr },
    core: CoreFunctions,
    place: Place,
    facts: HandlerFacts,
  ) {
    this.f = f
    this.#state = locals.state
    this.#uop = locals.uop
    this.#page = locals.page
    this.#tlb = locals.tlb
    this.core = core
    this.#place = place
    this.facts = facts
    this.long = facts.long
  }

  /** Writes the whole handler: the meaning, then the way on. */
  handler(run: (s: Vocabulary) => void, width: Width): void {
    this.#width = width
    for (const o of [0, 1, 2] as const) if (this.facts.kinds[o] === 'r') this.#slot(o)
    if (this.facts.locked)
      this.f.loop((retry) => {
        this.retry = retry
        run(this)
      })
    else run(this)
    this.#next()
    for (const { local, type } of this.temporaries) this.f.release(local, type)
  }

  #next(): void {
    if (this.#place.kind === 'function') this.f.return(i32(OUTCOME.next))
    else {
      this.f.set(this.#uop.imm as number, add32(this.#uop, i32(UOP.size)))
      this.f.br(this.#place.next)
    }
  }
  protected fix(e: Expr): Expr {
    if (isConst(e)) return e
    const local = this.f.local(e.type)
    this.temporaries.push({ local, type: e.type })
    this.f.set(local, e)
    return this.f.get(local, e.type)
  }
  protected variable(e: Expr): number {
    const local = this.temporary(e.type)
    this.f.set(local, e)
    return local
  }
  /** A local without a value, until the end of the handler. */
  protected temporary(type: Expr['type']): number {
    const local = this.f.local(type)
    this.temporaries.push({ local, type })
    return local
  }
  /** A field of the micro-op. */
  protected field(offset: number, size: 1 | 2 | 4): Expr {
    return load32(size, this.#uop, offset)
  }
  protected immediate64(): Expr {
    return load64(8, this.#uop, UOP.immediate64)
  }
  protected displacement(): Expr {
    return load64(4, this.#uop, UOP.displacement, true)
  }
  /** A word of the state block, at an offset that the micro-op names or that is known. */
  protected wordAt(offset: Expr): Expr {
    return load64(8, add32(this.#state, offset))
  }
  word64(offset: number): Expr {
    return load64(8, this.#state, offset)
  }
  setWord64(offset: number, v: Expr): void {
    this.f.store64(8, this.#state, v, offset)
  }

  const(n: bigint | number): Val {
    return V(i64(n))
  }
  add = two(add)
  sub = two(sub)
  mul = two(mul)
  and = two(and)
  or = two(or)
  xor = two(xor)
  not = (a: Val): Val => this.xor(a, this.const(-1))
  neg = (a: Val): Val => this.sub(this.const(0), a)
  shl = two(shl)
  shr = two(shr)
  sar = two(sar)
  rotl = two(rotl)
  clz = one(clz)
  ctz = one(ctz)
  popcnt = one(popcnt)
  divU = two(divU)
  remU = two(remU)
  divS = two(divS)
  remS = two(remS)
  mulHighU = (a: Val, b: Val): Val => V(this.f.call(this.core.mulHighU, 'i64', E(a), E(b)))
  mulHighS = (a: Val, b: Val): Val => V(this.f.call(this.core.mulHighS, 'i64', E(a), E(b)))
  divWide(hi: Val, lo: Val, d: Val): readonly [Val, Val] {
    this.f.do(this.core.divWide, this.#state, E(hi), E(lo), E(d))
    return [V(this.fix(this.word64(STATE.quotient))), V(this.fix(this.word64(STATE.remainder)))]
  }
  zext(w: Width, a: Val): Val {
    if (w === 64) return a
    if (w === 32) return V(widen(wrap(E(a))))
    return this.and(a, this.const((1 << w) - 1))
  }
  sext(w: Width, a: Val): Val {
    return w === 64 ? a : V(op('i64', EXTEND[w], E(a)))
  }

  eq = test(eq)
  ne = test(ne)
  ltU = test(ltU)
  ltS = test(ltS)
  isZero = (a: Val): Bool => B(eqz(E(a)))
  bit(a: Val, index: Val | number): Bool {
    const at = typeof index === 'number' ? this.const(index) : index
    return B(and32(wrap(E(this.shr(a, at))), i32(1)))
  }
  allOf = (...conditions: Bool[]): Bool => B(conditions.map(E).reduce((a, b) => and32(a, b)))
  anyOf = (...conditions: Bool[]): Bool => B(conditions.map(E).reduce((a, b) => or32(a, b)))
  differ = (a: Bool, b: Bool): Bool => B(xor32(E(a), E(b)))
  isNot = (a: Bool): Bool => B(not32(E(a)))
  word = (b: Bool): Val => V(widen(E(b)))
  select = (b: Bool, then: Val, otherwise: Val): Val => V(select(E(b), E(then), E(otherwise)))
  keep = (a: Val): Val => V(this.fix(E(a)))
  keepBool = (b: Bool): Bool => B(this.fix(E(b)))
  when(b: Bool, then: () => void, otherwise?: () => void): void {
    this.f.if(E(b), then, otherwise)
  }
  fault(exception: keyof typeof EXCEPTION, errorCode?: Val): void {
    this.f.store32(4, this.#state, i32(EXCEPTION[exception]), STATE.faultVector)
    this.f.store32(4, this.#state, errorCode === undefined ? i32(0) : wrap(E(errorCode)), STATE.faultError)
    this.leave()
  }
  protected leave(): void {
    if (this.#place.kind === 'function') this.f.return(i32(OUTCOME.fault))
    else this.f.br(this.#place.fault)
  }
  protected raiseIf(condition: Expr): void {
    if (this.#place.kind === 'function') this.f.ifUnlikely(condition, () => this.leave())
    else this.f.brIf(condition, this.#place.fault)
  }

  /** Raises the exception that instructions of a unit raise now, if any: `fault` is where the state block says which. */
  requireUnit(fault: number, raise: () => void): void {
    this.f.ifUnlikely(load32(4, this.#state, fault), raise)
  }
  isMemory = (o: Operand): boolean => this.facts.kinds[o] === 'm'
  isImmediate = (o: Operand): boolean => this.facts.kinds[o] === 'i' || this.facts.kinds[o] === 'I'

  /** The state block, and the host address of a register operand in it. */
  get state(): Expr {
    return this.#state
  }
  slot(o: Operand): Expr {
    return this.#slot(o)
  }
  /** A 16-bit field of the micro-op; the sign-extended immediate. */
  uopField(offset: number): Expr {
    return this.field(offset, 2)
  }
  immediate(): Expr {
    return this.field(UOP.immediate, 4)
  }
  /** Ends the instruction with the exception recorded in the state block. */
  raise(): void {
    this.leave()
  }

  /** Leaves the whole instruction to its assist, having changed nothing. Its memory operand is at tmpAddress. */
  assist(): void {
    const at = (bytes: Expr): Expr => add(this.#page, widen(bytes))
    const offset = this.field(UOP.pageOffset, 2)
    this.setWord64(STATE.rip, at(offset))
    this.setWord64(STATE.nextRip, at(add32(offset, this.field(UOP.length, 1))))
    for (const o of [0, 1, 2] as const)
      if (this.isMemory(o)) this.setWord64(STATE.tmpAddress, E(this.linearAddress(o)))
    this.f.return(this.f.call(this.core.assist, 'i32', this.#uop))
  }

  #slot(o: Operand): Expr {
    this.#slots[o] ??= this.fix(add32(this.#state, this.field(UOP.operand[o], 2)))
    return this.#slots[o]
  }
  protected readRegister(o: Operand, w: Width): Expr {
    return load64(bytes(w), this.#slot(o))
  }
  protected writeRegister(o: Operand, w: Width, v: Expr): void {
    this.f.store64(w === 32 ? 8 : bytes(w), this.#slot(o), v)
  }
  read(o: Operand, w: Width): Val {
    const kind = this.facts.kinds[o]
    if (kind === 'i') return this.zext(w, V(op('i64', EXTEND_S, this.immediate())))
    if (kind === 'I') return V(this.immediate64())
    if (kind === 'r') return V(this.fix(this.readRegister(o, w)))
    const address = E(this.linearAddress(o))
    if (this.facts.access[o] !== 'rw') return this.load(w, V(address))
    const opened = this.openStore(address, w / 8, true)
    const { host } = opened
    this.#opened[o] = opened
    if (!this.facts.locked) return V(this.fix(load64(bytes(w), host)))
    const old = this.variable(i64(0))
    const atomic = () => this.f.set(old, atomicLoad64(bytes(w), host))
    if (w === 8) atomic()
    else {
      // A misaligned atomic access traps in WebAssembly: such an operand is exchanged under the machine's lock.
      this.split = this.fix(ne32(and32(wrap(address), i32(w / 8 - 1)), i32(0)))
      if (this.refusesSplits) {
        this.raiseIf(this.split)
        this.split = undefined
        atomic()
      } else
        this.f.if(
          this.split,
          () => {
            this.#takeLock()
            // Opened again: of a page-crosser the bytes read before the lock may be old. It cannot fault any more.
            const again = this.openStore(address, w / 8, true)
            this.f.set(opened.host.imm as number, again.host)
            this.f.set(opened.slow.imm as number, again.slow)
            this.f.set(old, load64(bytes(w), host))
          },
          atomic,
        )
    }
    this.lockedOld = this.f.get(old, 'i64')
    return V(this.lockedOld)
  }
  #takeLock(): void {
    this.f.loop((again) => this.f.brIf(atomicCmpxchg32(i32(MACHINE_LOCK), i32(0), i32(1)), again))
  }
  write(o: Operand, w: Width, v: Val): void {
    if (this.facts.kinds[o] === 'r') {
      this.writeRegister(o, w, E(v))
      return
    }
    const opened = this.#opened[o]
    if (opened === undefined) {
      this.store(w, this.linearAddress(o), v)
      return
    }
    const { host } = opened
    if (!this.facts.locked) {
      this.f.store64(bytes(w), host, E(v))
      this.commitStore(opened)
      return
    }
    const value = this.fix(E(v))
    const old = this.lockedOld!
    const exchange = () => this.f.brIf(ne(atomicCmpxchg64(bytes(w), host, old, value), old), this.retry!)
    if (this.split === undefined) exchange()
    else this.f.if(this.split, () => this.f.store64(bytes(w), host, value), exchange)
    this.commitStore(opened)
    if (this.split !== undefined) this.f.if(this.split, () => this.f.atomicStore32(i32(MACHINE_LOCK), i32(0)))
  }
  effectiveAddress(_o: Operand): Val {
    const base = this.wordAt(this.field(UOP.base, 2))
    const index = this.wordAt(this.field(UOP.index, 2))
    const scaled = shl(index, widen(this.field(UOP.scale, 1)))
    return V(add(add(base, this.displacement()), scaled))
  }
  linearAddress(o: Operand): Val {
    if (this.#addresses[o] === undefined) {
      const address = E(this.effectiveAddress(o))
      const moved = this.#displaced[o]
      this.#addresses[o] = this.fix(moved === undefined ? address : this.#wrapped(add(address, moved)))
    }
    return V(this.#addresses[o])
  }
  /** A displaced address, in the size that addresses have: the micro-op's mask. */
  #wrapped(address: Expr): Expr {
    return and(address, this.immediate64())
  }
  displace(o: Operand, by: Val): void {
    this.#displaced[o] = E(by)
  }

  #register(n: number, w: Width): { offset: number; size: 1 | 2 | 4 | 8 } {
    return { offset: STATE.gpr + n * 8, size: bytes(w) }
  }
  reg(n: number, w: Width): Val {
    const { offset, size } = this.#register(n, w)
    return V(this.fix(load64(size, this.#state, offset)))
  }
  setReg(n: number, w: Width, v: Val): void {
    const { offset, size } = this.#register(n, w)
    this.f.store64(w === 32 ? 8 : size, this.#state, E(v), offset)
  }

  /** The TLB entry of a linear address. */
  #entry(address: Expr): Expr {
    const shift = 12 - Math.log2(TLB_ENTRY.size)
    const index = and32(shr32(wrap(address), i32(shift)), i32((TLB_ENTRIES - 1) * TLB_ENTRY.size))
    return this.fix(add32(this.#tlb, index))
  }
  /** True when the entry's tag covers the whole access; page-crossers compare unequal. */
  #misses(entry: Expr, tag: number, address: Expr, size: number): Expr {
    const last = size === 1 ? address : add(address, i64(size - 1))
    const page = and(last, i64(-4096))
    return ne(load64(8, entry, tag), page)
  }
  #hostHit(entry: Expr, address: Expr): Expr {
    return add32(wrap(address), load32(4, entry, TLB_ENTRY.addend))
  }
  /**
   * Host address by the TLB's entry, or by a function that answers 0 for a fault. It is made on each way by itself: one that
   * is there before the branch is kept on V8's stack for the sake of the call, also where none is made.
   */
  #open(entry: Expr, address: Expr, misses: Expr, slowly: Expr): Expr {
    const host = this.temporary('i32')
    this.f.if(
      misses,
      () => {
        this.f.set(host, slowly)
        this.raiseIf(not32(this.f.get(host, 'i32')))
      },
      () => this.f.set(host, this.#hostHit(entry, address)),
      true,
    )
    return this.f.get(host, 'i32')
  }
  /** Host address to read `size` bytes from; faults leave the handler. */
  openLoad(address: Expr, size: number): Expr {
    const entry = this.#entry(address)
    const misses = this.#misses(entry, TLB_ENTRY.readTag, address, size)
    const slowly = this.f.call(this.core.loadSlow, 'i32', this.#state, address, i32(size))
    return this.#open(entry, address, misses, slowly)
  }
  /** Host address to store to; `commitStore` must follow the store. */
  openStore(address: Expr, size: number, preload: boolean): OpenStore {
    const entry = this.#entry(address)
    const slow = this.fix(this.#misses(entry, TLB_ENTRY.writeTag, address, size))
    const before = i32(preload ? 1 : 0)
    const slowly = this.f.call(this.core.storeOpen, 'i32', this.#state, address, i32(size), before)
    return { host: this.#open(entry, address, slow, slowly), slow }
  }
  commitStore(opened: OpenStore): void {
    this.f.ifUnlikely(opened.slow, () => this.f.do(this.core.storeCommit, this.#state))
  }
  load(w: Width, address: Val): Val {
    return V(this.fix(load64(bytes(w), this.openLoad(this.fix(E(address)), w / 8))))
  }
  store(w: Width, address: Val, v: Val): void {
    const value = this.fix(E(v))
    const opened = this.openStore(this.fix(E(address)), w / 8, false)
    this.f.store64(bytes(w), opened.host, value)
    this.commitStore(opened)
  }

  flag(f: Flag): Bool {
    const carries = this.word64(STATE.flagCarries)
    switch (f) {
      case 'CF':
        return this.keepBool(B(wrap(shr(carries, i64(63)))))
      case 'OF': {
        const c = this.fix(carries)
        return this.keepBool(B(wrap(shr(xor(c, shl(c, i64(1))), i64(63)))))
      }
      case 'ZF':
        return this.keepBool(B(eqz(this.word64(STATE.flagResult))))
      case 'SF':
        return this.keepBool(
          B(wrap(shr(xor(this.word64(STATE.flagResult), this.word64(STATE.flagFixes)), i64(63)))),
        )
      case 'PF': {
        const ones = wrap(popcnt(and(this.word64(STATE.flagResult), i64(255))))
        const fix = shr32(wrap(this.word64(STATE.flagFixes)), i32(2))
        return this.keepBool(B(and32(xor32(xor32(ones, fix), i32(1)), i32(1))))
      }
      case 'AF':
        return this.keepBool(B(and32(shr32(wrap(this.word64(STATE.flagFixes)), i32(4)), i32(1))))
    }
  }
  /** carries with the given CF and OF. */
  protected carriesOf(cf: Bool, of: Bool): Expr {
    const c = this.fix(widen(E(cf)))
    const o = widen(E(of))
    return or(shl(c, i64(63)), shl(xor(c, o), i64(62)))
  }
  setFlags(flags: Partial<Record<Flag, Bool>>): void {
    const { CF, OF } = flags
    const others =
      flags.ZF !== undefined || flags.SF !== undefined || flags.PF !== undefined || flags.AF !== undefined
    let result: Expr | undefined
    let fixes: Expr | undefined
    if (others) {
      const value = (f: 'ZF' | 'SF' | 'PF' | 'AF') => this.fix(widen(E(flags[f] ?? this.flag(f))))
      const zf = value('ZF')
      const sf = value('SF')
      const pf = value('PF')
      const af = value('AF')
      // result is 0 or 1; the low byte's parity is then that of ZF, and the fixes say where SF and PF differ.
      result = this.fix(xor(zf, i64(1)))
      const parity = shl(xor(pf, zf), i64(2))
      fixes = this.fix(or(or(parity, shl(af, i64(4))), shl(sf, i64(63))))
    }
    if (CF !== undefined || OF !== undefined)
      this.setWord64(STATE.flagCarries, this.carriesOf(CF ?? this.flag('CF'), OF ?? this.flag('OF')))
    if (result !== undefined && fixes !== undefined) {
      this.setWord64(STATE.flagResult, result)
      this.setWord64(STATE.flagFixes, fixes)
    }
  }
  #aligned(w: Width, vector: Expr): Expr {
    return w === 64 ? vector : shl(vector, i64(64 - w))
  }
  protected arithmetic(w: Width, a: Val, b: Val, z: Val, vector: Expr): void {
    this.setWord64(STATE.flagCarries, this.#aligned(w, vector))
    this.setWord64(STATE.flagResult, E(this.sext(w, z)))
    this.setWord64(STATE.flagFixes, E(this.and(this.xor(this.xor(a, b), z), this.const(16))))
  }
  flagsOfAdd(w: Width, a: Val, b: Val, z: Val): void {
    // Carry out of each bit: both set, or one set and the sum bit clear.
    const vector = this.or(this.and(a, b), this.and(this.or(a, b), this.not(z)))
    this.arithmetic(w, a, b, z, E(vector))
  }
  flagsOfSub(w: Width, a: Val, b: Val, z: Val): void {
    const vector = this.or(this.and(this.not(a), b), this.and(this.not(this.xor(a, b)), z))
    this.arithmetic(w, a, b, z, E(vector))
  }
  flagsOfLogic(w: Width, z: Val): void {
    this.setWord64(STATE.flagCarries, i64(0))
    this.setWord64(STATE.flagResult, E(this.sext(w, z)))
    this.setWord64(STATE.flagFixes, i64(0))
  }
  flagsOfResult(w: Width, z: Val, af: Bool, cf: Bool, of: Bool): void {
    this.setWord64(STATE.flagCarries, this.carriesOf(cf, of))
    this.setWord64(STATE.flagResult, E(this.sext(w, z)))
    this.setWord64(STATE.flagFixes, E(this.shl(this.word(af), this.const(4))))
  }
  condition(cc: Condition): Bool {
    const index = CONDITIONS.indexOf(cc)
    const positive = this.#positive(index & ~1)
    return index & 1 ? this.isNot(positive) : positive
  }
  #positive(index: number): Bool {
    const less = () => this.differ(this.flag('SF'), this.flag('OF'))
    switch (index) {
      case 0:
        return this.flag('OF')
      case 2:
        return this.flag('CF')
      case 4:
        return this.flag('ZF')
      case 6:
        return this.anyOf(this.flag('CF'), this.flag('ZF'))
      case 8:
        return this.flag('SF')
      case 10:
        return this.flag('PF')
      case 12:
        return less()
      default:
        return this.anyOf(this.flag('ZF'), less())
    }
  }
  direction(): Val {
    // DF is bit 10: 1 - 2 * DF.
    const df = this.and(this.shr(V(this.word64(STATE.systemFlags)), this.const(9)), this.const(2))
    return this.sub(this.const(1), df)
  }

  stackPointer(): Val {
    const rsp = this.reg(4, 64)
    return this.long ? rsp : V(this.fix(and(E(rsp), this.word64(STATE.stackMask))))
  }
  setStackPointer(v: Val): void {
    if (this.long) {
      this.setReg(4, 64, v)
      return
    }
    const mask = this.fix(this.word64(STATE.stackMask))
    const kept = and(E(this.reg(4, 64)), xor(mask, i64(-1)))
    this.setReg(4, 64, V(or(kept, and(E(v), mask))))
  }
  #stackAddress(w: Width, pointer: Val, write: boolean): Expr {
    if (this.long) return E(pointer)
    const offset = and(E(pointer), this.word64(STATE.stackMask))
    return this.segmented(i32(SEGMENT.SS), offset, i32(w / 8), write)
  }
  stackLoad(w: Width, pointer: Val): Val {
    return this.load(w, V(this.#stackAddress(w, pointer, false)))
  }
  stackStore(w: Width, pointer: Val, v: Val): void {
    const value = this.fix(E(v))
    this.store(w, V(this.#stackAddress(w, pointer, true)), V(value))
  }
  /** Linear address of segment:offset, checked. */
  segmented(segment: Expr, offset: Expr, size: Expr, write: boolean | Expr): Expr {
    const flag = typeof write === 'boolean' ? i32(write ? 1 : 0) : write
    const linear = this.fix(
      this.f.call(this.core.segmentAddress, 'i64', this.#state, segment, offset, size, flag),
    )
    this.raiseIf(eq(linear, i64(-1)))
    return linear
  }

  nextRip(): Val {
    return V(this.fix(this.#ripAfter(i64(0))))
  }
  /** Instruction pointer after this instruction, plus something: relative to the code segment outside 64-bit code. */
  #ripAfter(more: Expr): Expr {
    const offset = widen(add32(this.field(UOP.pageOffset, 2), this.field(UOP.length, 1)))
    const next = add(add(this.#page, offset), more)
    if (this.long) return next
    const mask = this.#width === 16 ? 0xffffn : 0xffffffffn
    return and(sub(next, this.word64(STATE.segBase + SEGMENT.CS * 8)), i64(mask))
  }
  branchTarget(): Val {
    return V(this.#ripAfter(this.displacement()))
  }
  jump(target: Val): void {
    if (this.#place.kind === 'function') {
      const linear = this.long
        ? E(target)
        : widen(wrap(add(E(target), this.word64(STATE.segBase + SEGMENT.CS * 8))))
      this.setWord64(STATE.rip, linear)
      this.f.return(i32(OUTCOME.jump))
      return
    }
    this.f.set(this.#place.target, E(target))
    this.f.br(this.#place.jump)
  }
  branch(): void {
    if (this.#place.kind === 'function') {
      this.jump(this.branchTarget())
      return
    }
    const { f } = this
    const { fuel, target, next, jumpLink } = this.#place
    // A known target on the same page is gone to at once while there is fuel.
    const link = this.fix(load32(4, this.#uop, UOP.link))
    f.set(fuel, sub32(f.get(fuel, 'i32'), i32(1)))
    f.if(and32(ne32(link, i32(0)), gtS32(f.get(fuel, 'i32'), i32(0))), () => {
      f.set(this.#uop.imm as number, link)
      f.br(next)
    })
    f.set(target, E(this.branchTarget()))
    f.br(jumpLink)
  }
  again(): void {
    if (this.#place.kind === 'function') {
      this.f.return(i32(OUTCOME.again))
      return
    }
    const { fuel, next, jump, target, noBranch } = this.#place
    this.f.set(fuel, sub32(this.f.get(fuel, 'i32'), i32(1)))
    this.f.brIf(gtS32(this.f.get(fuel, 'i32'), i32(0)), next)
    this.f.set(target, add(this.#page, widen(this.field(UOP.pageOffset, 2))))
    noBranch?.()
    this.f.br(jump)
  }

  /** Upwards, within a page of plain memory on either side that the TLB knows; of a pattern only bytes that are all alike. */
  atOnce(w: Width, what: 'move' | 'store'): Val {
    if (!this.long || this.facts.addressSize !== 64) return this.const(0)
    const { f } = this
    const shift = Math.log2(w / 8)
    const done = this.variable(i64(0))
    const room = (address: Expr): Expr => shr(sub(i64(4096), and(address, i64(4095))), i64(shift))
    const least = (a: Expr, b: Expr): Expr => select(ltU(a, b), a, b)
    f.block((no) => {
      const downwards = and32(load32(4, this.#state, STATE.systemFlags), i32(DIRECTION))
      f.brIf(downwards, no)
      const to = this.fix(E(this.destinationAddress()))
      const entry = this.#entry(to)
      f.brIf(this.#misses(entry, TLB_ENTRY.writeTag, to, 1), no)
      const target = this.fix(this.#hostHit(entry, to))
      let count = this.fix(least(E(this.addressReg(1)), room(to)))
      if (what === 'move') {
        const from = this.fix(E(this.sourceAddress()))
        const other = this.#entry(from)
        f.brIf(this.#misses(other, TLB_ENTRY.readTag, from, 1), no)
        count = this.fix(least(count, room(from)))
        f.brIf(ltU(count, i64(FEW)), no)
        const bytes = this.fix(wrap(shl(count, i64(shift))))
        const source = this.fix(this.#hostHit(other, from))
        // A target a little above its source repeats what was just stored.
        f.brIf(ltU32(sub32(target, source), bytes), no)
        f.copy(target, source, bytes)
      } else {
        f.brIf(ltU(count, i64(FEW)), no)
        const value = this.fix(E(this.reg(0, w)))
        const byte = and(value, i64(255))
        const alike = 0x0101_0101_0101_0101n & ((1n << BigInt(w)) - 1n)
        if (w > 8) f.brIf(ne(mul(byte, i64(alike)), value), no)
        f.fill(target, wrap(byte), wrap(shl(count, i64(shift))))
      }
      f.set(done, count)
    })
    return V(f.get(done, 'i64'))
  }

  addressReg(n: number): Val {
    const size = this.facts.addressSize
    return this.reg(n, size)
  }
  setAddressReg(n: number, v: Val): void {
    const size = this.facts.addressSize
    this.setReg(n, size, this.zext(size, v))
  }
  sourceAddress(): Val {
    const offset = this.addressReg(6)
    if (this.long) {
      // `base` holds the offset of the segment base in the state block.
      const segment = this.wordAt(this.field(UOP.base, 2))
      return V(this.fix(add(segment, E(offset))))
    }
    return V(this.segmented(this.field(UOP.operand[0], 2), E(offset), this.field(UOP.scale, 1), false))
  }
  destinationAddress(): Val {
    const offset = this.addressReg(7)
    if (this.long) return offset
    // Reading forms check for reading only; a destination that is compared is in ES all the same.
    return V(
      this.segmented(i32(SEGMENT.ES), E(offset), this.field(UOP.scale, 1), this.field(UOP.operand[1], 2)),
    )
  }
}

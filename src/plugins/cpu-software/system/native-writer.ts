/**
 * What the common ways through system instructions are written with: WebAssembly by hand, for 64-bit code only.
 *
 * Each of them reads and checks everything before it changes anything, and gives up at the first sign of something
 * uncommon, a fault included: the assist in TypeScript then does the whole instruction. So the rare ways, error
 * codes and the order of checks are written once, there.
 */
import { UNUSABLE } from '../cpu-state.ts'
import { FLAG } from '../isa/row.ts'
import {
  type CounterName,
  counterOffset,
  SEGMENT,
  STATE,
  TLB_ENTRIES,
  TLB_ENTRY,
  TLB_SUPERVISOR,
  TLB_USER,
} from '../state.ts'
import { type Expr, type FunctionWriter, i32, i64, load32, load64, op } from '../wasm/encoder.ts'
import {
  add,
  add32,
  and,
  and32,
  ltU32,
  ne,
  ne32,
  not32,
  or,
  or32,
  select,
  shl,
  shl32,
  shr,
  shr32,
  widen,
  wrap,
} from '../wasm/operators.ts'
import { ATTRIBUTE } from './descriptors.ts'

type Word = keyof typeof STATE
type Size = 1 | 2 | 4 | 8

/** Functions of the core that the common ways call. */
export interface NativeFunctions {
  /** (state, address, size) → host address, or 0 for a fault. */
  readonly loadSlow: number
  /** (state) drops all translations. */
  readonly flush: number
  /** (state) → RFLAGS as PUSHF shows them. */
  readonly flagsImage: number
  /** (state, RFLAGS) */
  readonly setFlagsImage: number
}

const GRANULAR = 0x8000
/** DPL 3 in the attributes. */
const DPL = 0x60

export abstract class NativeWriter {
  readonly f: FunctionWriter
  readonly state: Expr
  readonly core: NativeFunctions

  constructor(f: FunctionWriter, state: Expr, core: NativeFunctions) {
    this.f = f
    this.state = state
    this.core = core
  }
  /** Leaves the function; the TypeScript side takes over. */
  abstract giveUp(): void
  giveUpIf(condition: Expr): void {
    this.f.if(condition, () => this.giveUp())
  }
  giveUpUnless(condition: Expr): void {
    this.giveUpIf(not32(condition))
  }

  /** A word of the state block; `index` counts words of this size. */
  word(name: Word, index = 0): Expr {
    return load64(8, this.state, STATE[name] + index * 8)
  }
  setWord(name: Word, value: Expr, index = 0): void {
    this.f.store64(8, this.state, value, STATE[name] + index * 8)
  }
  half(name: Word, index = 0): Expr {
    return load32(4, this.state, STATE[name] + index * 4)
  }
  setHalf(name: Word, value: Expr, index = 0): void {
    this.f.store32(4, this.state, value, STATE[name] + index * 4)
  }

  count(name: CounterName): void {
    const at = counterOffset(name)
    this.f.store64(8, this.state, add(load64(8, this.state, at), i64(1)), at)
  }

  /** RFLAGS; the value is fixed at once. */
  flags(): Expr {
    return this.f.keep(this.f.call(this.core.flagsImage, 'i32', this.state))
  }
  setFlags(image: Expr): void {
    this.f.do(this.core.setFlagsImage, this.state, image)
  }
  /** Whether another thread or this one wants the run loop's attention: an interrupt may wait. */
  attention(): Expr {
    return or32(load32(4, this.half('requestAt')), this.half('attention'))
  }

  /** Sets the privilege level, 0 or 3, and the TLB that goes with it. */
  setPrivilege(cpl: Expr): void {
    const level = this.f.keep(cpl)
    this.setHalf('cpl', level)
    this.setHalf('tlb', add32(this.state, select(level, i32(TLB_USER), i32(TLB_SUPERVISOR))))
  }

  /** Host address of `size` bytes to read with the current rights. */
  open(address: Expr, size: Size): Expr {
    const { f } = this
    const at = f.keep(address)
    const index = and32(
      shr32(wrap(at), i32(12 - Math.log2(TLB_ENTRY.size))),
      i32((TLB_ENTRIES - 1) * TLB_ENTRY.size),
    )
    const entry = f.keep(add32(this.half('tlb'), index))
    const host = f.local('i32')
    f.set(host, add32(wrap(at), load32(4, entry, TLB_ENTRY.addend)))
    const page = and(add(at, i64(size - 1)), i64(-4096))
    f.if(ne(load64(8, entry, TLB_ENTRY.readTag), page), () => {
      f.set(host, f.call(this.core.loadSlow, 'i32', this.state, at, i32(size)))
      this.giveUpUnless(f.get(host))
    })
    return f.get(host)
  }
  load(address: Expr, size: Size): Expr {
    return this.f.keep(load64(size, this.open(address, size)))
  }

  /** The raw entry of the GDT that a selector (i32, 16 bits) names. */
  descriptor(selector: Expr): Expr {
    this.giveUpUnless(and32(selector, i32(0xfff8)))
    this.giveUpIf(and32(selector, i32(4)))
    const index = this.f.keep(and32(selector, i32(0xfff8)))
    this.giveUpIf(ltU32(this.half('gdtLimit'), add32(index, i32(7))))
    return this.load(add(this.word('gdtBase'), widen(index)), 8)
  }
  /** As in STATE.segAttributes. */
  attributesOf(raw: Expr): Expr {
    return this.f.keep(and32(wrap(shr(raw, i64(40))), i32(0xf0ff)))
  }
  /** Goes on only with these bits of the attributes, and none of those. */
  demand(attributes: Expr, set: number, clear: number): void {
    this.giveUpIf(ne32(and32(attributes, i32(set | clear)), i32(set)))
  }
  /** Fills a segment register from an entry of the GDT. */
  loadSegment(segment: number, selector: Expr, raw: Expr, attributes: Expr): void {
    const { f } = this
    const base = or(and(shr(raw, i64(16)), i64(0xff_ffff)), and(shr(raw, i64(32)), i64(0xff00_0000)))
    const end = f.keep(wrap(or(and(raw, i64(0xffff)), and(shr(raw, i64(32)), i64(0xf_0000)))))
    const limit = select(and32(attributes, i32(GRANULAR)), or32(shl32(end, i32(12)), i32(0xfff)), end)
    this.setSegment(segment, selector, base, limit, attributes)
  }
  setSegment(segment: number, selector: Expr, base: Expr, limit: Expr, attributes: Expr): void {
    this.setHalf('segSelector', selector, segment)
    this.setWord('segBase', base, segment)
    this.setHalf('segLimit', limit, segment)
    this.setHalf('segAttributes', attributes, segment)
  }
  setNull(segment: number, selector: Expr): void {
    this.setSegment(segment, selector, i64(0), i32(0), i32(UNUSABLE))
  }
  /** Data segments that CPL 3 may not keep: descriptors.ts dropPrivilegedSegments. */
  dropPrivilegedSegments(): void {
    const { f } = this
    const conforming = ATTRIBUTE.code | ATTRIBUTE.conforming
    for (const segment of [SEGMENT.ES, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS]) {
      const attributes = f.keep(this.half('segAttributes', segment))
      const usable = not32(and32(attributes, i32(UNUSABLE)))
      const plain = ne32(and32(attributes, i32(conforming)), i32(conforming))
      const inner = ne32(and32(attributes, i32(DPL)), i32(DPL))
      f.if(and32(and32(usable, plain), inner), () => this.setNull(segment, i32(0)))
    }
  }
}

/** Whether a linear address is canonical. */
export const isCanonical = (address: Expr): Expr =>
  op('i32', 0x51, op('i64', 0x87, shl(address, i64(16)), i64(16)), address)

const ARITHMETIC = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF

/** (state) → RFLAGS, as CpuState.flags. */
export function emitFlagsImage(f: FunctionWriter): void {
  const state = f.param(0)
  const result = f.keep(load64(8, state, STATE.flagResult))
  const carries = f.keep(load64(8, state, STATE.flagCarries))
  const fixes = f.keep(load64(8, state, STATE.flagFixes))
  const low = (e: Expr, bit: number): Expr => and32(wrap(e), i32(bit))
  const carry = f.keep(shr(carries, i64(63)))
  const overflow = op('i64', 0x85, carry, and(shr(carries, i64(62)), i64(1)))
  const sign = shr(op('i64', 0x85, result, fixes), i64(63))
  const ones = wrap(op('i64', 0x7b, and(result, i64(255))))
  const parity = and32(op('i32', 0x73, op('i32', 0x73, ones, wrap(shr(fixes, i64(2)))), i32(1)), i32(1))
  const parts = [
    or32(load32(4, state, STATE.systemFlags), i32(2)),
    wrap(carry),
    shl32(wrap(overflow), i32(11)),
    shl32(op('i32', 0x50, result), i32(6)),
    shl32(wrap(sign), i32(7)),
    low(fixes, FLAG.AF),
    shl32(parity, i32(2)),
  ]
  f.return(parts.reduce((a, b) => or32(a, b)))
}

/** (state, RFLAGS), as CpuState.flags. */
export function emitSetFlagsImage(f: FunctionWriter): void {
  const [state, flags] = [f.param(0), f.param(1)]
  const bit = (n: number): Expr => and(shr(widen(flags), i64(n)), i64(1))
  const [cf, pf, af, zf, sf, of] = [0, 2, 4, 6, 7, 11].map((n) => f.keep(bit(n))) as [
    Expr,
    Expr,
    Expr,
    Expr,
    Expr,
    Expr,
  ]
  const differ = (a: Expr, b: Expr): Expr => op('i64', 0x85, a, b)
  f.store64(8, state, differ(zf, i64(1)), STATE.flagResult)
  f.store64(8, state, or(or(shl(differ(zf, pf), i64(2)), shl(af, i64(4))), shl(sf, i64(63))), STATE.flagFixes)
  f.store64(8, state, or(shl(cf, i64(63)), shl(differ(cf, of), i64(62))), STATE.flagCarries)
  f.store32(4, state, and32(flags, i32(~(ARITHMETIC | 2))), STATE.systemFlags)
  f.return()
}

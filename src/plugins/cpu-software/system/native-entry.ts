/**
 * The common way of exceptions and external interrupts in WebAssembly: 64-bit code at CPL 0 or 3, an interrupt or
 * trap gate to a 64-bit code segment of CPL 0, a frame within a page of plain memory (SDM vol. 3, 6.14). All else:
 * exceptions.ts. The entry is given up before anything has changed but accessed bits of pages.
 */
import { UNUSABLE } from '../cpu-state.ts'
import { FLAG } from '../isa/row.ts'
import { ACCESS, TRANSLATED } from '../mmu/emit-mmu.ts'
import { EXCEPTION } from '../read/vocabulary.ts'
import { SEGMENT, STATE, TLB_ENTRIES, TLB_ENTRY } from '../state.ts'
import { type Expr, type FunctionWriter, i32, i64, load32, load64 } from '../wasm/encoder.ts'
import {
  add,
  add32,
  and,
  and32,
  eq32,
  gtU32,
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
  sub,
  sub32,
  widen,
  wrap,
} from '../wasm/operators.ts'
import { ATTRIBUTE } from './descriptors.ts'
import { HAS_ERROR } from './exceptions.ts'
import { type NativeFunctions, NativeWriter } from './native-writer.ts'

const GATE_BYTES = 16
/** Of a gate's attribute byte: present, and the type but for its lowest bit (trap or interrupt). */
const GATE_KNOWN = 0x9e
const INTERRUPT_OR_TRAP = 0x8e
const RSP0 = 4
const IST1 = 0x24
/** Frame with an error code; without it the lowest word is missing. */
const FRAME_BYTES = 48

export interface EntryParts {
  readonly core: NativeFunctions
  /** (state, address, kind) → host page address, or a TRANSLATED. */
  readonly translate: number
  readonly pageFlags: number
}

class EntryWriter extends NativeWriter {
  readonly #cpl: Expr
  readonly #faultAddress: Expr

  constructor(f: FunctionWriter, core: NativeFunctions, cpl: Expr) {
    super(f, f.param(0), core)
    this.#cpl = cpl
    this.#faultAddress = f.keep(load64(8, this.state, STATE.faultAddress))
  }
  giveUp(): void {
    this.setPrivilege(this.#cpl)
    // A fault on the way was recorded over the one that is delivered.
    this.setHalf('faultVector', this.f.param(1))
    this.setHalf('faultError', this.f.param(2))
    this.setWord('faultAddress', this.#faultAddress)
    this.f.return(i32(0))
  }
}

/** (state, vector, error, external) → 1 when the handler is to run, 0 when nothing has been done. */
export function emitEntry(f: FunctionWriter, parts: EntryParts): void {
  const [state, vector, error, external] = [0, 1, 2, 3].map((n) => f.param(n)) as [Expr, Expr, Expr, Expr]
  const tooUncommon = (): void => f.return(i32(0))
  const cpl = f.keep(load32(4, state, STATE.cpl))
  f.if(or32(load32(4, state, STATE.mode), not32(load32(4, state, STATE.longPaging))), tooUncommon)
  f.if(and32(ne32(cpl, i32(0)), ne32(cpl, i32(3))), tooUncommon)
  f.if(or32(gtU32(vector, i32(255)), eq32(vector, i32(EXCEPTION.DF))), tooUncommon)
  const s = new EntryWriter(f, parts.core, cpl)
  // Tables, task state and the new stack are the supervisor's.
  s.setPrivilege(i32(0))
  const offset = f.keep(shl32(vector, i32(Math.log2(GATE_BYTES))))
  s.giveUpIf(ltU32(s.half('idtLimit'), add32(offset, i32(GATE_BYTES - 1))))
  const at = f.keep(add(s.word('idtBase'), widen(offset)))
  const gate = s.load(at, 8)
  s.giveUpIf(ne32(and32(wrap(shr(gate, i64(40))), i32(GATE_KNOWN)), i32(INTERRUPT_OR_TRAP)))
  const target = f.keep(
    or(
      or(and(gate, i64(0xffff)), and(shr(gate, i64(32)), i64(0xffff_0000))),
      shl(s.load(add(at, i64(8)), 4), i64(32)),
    ),
  )
  const selector = f.keep(and32(wrap(shr(gate, i64(16))), i32(0xffff)))
  const raw = s.descriptor(selector)
  const attributes = s.attributesOf(raw)
  const { segment, code, present, long, accessed, conforming, big } = ATTRIBUTE
  s.demand(attributes, segment | code | present | long | accessed, conforming | big | 0x60)

  const oldRsp = f.keep(s.word('gpr', 4))
  const rsp = f.local('i64')
  f.set(rsp, oldRsp)
  const ist = f.keep(and32(wrap(shr(gate, i64(32))), i32(7)))
  f.if(or32(ist, cpl), () => {
    const slot = f.keep(select(ist, add32(shl32(ist, i32(3)), i32(IST1 - 8)), i32(RSP0)))
    s.giveUpIf(ltU32(s.half('segLimit', SEGMENT.TR), add32(slot, i32(7))))
    f.set(rsp, s.load(add(s.word('segBase', SEGMENT.TR), widen(slot)), 8))
  })
  const top = f.keep(and(f.get(rsp), i64(-16)))
  const bottom = f.keep(sub(top, i64(FRAME_BYTES)))
  s.giveUpIf(gtU32(and32(wrap(bottom), i32(4095)), i32(4096 - FRAME_BYTES)))
  const frame = openFrame(s, parts, bottom)

  const flags = s.flags()
  const isFault = and32(not32(external), ne32(vector, i32(EXCEPTION.DB)))
  const image = or32(flags, select(isFault, i32(FLAG.RF), i32(0)))
  const words = [
    s.word('rip'),
    widen(s.half('segSelector', SEGMENT.CS)),
    widen(image),
    oldRsp,
    widen(s.half('segSelector', SEGMENT.SS)),
  ]
  words.forEach((word, n) => {
    f.store64(8, frame, word, 8 + n * 8)
  })
  const errors = [...HAS_ERROR].reduce((mask, n) => mask | (1 << n), 0)
  const hasError = f.keep(
    and32(and32(not32(external), ltU32(vector, i32(32))), and32(shr32(i32(errors), vector), i32(1))),
  )
  f.if(hasError, () => f.store64(8, frame, widen(error)))
  s.setWord('gpr', add(bottom, select(hasError, i64(0), i64(8))), 4)
  f.if(cpl, () => s.setSegment(SEGMENT.SS, i32(0), i64(0), i32(0), i32(UNUSABLE)))
  s.loadSegment(SEGMENT.CS, and32(selector, i32(0xfffc)), raw, attributes)
  s.setWord('rip', target)
  // Bit 40 of the gate: a trap gate leaves interrupts on.
  const isInterrupt = not32(and32(wrap(shr(gate, i64(40))), i32(1)))
  const cleared = or32(i32(FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM), select(isInterrupt, i32(FLAG.IF), i32(0)))
  s.setHalf('systemFlags', and32(s.half('systemFlags'), sub32(i32(-1), cleared)))
  f.if(and32(eq32(vector, i32(EXCEPTION.PF)), not32(external)), () =>
    s.setWord('cr2', s.word('faultAddress')),
  )
  f.if(not32(external), () => s.count('exceptions'))
  s.setHalf('entered', i32(1))
  f.return(i32(1))
}

/** Host address of the frame's lowest byte: memory to write to, without decoded code. */
function openFrame(s: NativeWriter, parts: EntryParts, bottom: Expr): Expr {
  const { f, state } = s
  const index = and32(
    shr32(wrap(bottom), i32(12 - Math.log2(TLB_ENTRY.size))),
    i32((TLB_ENTRIES - 1) * TLB_ENTRY.size),
  )
  const entry = f.keep(add32(s.half('tlb'), index))
  const host = f.local('i32')
  f.set(host, add32(wrap(bottom), load32(4, entry, TLB_ENTRY.addend)))
  f.if(ne(load64(8, entry, TLB_ENTRY.writeTag), and(bottom, i64(-4096))), () => {
    const page = f.keep(f.call(parts.translate, 'i32', state, bottom, i32(ACCESS.write)))
    s.giveUpUnless(gtU32(page, i32(TRANSLATED.device)))
    s.giveUpIf(load32(1, shr32(page, i32(12)), parts.pageFlags))
    f.set(host, or32(page, and32(wrap(bottom), i32(4095))))
  })
  return f.get(host)
}

/**
 * System instructions of 64-bit code whose common way is a WebAssembly function: a kernel runs them too often for the
 * TypeScript side. Which way is uncommon, and what happens then, say the assists: see native-writer.ts.
 */

import { MACHINE_LOCK } from '../../../base/machine-memory.ts'
import { EFER, UNUSABLE } from '../cpu-state.ts'
import type { Decoded } from '../isa/decode.ts'
import { FLAG, type Row } from '../isa/row.ts'
import type { Emit } from '../read/emit.ts'
import type { Val } from '../read/vocabulary.ts'
import { OUTCOME, SEGMENT, STATE, UOP } from '../state.ts'
import { atomicCmpxchg32, type Expr, i32, i64, load32, load64 } from '../wasm/encoder.ts'
import {
  add,
  add32,
  and32,
  eq,
  eq32,
  gtU32,
  ne,
  ne32,
  not32,
  or32,
  select,
  shl32,
  shr,
  shr32,
  widen,
  wrap,
  xor32,
} from '../wasm/operators.ts'
import { ATTRIBUTE } from './descriptors.ts'
import { floatNatives } from './native-float.ts'
import { isCanonical, type NativeFunctions, NativeWriter } from './native-writer.ts'

/** Flags that POPFQ and IRETQ may change at any privilege; IOPL and IF come with it. */
const CHANGEABLE =
  FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT | FLAG.AC | FLAG.ID
const FLAT_LIMIT = -1
const FLAT_CODE = 0x809b | ATTRIBUTE.long
const FLAT_DATA = 0xc093
const DPL3 = 0x60

/** A handler of the interpreter that is written by hand. */
export class Native extends NativeWriter {
  readonly emit: Emit
  readonly uop: Expr
  readonly page: Expr

  constructor(emit: Emit, locals: { state: Expr; uop: Expr; page: Expr }, core: NativeFunctions) {
    super(emit.f, locals.state, core)
    this.emit = emit
    this.uop = locals.uop
    this.page = locals.page
  }
  giveUp(): void {
    this.emit.assist()
  }
  /** Address of the next instruction. */
  next(): Expr {
    return this.emit.nextRip() as unknown as Expr
  }
  done(): void {
    this.f.return(i32(OUTCOME.next))
  }
  goTo(rip: Expr): void {
    this.setWord('rip', rip)
    this.f.return(i32(OUTCOME.jump))
  }
  /** Where interrupts may have been let in: one that waits is looked at before the next instruction. */
  lookSoon(): void {
    this.f.if(this.attention(), () => this.setHalf('lookSoon', i32(1)))
  }
  /** The general register that ModRM.rm names, and the number in ModRM.reg: code-cache.ts. */
  get register(): Expr {
    return add32(this.state, load32(2, this.uop, UOP.operand[1]))
  }
  get number(): Expr {
    return load32(1, this.uop, UOP.scale)
  }
  supervisorOnly(): void {
    this.giveUpIf(this.half('cpl'))
  }
}

const iopl = (s: Native): Expr => and32(shr32(s.half('systemFlags'), i32(12)), i32(3))
/** Gives up where IF is not the program's to change. */
const mayChangeIf = (s: Native): void => s.giveUpIf(gtU32(s.half('cpl'), iopl(s)))

function enterFlat(s: Native, selector: Expr, stackSelector: Expr, cpl: 0 | 3): void {
  const level = cpl << 5
  s.setSegment(SEGMENT.CS, selector, i64(0), i32(FLAT_LIMIT), i32(FLAT_CODE | level))
  s.setSegment(SEGMENT.SS, stackSelector, i64(0), i32(FLAT_LIMIT), i32(FLAT_DATA | level))
  s.setPrivilege(i32(cpl))
}

const readControl =
  (n: 0 | 2 | 3 | 4) =>
  (s: Native): void => {
    s.supervisorOnly()
    s.f.store64(8, s.register, s.word(`cr${n}`))
    s.done()
  }

const selectorOf = (s: Native): Expr => load32(4, add32(s.state, shl32(s.number, i32(2))), STATE.segSelector)

const NATIVES: Readonly<Record<string, (s: Native) => void>> = {
  CLI: (s) => {
    mayChangeIf(s)
    s.setHalf('systemFlags', and32(s.half('systemFlags'), i32(~FLAG.IF)))
    s.done()
  },
  STI: (s) => {
    mayChangeIf(s)
    const flags = s.f.keep(s.half('systemFlags'))
    // Opening the window for an interrupt that waits: one more instruction runs before it.
    s.giveUpIf(and32(not32(and32(flags, i32(FLAG.IF))), ne32(s.attention(), i32(0))))
    s.setHalf('systemFlags', or32(flags, i32(FLAG.IF)))
    s.done()
  },
  CLD: (s) => {
    s.setHalf('systemFlags', and32(s.half('systemFlags'), i32(~FLAG.DF)))
    s.done()
  },
  STD: (s) => {
    s.setHalf('systemFlags', or32(s.half('systemFlags'), i32(FLAG.DF)))
    s.done()
  },
  PUSHFQ: (s) => {
    const image = and32(s.flags(), i32(~(FLAG.RF | FLAG.VM)))
    const { emit } = s
    const pointer = emit.keep(emit.sub(emit.reg(4, 64), emit.const(8)))
    emit.store(64, pointer, widen(image) as unknown as Val)
    emit.setReg(4, 64, pointer)
    s.done()
  },
  POPFQ: (s) => {
    const { f } = s
    const rsp = f.keep(s.word('gpr', 4))
    const value = f.keep(wrap(s.load(rsp, 8)))
    // The trap of TF is the assist's.
    s.giveUpIf(and32(value, i32(FLAG.TF)))
    const cpl = f.keep(s.half('cpl'))
    const mask = f.keep(
      or32(
        or32(i32(CHANGEABLE), select(cpl, i32(0), i32(FLAG.IOPL))),
        select(gtU32(cpl, iopl(s)), i32(0), i32(FLAG.IF)),
      ),
    )
    const before = s.flags()
    s.setWord('gpr', add(rsp, i64(8)), 4)
    const after = f.keep(or32(and32(before, xor32(mask, i32(-1))), and32(value, mask)))
    s.setFlags(after)
    const opens = eq32(and32(or32(before, xor32(after, i32(-1))), i32(FLAG.IF)), i32(0))
    f.if(opens, () => {
      s.lookSoon()
      s.goTo(s.next())
    })
    s.done()
  },
  IRETQ: (s) => {
    const { f } = s
    s.supervisorOnly()
    const rsp = f.keep(s.word('gpr', 4))
    const [rip, cs, image, newRsp, ss] = [0, 1, 2, 3, 4].map((n) => s.load(add(rsp, i64(n * 8)), 8)) as [
      Expr,
      Expr,
      Expr,
      Expr,
      Expr,
    ]
    const before = s.flags()
    s.giveUpIf(or32(and32(before, i32(FLAG.NT)), and32(wrap(image), i32(FLAG.TF))))
    s.giveUpUnless(isCanonical(rip))
    const selector = f.keep(and32(wrap(cs), i32(0xffff)))
    const rpl = f.keep(and32(selector, i32(3)))
    s.giveUpIf(and32(ne32(rpl, i32(0)), ne32(rpl, i32(3))))
    const raw = s.descriptor(selector)
    const code = s.attributesOf(raw)
    const A = ATTRIBUTE
    s.demand(code, A.segment | A.code | A.present | A.long | A.accessed, A.conforming | A.big)
    const level = f.keep(select(rpl, i32(DPL3), i32(0)))
    s.giveUpIf(ne32(and32(code, i32(DPL3)), level))
    const stack = f.keep(and32(wrap(ss), i32(0xffff)))
    s.giveUpIf(ne32(and32(stack, i32(3)), rpl))
    // A null selector is good for CPL 0.
    const isNull = f.keep(not32(and32(stack, i32(0xfffc))))
    const stackRaw = f.local('i64')
    const stackAttributes = f.local('i32')
    f.set(stackRaw, i64(0))
    f.set(stackAttributes, i32(UNUSABLE))
    f.if(
      isNull,
      () => s.giveUpIf(rpl),
      () => {
        f.set(stackRaw, s.descriptor(stack))
        f.set(stackAttributes, s.attributesOf(f.get(stackRaw)))
        s.demand(f.get(stackAttributes), A.segment | A.writable | A.present | A.accessed, A.code)
        s.giveUpIf(ne32(and32(f.get(stackAttributes), i32(DPL3)), level))
      },
    )
    const mask = CHANGEABLE | FLAG.IOPL | FLAG.IF | FLAG.RF
    const after = or32(and32(before, i32(~mask)), and32(wrap(image), i32(mask)))
    s.setFlags(and32(after, i32(~(FLAG.VM | FLAG.RF))))
    s.loadSegment(SEGMENT.CS, selector, raw, code)
    s.loadSegment(SEGMENT.SS, stack, f.get(stackRaw), f.get(stackAttributes))
    s.setWord('gpr', newRsp, 4)
    f.if(rpl, () => {
      s.setPrivilege(i32(3))
      s.dropPrivilegedSegments()
    })
    s.lookSoon()
    s.goTo(rip)
  },
  SYSCALL: (s) => {
    const { f } = s
    s.giveUpUnless(and32(wrap(s.word('efer')), i32(Number(EFER.SCE))))
    const selector = f.keep(and32(wrap(shr(s.word('star'), i64(32))), i32(0xfffc)))
    const flags = s.flags()
    s.setWord('gpr', s.next(), 1)
    s.setWord('gpr', widen(flags), 11)
    s.setFlags(and32(flags, xor32(or32(wrap(s.word('sfmask')), i32(FLAG.RF)), i32(-1))))
    enterFlat(s, selector, add32(selector, i32(8)), 0)
    s.goTo(s.word('lstar'))
  },
  SYSRETQ: (s) => {
    const { f } = s
    s.supervisorOnly()
    s.giveUpUnless(and32(wrap(s.word('efer')), i32(Number(EFER.SCE))))
    const rip = f.keep(s.word('gpr', 1))
    s.giveUpUnless(isCanonical(rip))
    const image = f.keep(wrap(s.word('gpr', 11)))
    s.giveUpIf(and32(image, i32(FLAG.TF)))
    const star = f.keep(wrap(shr(s.word('star'), i64(48))))
    const user = (more: number): Expr => and32(or32(add32(star, i32(more)), i32(3)), i32(0xffff))
    s.setFlags(or32(and32(image, i32(0x3c7fd7 & ~(FLAG.RF | FLAG.VM))), i32(2)))
    enterFlat(s, user(16), user(8), 3)
    s.lookSoon()
    s.goTo(rip)
  },
  SWAPGS: (s) => {
    s.supervisorOnly()
    const base = s.f.keep(s.word('segBase', SEGMENT.GS))
    s.setWord('segBase', s.word('kernelGsBase'), SEGMENT.GS)
    s.setWord('kernelGsBase', base)
    s.done()
  },
  'MOV r64, cr0': readControl(0),
  'MOV r64, cr2': readControl(2),
  'MOV r64, cr3': readControl(3),
  'MOV r64, cr4': readControl(4),
  'MOV cr3, r64': (s) => {
    s.supervisorOnly()
    const value = s.f.keep(load64(8, s.register))
    s.giveUpIf(ne(shr(value, i64(52)), i64(0)))
    s.setWord('cr3', value)
    s.f.do(s.core.flush, s.state)
    s.count('tlbFlushes')
    s.goTo(s.next())
  },
  'MOV r32, sreg': (s) => {
    s.f.store64(8, s.register, widen(selectorOf(s)))
    s.done()
  },
  'MOV r16, sreg': (s) => {
    s.f.store64(2, s.register, widen(selectorOf(s)))
    s.done()
  },
  'MOV m16, sreg': (s) => {
    s.emit.store(16, s.word('tmpAddress') as unknown as Val, widen(selectorOf(s)) as unknown as Val)
    s.done()
  },
  MFENCE: (s) => {
    s.f.fence()
    s.done()
  },
  ...floatNatives,
  CMPXCHG16B: (s) => {
    const { f, emit } = s
    const address = f.keep(s.word('tmpAddress'))
    s.giveUpIf(and32(wrap(address), i32(15)))
    const opened = emit.openStore(address, 16, true)
    const { host } = opened
    const [rax, rdx] = [f.keep(s.word('gpr', 0)), f.keep(s.word('gpr', 2))]
    f.loop((again) => f.brIf(atomicCmpxchg32(i32(MACHINE_LOCK), i32(0), i32(1)), again))
    const [low, high] = [f.keep(load64(8, host)), f.keep(load64(8, host, 8))]
    const same = f.keep(and32(eq(low, rax), eq(high, rdx)))
    f.if(same, () => {
      f.store64(8, host, s.word('gpr', 3))
      f.store64(8, host, s.word('gpr', 1), 8)
    })
    f.atomicStore32(i32(MACHINE_LOCK), i32(0))
    emit.commitStore(opened)
    f.if(not32(same), () => {
      s.setWord('gpr', low, 0)
      s.setWord('gpr', high, 2)
    })
    const flags = s.flags()
    s.setFlags(or32(and32(flags, i32(~FLAG.ZF)), select(same, i32(FLAG.ZF), i32(0))))
    s.done()
  },
}

/** In the order of their handlers, which follow those of the table. */
export const NATIVE_KEYS: readonly string[] = Object.keys(NATIVES)

/** Writes the handler of a key. */
export function emitNative(key: string, s: Native): void {
  NATIVES[key]!(s)
}

/** Key of a decoded instruction's common way, undefined when it has none. */
export function nativeKey(row: Row, d: Decoded, mode: 64 | 32 | 16): string | undefined {
  if (mode !== 64) return undefined
  const key = ((): string => {
    switch (row.form) {
      case 'MOV r64, cr':
        return `MOV r64, cr${d.reg}`
      case 'MOV cr, r64':
        return `MOV cr${d.reg}, r64`
      case 'MOV r32/m16, sreg':
      case 'MOV r64/m16, sreg':
        return d.isMem ? 'MOV m16, sreg' : 'MOV r32, sreg'
      case 'MOV r16/m16, sreg':
        return d.isMem ? 'MOV m16, sreg' : 'MOV r16, sreg'
    }
    const wide = row.mnemonic === 'PUSHF' || row.mnemonic === 'POPF' || row.mnemonic === 'SYSRET'
    return wide && d.opSize === 64 ? `${row.mnemonic}Q` : row.mnemonic
  })()
  return key in NATIVES ? key : undefined
}

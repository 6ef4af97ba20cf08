/** Small functions of the core that interpreter, handlers and regions call: what a region leaves of the flags, its stores and pages, wide arithmetic. */
import { ACCESS } from './mmu/emit-mmu.ts'
import { LAZY, OPEN, STATE, TLB_ENTRIES, TLB_ENTRY } from './state.ts'
import { type Expr, i32, i64, load32, load64, type ModuleWriter, op } from './wasm/encoder.ts'
import {
  add,
  add32,
  and,
  and32,
  eq,
  eq32,
  gtU32,
  mul,
  not32,
  or32,
  sar,
  select,
  shl,
  shl32,
  shr,
  shr32,
  sub,
  sub32,
  widen,
  wrap,
} from './wasm/operators.ts'

/** (state): makes the flag words of what a region left (state.ts, LAZY). */
export function emitSettleFlags(m: ModuleWriter): number {
  return m.function(['i32'], [], (f) => {
    const state = f.param(0)
    const kind = f.keep(sub32(load32(4, state, STATE.lazyKind), i32(1)))
    const [a, b, z] = [STATE.lazyA, STATE.lazyB, STATE.lazyZ].map((o) => f.keep(load64(8, state, o))) as [
      Expr,
      Expr,
      Expr,
    ]
    const not = (v: Expr) => op('i64', 0x85, v, i64(-1))
    const or = (v: Expr, w: Expr) => op('i64', 0x84, v, w)
    const xor = (v: Expr, w: Expr) => op('i64', 0x85, v, w)
    const unused = f.keep(sub(i64(64), shl(i64(8), widen(and32(kind, i32(3))))))
    const way = f.keep(shr32(kind, i32(2)))
    f.store32(4, state, i32(0), STATE.lazyKind)
    f.store64(8, state, sar(shl(z, unused), unused), STATE.flagResult)
    f.store64(8, state, i64(0), STATE.flagCarries)
    f.store64(8, state, i64(0), STATE.flagFixes)
    f.if(not32(gtU32(way, i32(LAZY.sub))), () => {
      const sum = or(and(a, b), and(or(a, b), not(z)))
      const difference = or(and(not(a), b), and(not(xor(a, b)), z))
      const carries = select(way, difference, sum)
      f.store64(8, state, shl(carries, unused), STATE.flagCarries)
      f.store64(8, state, and(xor(xor(a, b), z), i64(16)), STATE.flagFixes)
    })
    f.if(eq32(way, i32(LAZY.result)), () => {
      const cf = shl(a, i64(63))
      const differ = and(xor(a, shr(a, i64(1))), i64(1))
      f.store64(8, state, or(cf, shl(differ, i64(62))), STATE.flagCarries)
      f.store64(8, state, shl(and(shr(a, i64(2)), i64(1)), i64(4)), STATE.flagFixes)
    })
  })
}

/** As storeOpen, for regions: 0 also where storeCommit would have something to do. The interpreter then does the whole instruction. */
export function emitRegionStore(m: ModuleWriter, storeOpen: number): number {
  return m.function(['i32', 'i64', 'i32', 'i32'], ['i32'], (f) => {
    const state = f.param(0)
    const host = f.keep(f.call(storeOpen, 'i32', state, f.param(1), f.param(2), i32(0)))
    f.return(select(eq32(load32(4, state, STATE.openKind), i32(OPEN.plain)), host, i32(0)))
  })
}

/** (state, linear page) → host address of the page to fetch from, or a TRANSLATED. */
export function emitRegionPage(m: ModuleWriter, translate: number): number {
  return m.function(['i32', 'i64'], ['i32'], (f) => {
    const [state, page] = [f.param(0), f.param(1)]
    const index = shl32(and32(wrap(shr(page, i64(12))), i32(TLB_ENTRIES - 1)), i32(Math.log2(TLB_ENTRY.size)))
    const entry = f.keep(add32(load32(4, state, STATE.tlb), index))
    f.if(eq(load64(8, entry, TLB_ENTRY.executeTag), page), () =>
      f.return(add32(wrap(page), load32(4, entry, TLB_ENTRY.addend))),
    )
    f.return(f.call(translate, 'i32', state, page, i32(ACCESS.execute)))
  })
}

/** 128 by 64 bit division by shifting: the quotient fits because d > hi. */
export function emitDivWide(m: ModuleWriter): number {
  return m.function(['i32', 'i64', 'i64', 'i64'], [], (f) => {
    const [state, d] = [f.param(0), f.param(3)]
    const hi = f.local('i64')
    const lo = f.local('i64')
    const count = f.local('i32')
    const carry = f.local('i64')
    f.set(hi, f.param(1))
    f.set(lo, f.param(2))
    f.set(count, i32(64))
    f.loop((again) => {
      f.set(carry, shr(f.get(hi), i64(63)))
      f.set(hi, op('i64', 0x84, shl(f.get(hi), i64(1)), shr(f.get(lo), i64(63))))
      f.set(lo, shl(f.get(lo), i64(1)))
      f.if(or32(wrap(f.get(carry)), op('i32', 0x5a, f.get(hi), d)), () => {
        f.set(hi, sub(f.get(hi), d))
        f.set(lo, op('i64', 0x84, f.get(lo), i64(1)))
      })
      f.set(count, sub32(f.get(count), i32(1)))
      f.brIf(f.get(count), again)
    })
    f.store64(8, state, f.get(lo), STATE.quotient)
    f.store64(8, state, f.get(hi), STATE.remainder)
  })
}

/** High half of a product from four 32-bit ones. */
export function emitMulHigh(m: ModuleWriter): { mulHighU: number; mulHighS: number } {
  const mulHighU = m.function(['i64', 'i64'], ['i64'], (f) => {
    const [a, b] = [f.param(0), f.param(1)]
    const low = i64(0xffffffffn)
    const [al, ah, bl, bh] = [
      f.keep(and(a, low)),
      f.keep(shr(a, i64(32))),
      f.keep(and(b, low)),
      f.keep(shr(b, i64(32))),
    ]
    const t = f.keep(add(mul(ah, bl), shr(mul(al, bl), i64(32))))
    const w1 = f.keep(add(and(t, low), mul(al, bh)))
    f.return(add(add(mul(ah, bh), shr(t, i64(32))), shr(w1, i64(32))))
  })
  const mulHighS = m.function(['i64', 'i64'], ['i64'], (f) => {
    const [a, b] = [f.param(0), f.param(1)]
    const high = f.call(mulHighU, 'i64', a, b)
    f.return(sub(sub(high, and(sar(a, i64(63)), b)), and(sar(b, i64(63)), a)))
  })
  return { mulHighU, mulHighS }
}

/**
 * The memory unit in WebAssembly: four-level page walks, TLB fills, and the accesses that miss the TLB.
 *
 * SDM vol. 3, chapter 4. Two- and three-level paging (32-bit guests) and unpaged modes are walked by the
 * TypeScript side (mmu/walk.ts) through the `walk` import; both end in the same fill.
 */

import { EXCEPTION } from '../read/vocabulary.ts'
import {
  counterOffset,
  LARGE_MARKS,
  LARGE_MARKS_BYTES,
  OPEN,
  SEGMENT,
  STATE,
  TLB_ENTRIES,
  TLB_ENTRY,
} from '../state.ts'
import {
  type Expr,
  type FunctionWriter,
  i32,
  i64,
  load32,
  load64,
  type ModuleWriter,
  op,
} from '../wasm/encoder.ts'
import {
  add,
  add32,
  and,
  and32,
  bit64,
  eq,
  eq32,
  gtU,
  gtU32,
  ne,
  not32,
  or,
  or32,
  sar,
  select,
  shl,
  shl32,
  shr,
  shr32,
  sub32,
  widen,
  wrap,
} from '../wasm/operators.ts'

/** Kinds of access: the `kind` argument of translations. */
export const ACCESS = { read: 0, write: 1, execute: 2 } as const

/** In place of a vector: #GP(0), or #SS(0) when the address was the stack's. Whoever delivers it finds out. */
export const NOT_CANONICAL = 0x100

/** Answers of a translation besides a host page address. */
export const TRANSLATED = { fault: 0, device: 1 } as const

/** Physical addresses are 36 bits wide (CPUID 80000008h). */
export const PHYSICAL_BITS = 36

/** Bits of a page-table entry. */
export const PTE = { present: 1, writable: 2, user: 4, accessed: 0x20, dirty: 0x40, large: 0x80 } as const
/** Bits of a page-fault error code. */
export const PF = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16 } as const

export interface MmuImports {
  /** (kind) translates faultAddress when four-level paging is off: host page address or a TRANSLATED; fills nothing. */
  readonly walk: number
  /** (size) moves between a device at mmioAddress and the load or store scratch. */
  readonly deviceRead: number
  readonly deviceWrite: number
  /** (host, size): bytes of a page with decoded code were written. */
  readonly codeWritten: number
}

export interface MmuFunctions {
  /** (state, address, kind) → host page address, or a TRANSLATED. */
  readonly translate: number
  readonly loadSlow: number
  readonly storeOpen: number
  readonly storeCommit: number
  readonly segmentAddress: number
}

/** Where the machine keeps its tables, as immutable facts of the instance: read from the state block's neighbours. */
export interface MmuLayout {
  readonly physmap: number
  readonly physmapFrames: number
  readonly pageFlags: number
}

const WALKS = counterOffset('walks')
const FRAME = 0x000f_ffff_ffff_f000n

export function emitMmu(m: ModuleWriter, imports: MmuImports, layout: MmuLayout): MmuFunctions {
  const fail = (f: FunctionWriter, state: Expr, vector: number, error: Expr) => {
    f.store32(4, state, i32(vector), STATE.faultVector)
    f.store32(4, state, error, STATE.faultError)
  }

  /** (state, address, kind, leaf entry's facts) puts a translation into the current TLB. */
  const fill = m.function(['i32', 'i64', 'i32', 'i32', 'i32'], [], (f) => {
    // hostPage: address of the page; writable, executable: whether stores and fetches may use it.
    const [state, address, hostPage, writable, executable] = [0, 1, 2, 3, 4].map((n) => f.param(n)) as [
      Expr,
      Expr,
      Expr,
      Expr,
      Expr,
    ]
    const page = f.keep(and(address, i64(-4096)))
    const index = shl32(
      and32(wrap(shr(address, i64(12))), i32(TLB_ENTRIES - 1)),
      i32(Math.log2(TLB_ENTRY.size)),
    )
    const entry = f.keep(add32(load32(4, state, STATE.tlb), index))
    const code = load32(1, shr32(hostPage, i32(12)), layout.pageFlags)
    f.store64(8, entry, page, TLB_ENTRY.readTag)
    f.store64(8, entry, select(and32(writable, not32(code)), page, i64(-1)), TLB_ENTRY.writeTag)
    f.store64(8, entry, select(executable, page, i64(-1)), TLB_ENTRY.executeTag)
    f.store32(4, entry, sub32(hostPage, wrap(page)), TLB_ENTRY.addend)
  })

  /** (table entry's address as gpa) → host address, 0 where there is no memory. */
  const hostOf = m.function(['i64'], ['i32'], (f) => {
    const gpa = f.param(0)
    f.if(gtU(gpa, i64(layout.physmapFrames * 4096 - 1)), () => f.return(i32(0)))
    const page = f.keep(load32(4, shl32(wrap(shr(gpa, i64(12))), i32(2)), layout.physmap))
    f.if(not32(page), () => f.return(i32(0)))
    f.return(or32(shl32(page, i32(12)), wrap(and(gpa, i64(4095)))))
  })

  const translate = m.function(['i32', 'i64', 'i32'], ['i32'], (f) => {
    const state = f.param(0)
    const address = f.param(1)
    const kind = f.param(2)
    const word = (offset: number) => load64(8, state, offset)
    f.store64(8, state, add(word(WALKS), i64(1)), WALKS)
    const host = f.local('i32')
    f.if(not32(load32(4, state, STATE.longPaging)), () => {
      f.store64(8, state, address, STATE.faultAddress)
      f.set(host, f.call(imports.walk, 'i32', kind))
      // The slow walk answers with permission bits in the low bits: 2 writable, 4 executable.
      f.if(gtU32(f.get(host), i32(1)), () => {
        const page = f.keep(and32(f.get(host), i32(-4096)))
        f.do(
          fill,
          state,
          address,
          page,
          and32(shr32(f.get(host), i32(1)), i32(1)),
          and32(shr32(f.get(host), i32(2)), i32(1)),
        )
        f.return(page)
      })
      f.return(f.get(host))
    })
    // Canonical: bits 63..47 equal.
    f.if(ne(sar(shl(address, i64(16)), i64(16)), address), () => {
      fail(f, state, NOT_CANONICAL, i32(0))
      f.return(i32(TRANSLATED.fault))
    })
    const user = f.keep(eq32(load32(4, state, STATE.cpl), i32(3)))
    const write = f.keep(eq32(kind, i32(ACCESS.write)))
    const fetch = f.keep(eq32(kind, i32(ACCESS.execute)))
    const nxe = f.keep(bit64(word(STATE.efer), 11))
    const cr4 = f.keep(word(STATE.cr4))
    const pageFault = (bits: Expr) => {
      const fetchBit = and32(fetch, or32(nxe, bit64(cr4, 20)))
      const error = or32(or32(shl32(write, i32(1)), shl32(user, i32(2))), or32(shl32(fetchBit, i32(4)), bits))
      fail(f, state, EXCEPTION.PF, error)
      f.store64(8, state, address, STATE.faultAddress)
      f.return(i32(TRANSLATED.fault))
    }
    const table = f.local('i64')
    const shift = f.local('i64')
    const rights = f.local('i64')
    const nx = f.local('i64')
    const entry = f.local('i64')
    const slot = f.local('i32')
    const frame = f.local('i64')
    f.set(table, and(word(STATE.cr3), i64(FRAME)))
    f.set(shift, i64(39))
    f.set(rights, i64(PTE.writable | PTE.user))
    f.set(nx, i64(0))
    f.block((found) => {
      f.loop((level) => {
        const offset = shl(and(shr(address, f.get(shift)), i64(511)), i64(3))
        f.set(slot, f.call(hostOf, 'i32', or(f.get(table), offset)))
        f.if(not32(f.get(slot)), () => pageFault(i32(0)))
        f.set(entry, load64(8, f.get(slot)))
        f.if(not32(bit64(f.get(entry), 0)), () => pageFault(i32(0)))
        // Reserved: physical bits beyond the width, NX while EFER.NXE is clear, PS in the top level.
        const high = i64(((1n << 52n) - 1n) & ~((1n << BigInt(PHYSICAL_BITS)) - 1n))
        const topLarge = and32(eq(f.get(shift), i64(39)), bit64(f.get(entry), 7))
        const noNx = and32(not32(nxe), bit64(f.get(entry), 63))
        f.if(or32(ne(and(f.get(entry), high), i64(0)), or32(topLarge, noNx)), () =>
          pageFault(i32(PF.present | PF.reserved)),
        )
        f.set(rights, and(f.get(rights), f.get(entry)))
        f.set(nx, or(f.get(nx), f.get(entry)))
        f.brIf(eq(f.get(shift), i64(12)), found)
        f.brIf(bit64(f.get(entry), 7), found)
        f.if(not32(bit64(f.get(entry), 5)), () => f.drop(setBits(f.get(slot), PTE.accessed)))
        f.set(table, and(f.get(entry), i64(FRAME)))
        f.set(shift, op('i64', 0x7d, f.get(shift), i64(9)))
        f.br(level)
      })
    })
    // The page's size is 1 << shift; bits 12..shift-1 of a large page's address are reserved but for PAT (bit 12).
    const offsetMask = f.keep(op('i64', 0x7d, shl(i64(1), f.get(shift)), i64(1)))
    const large = f.keep(ne(f.get(shift), i64(12)))
    f.if(and32(large, ne(and(and(f.get(entry), offsetMask), i64(0x000f_ffff_ffff_e000n)), i64(0))), () =>
      pageFault(i32(PF.present | PF.reserved)),
    )
    const userPage = f.keep(bit64(f.get(rights), 2))
    const writablePage = f.keep(bit64(f.get(rights), 1))
    const mayWrite = f.keep(or32(writablePage, and32(not32(user), not32(bit64(word(STATE.cr0), 16)))))
    const mayExecute = f.keep(
      and32(
        not32(and32(nxe, bit64(f.get(nx), 63))),
        not32(and32(and32(not32(user), userPage), bit64(cr4, 20))),
      ),
    )
    const smap = and32(
      and32(bit64(cr4, 21), not32(bit64(word(STATE.systemFlags), 18))),
      and32(not32(fetch), and32(not32(user), userPage)),
    )
    const denied = or32(
      or32(and32(user, not32(userPage)), and32(write, not32(mayWrite))),
      or32(and32(fetch, not32(mayExecute)), smap),
    )
    f.if(denied, () => pageFault(i32(PF.present)))
    const wanted = f.keep(select(write, i64(PTE.accessed | PTE.dirty), i64(PTE.accessed)))
    f.if(ne(and(f.get(entry), wanted), wanted), () => f.drop(setBits64(f.get(slot), wanted)))
    const dirty = or32(write, bit64(f.get(entry), 6))
    f.if(large, () => {
      // Remember the region, so that INVLPG knows it must drop more than one entry.
      const region = f.keep(and32(wrap(shr(address, i64(21))), i32(LARGE_MARKS_BYTES * 8 - 1)))
      const mark = f.keep(add32(state, shr32(region, i32(3))))
      f.store32(
        1,
        mark,
        or32(load32(1, mark, LARGE_MARKS), shl32(i32(1), and32(region, i32(7)))),
        LARGE_MARKS,
      )
    })
    f.set(
      frame,
      or(and(and(f.get(entry), i64(FRAME)), op('i64', 0x85, offsetMask, i64(-1))), and(address, offsetMask)),
    )
    f.set(host, f.call(hostOf, 'i32', and(f.get(frame), i64(-4096))))
    f.if(not32(f.get(host)), () => {
      f.store64(8, state, f.get(frame), STATE.mmioAddress)
      f.return(i32(TRANSLATED.device))
    })
    f.do(fill, state, address, f.get(host), and32(mayWrite, dirty), mayExecute)
    f.return(f.get(host))
  })

  /** (state, address, kind): as translate, but looks into the TLB first. */
  const lookup = m.function(['i32', 'i64', 'i32'], ['i32'], (f) => {
    const [state, address, kind] = [f.param(0), f.param(1), f.param(2)]
    const index = shl32(
      and32(wrap(shr(address, i64(12))), i32(TLB_ENTRIES - 1)),
      i32(Math.log2(TLB_ENTRY.size)),
    )
    const entry = f.keep(add32(load32(4, state, STATE.tlb), index))
    const page = f.keep(and(address, i64(-4096)))
    f.if(eq(load64(8, add32(entry, shl32(kind, i32(3)))), page), () =>
      f.return(add32(wrap(page), load32(4, entry, TLB_ENTRY.addend))),
    )
    f.return(f.call(translate, 'i32', state, address, kind))
  })

  const inPage = (address: Expr) => wrap(and(address, i64(4095)))
  const nextPage = (address: Expr) => add(or(address, i64(4095)), i64(1))

  const loadSlow = m.function(['i32', 'i64', 'i32'], ['i32'], (f) => {
    const [state, address, size] = [f.param(0), f.param(1), f.param(2)]
    const offset = f.keep(inPage(address))
    const first = f.local('i32')
    const second = f.local('i32')
    const scratch = add32(state, i32(STATE.loadScratch))
    f.set(first, f.call(lookup, 'i32', state, address, i32(ACCESS.read)))
    f.if(not32(f.get(first)), () => f.return(i32(0)))
    f.if(gtU32(add32(offset, size), i32(4096)), () => {
      f.set(second, f.call(lookup, 'i32', state, nextPage(address), i32(ACCESS.read)))
      f.if(not32(f.get(second)), () => f.return(i32(0)))
      const count = f.keep(sub32(i32(4096), offset))
      // A crossing access with a device on either side reads all ones: no device of ours spans pages.
      f.fill(scratch, i32(255), i32(16))
      f.if(gtU32(f.get(first), i32(1)), () => f.copy(scratch, add32(f.get(first), offset), count))
      f.if(gtU32(f.get(second), i32(1)), () =>
        f.copy(add32(scratch, count), f.get(second), sub32(size, count)),
      )
      f.return(scratch)
    })
    f.if(eq32(f.get(first), i32(TRANSLATED.device)), () => {
      f.do(imports.deviceRead, size)
      f.return(scratch)
    })
    f.return(add32(f.get(first), offset))
  })

  const storeOpen = m.function(['i32', 'i64', 'i32', 'i32'], ['i32'], (f) => {
    const [state, address, size, preload] = [f.param(0), f.param(1), f.param(2), f.param(3)]
    const offset = f.keep(inPage(address))
    const first = f.local('i32')
    const second = f.local('i32')
    const scratch = add32(state, i32(STATE.storeScratch))
    f.set(first, f.call(lookup, 'i32', state, address, i32(ACCESS.write)))
    f.if(not32(f.get(first)), () => f.return(i32(0)))
    f.store32(4, state, size, STATE.openSize)
    f.if(gtU32(add32(offset, size), i32(4096)), () => {
      f.set(second, f.call(lookup, 'i32', state, nextPage(address), i32(ACCESS.write)))
      f.if(not32(f.get(second)), () => f.return(i32(0)))
      const count = f.keep(sub32(i32(4096), offset))
      f.store32(4, state, i32(OPEN.crossing), STATE.openKind)
      f.store32(4, state, count, STATE.openFirst)
      f.store32(
        4,
        state,
        select(gtU32(f.get(first), i32(1)), add32(f.get(first), offset), i32(0)),
        STATE.openHost,
      )
      f.store32(4, state, select(gtU32(f.get(second), i32(1)), f.get(second), i32(0)), STATE.openHost2)
      f.if(preload, () => {
        f.fill(scratch, i32(255), i32(16))
        f.if(gtU32(f.get(first), i32(1)), () => f.copy(scratch, add32(f.get(first), offset), count))
        f.if(gtU32(f.get(second), i32(1)), () =>
          f.copy(add32(scratch, count), f.get(second), sub32(size, count)),
        )
      })
      f.return(scratch)
    })
    f.if(eq32(f.get(first), i32(TRANSLATED.device)), () => {
      f.store32(4, state, i32(OPEN.device), STATE.openKind)
      f.if(preload, () => {
        f.do(imports.deviceRead, size)
        f.copy(scratch, add32(state, i32(STATE.loadScratch)), size)
      })
      f.return(scratch)
    })
    const code = load32(1, shr32(f.get(first), i32(12)), layout.pageFlags)
    f.store32(4, state, select(code, i32(OPEN.code), i32(OPEN.plain)), STATE.openKind)
    f.store32(4, state, add32(f.get(first), offset), STATE.openHost)
    f.return(load32(4, state, STATE.openHost))
  })

  const storeCommit = m.function(['i32'], [], (f) => {
    const state = f.param(0)
    const word = (offset: number) => load32(4, state, offset)
    const kind = f.keep(word(STATE.openKind))
    const scratch = add32(state, i32(STATE.storeScratch))
    const touched = (host: Expr, size: Expr) => {
      const page = shr32(host, i32(12))
      f.if(load32(1, page, layout.pageFlags), () => f.do(imports.codeWritten, host, size))
    }
    f.if(eq32(kind, i32(OPEN.code)), () =>
      f.do(imports.codeWritten, word(STATE.openHost), word(STATE.openSize)),
    )
    f.if(eq32(kind, i32(OPEN.device)), () => f.do(imports.deviceWrite, word(STATE.openSize)))
    f.if(eq32(kind, i32(OPEN.crossing)), () => {
      const first = f.keep(word(STATE.openHost))
      const second = f.keep(word(STATE.openHost2))
      const count = f.keep(word(STATE.openFirst))
      const rest = f.keep(sub32(word(STATE.openSize), count))
      f.if(first, () => {
        f.copy(first, scratch, count)
        touched(first, count)
      })
      f.if(second, () => {
        f.copy(second, add32(scratch, count), rest)
        touched(second, rest)
      })
    })
  })

  /** Legacy segmentation (SDM vol. 3, 5.3 and 5.4): limit and type checks, then base + offset in 32 bits. */
  const segmentAddress = m.function(['i32', 'i32', 'i64', 'i32', 'i32'], ['i64'], (f) => {
    const [state, segment, offset, size, write] = [0, 1, 2, 3, 4].map((n) => f.param(n)) as [
      Expr,
      Expr,
      Expr,
      Expr,
      Expr,
    ]
    const attributes = f.keep(load32(4, add32(state, shl32(segment, i32(2))), STATE.segAttributes))
    const limit = f.keep(widen(load32(4, add32(state, shl32(segment, i32(2))), STATE.segLimit)))
    const last = f.keep(add(offset, widen(sub32(size, i32(1)))))
    const bit = (n: number) => and32(shr32(attributes, i32(n)), i32(1))
    const isCode = bit(3)
    // Data: bit 1 writable, bit 2 expand-down. Code: bit 1 readable, never writable.
    const forbidden = select(write, or32(isCode, not32(bit(1))), and32(isCode, not32(bit(1))))
    const top = select(bit(14), i64(0xffffffffn), i64(0xffffn))
    const below = or32(leq(offset, limit), gtU(last, top))
    const outside = select(and32(bit(2), not32(isCode)), below, or32(gtU(last, limit), gtU(offset, limit)))
    f.if(or32(or32(bit(16), not32(bit(7))), or32(forbidden, outside)), () => {
      fail(f, state, EXCEPTION.GP, i32(0))
      f.if(eq32(segment, i32(SEGMENT.SS)), () => fail(f, state, EXCEPTION.SS, i32(0)))
      f.return(i64(-1))
    })
    const base = load64(8, add32(state, shl32(segment, i32(3))), STATE.segBase)
    f.return(and(add(base, offset), i64(0xffffffffn)))
  })

  return { translate, loadSlow, storeOpen, storeCommit, segmentAddress }
}

const leq = (a: Expr, b: Expr): Expr => op('i32', 0x58, a, b)
/** Sets bits of a page-table entry atomically: another vCPU may be at it too. */
const setBits64 = (slot: Expr, bits: Expr): Expr => ({
  type: 'i64',
  op: 0xfe0034,
  args: [slot, bits],
  imm: 0,
  aux: 3,
})
const setBits = (slot: Expr, bits: number): Expr => setBits64(slot, i64(bits))

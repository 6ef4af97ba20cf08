/**
 * Use of a grant by another domain or by the guest itself: judged and pinned as Xen does (grant_table.c: the active
 * entry and its pin counts), with GTF_reading and GTF_writing set in the guest's entry while it is in use.
 *
 * Pins are shared words, so that backends on several threads agree on them.
 */
import type { Domid, Gref } from '../../base/brand.ts'
import { PAGE_SIZE } from '../../base/machine-memory.ts'
import { GNTST, GTF, grant_entry_v1 } from '../abi/grant_table.ts'
import { withLock } from '../lock.ts'
import type { SharedState } from '../shared-state.ts'
import type { GrantTable } from './table.ts'

/** One reader in a pin word; writers count in the upper half. */
const READER = 1
const WRITER = 0x10000
const MAX_PINS = 0xffff

/** A pinned grant: the host page, or the status that says why not. */
export type Pin = { readonly page: number } | { readonly status: number }

export class GrantAccess {
  readonly #state: SharedState
  readonly #table: GrantTable
  /** An entry's flags are 16 bits, next to its domid. */
  readonly #u16: Uint16Array<SharedArrayBuffer>

  constructor(state: SharedState, table: GrantTable) {
    this.#state = state
    this.#table = table
    this.#u16 = new Uint16Array(state.memory.buffer)
  }

  /** Takes a grant into use for `by`. Give it back with `unpin`. */
  pin(ref: Gref, by: Domid, access: 'ro' | 'rw'): Pin {
    const at = this.#table.entry(ref)
    if (at < 0) return { status: GNTST.bad_gntref }
    const { i32 } = this.#state
    return withLock(i32, this.#state.domain('gnttabLock'), () => {
      const pins = i32[this.#state.pins + ref]! >>> 0
      const more = access === 'rw' ? WRITER : READER
      if (Math.floor(pins / more) % WRITER === MAX_PINS) return { status: GNTST.no_space }
      const status = this.#claim(at / 4, by, access)
      if (status !== GNTST.okay) return { status }
      let page = i32[this.#state.pinnedPages + ref]!
      if (pins === 0) {
        // GUEST: read after the flags were set; from now on a change of the entry means nothing.
        page = this.#state.memory.frame(Atomics.load(i32, at / 4 + 1) >>> 0)
        if (page === 0) {
          this.#unclaim(at / 2, 0)
          return { status: GNTST.bad_page }
        }
        i32[this.#state.pinnedPages + ref] = page
      }
      i32[this.#state.pins + ref] = pins + more
      return { page }
    })
  }

  /** Gives a pin back. */
  unpin(ref: Gref, access: 'ro' | 'rw'): void {
    const at = this.#table.entry(ref)
    if (at < 0) return
    const { i32 } = this.#state
    withLock(i32, this.#state.domain('gnttabLock'), () => {
      const unit = access === 'rw' ? WRITER : READER
      const before = i32[this.#state.pins + ref]! >>> 0
      // Nothing is pinned any more where the guest has started anew.
      if (Math.floor(before / unit) % WRITER === 0) return
      const pins = before - unit
      i32[this.#state.pins + ref] = pins
      this.#unclaim(at / 2, pins)
    })
  }

  /** GNTTABOP_swap_grant_ref: exchanges two entries that nobody uses. */
  swap(a: Gref, b: Gref): number {
    const [atA, atB] = [this.#table.entry(a), this.#table.entry(b)]
    if (atA < 0 || atB < 0) return GNTST.bad_gntref
    const { i32 } = this.#state
    return withLock(i32, this.#state.domain('gnttabLock'), () => {
      if (i32[this.#state.pins + a] !== 0 || i32[this.#state.pins + b] !== 0) return GNTST.eagain
      for (let word = 0; word < grant_entry_v1.size / 4; word++) {
        const held = Atomics.exchange(i32, atA / 4 + word, Atomics.load(i32, atB / 4 + word))
        Atomics.store(i32, atB / 4 + word, held)
      }
      return GNTST.okay
    })
  }

  /** Sets GTF_reading (and GTF_writing) by compare-and-exchange of flags and domid together. */
  #claim(word: number, by: Domid, access: 'ro' | 'rw'): number {
    const { i32 } = this.#state
    const wanted = access === 'rw' ? GTF.reading | GTF.writing : GTF.reading
    for (;;) {
      const entry = Atomics.load(i32, word)
      const flags = entry & 0xffff
      if ((flags & GTF.type_mask) !== GTF.permit_access || (flags & GTF.sub_page) !== 0)
        return GNTST.general_error
      if (entry >>> 16 !== by) return GNTST.general_error
      if (access === 'rw' && (flags & GTF.readonly) !== 0) return GNTST.general_error
      if (Atomics.compareExchange(i32, word, entry, entry | wanted) === entry) return GNTST.okay
    }
  }

  /** Clears the bits nobody needs any more. `half`: index of the entry's flags as a 16-bit word. */
  #unclaim(half: number, pins: number): void {
    if (pins >>> 16 === 0) Atomics.and(this.#u16, half, ~GTF.writing & 0xffff)
    if (pins === 0) Atomics.and(this.#u16, half, ~GTF.reading & 0xffff)
  }

  /** The bytes of a pinned page, live. */
  bytes(page: number): Uint8Array<SharedArrayBuffer> {
    return this.#state.memory.u8.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
  }
}

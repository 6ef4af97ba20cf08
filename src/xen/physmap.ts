/**
 * Changes of the guest-physical map: overlays (shared_info, grant frames), the balloon (memory.h).
 *
 * Pages of RAM never move between domains: a page the guest gives back is marked in a bitmap and may come back at
 * any frame, at its own one when that is possible. Callers tell the vCPUs afterwards (`Vcpu.physmapChanged`).
 */
import { PAGE_SIZE, PHYSMAP_FRAMES } from '../base/machine-memory.ts'
import { EINVAL, ENOENT, ENOMEM } from './abi/errno.ts'
import { withLock } from './lock.ts'
import type { SharedState } from './shared-state.ts'

/** A 64-bit frame number of the guest's as a number, -1 where the map cannot express it. */
export const frameNumber = (n: bigint): number => (n < BigInt(PHYSMAP_FRAMES) ? Number(n) : -1)

export class Physmap {
  readonly #state: SharedState
  readonly #ramFirst: number
  readonly #ramPages: number

  constructor(state: SharedState) {
    this.#state = state
    this.#ramFirst = state.memory.layout.ram / PAGE_SIZE
    this.#ramPages = state.memory.ramBytes / PAGE_SIZE
  }

  #locked<T>(body: () => T): T {
    return withLock(this.#state.i32, this.#state.domain('memoryLock'), body)
  }

  /** Pages of RAM the guest has. */
  currentPages(): number {
    return this.#ramPages - this.#state.get('freePages')
  }

  maximumPages(): number {
    return this.#ramPages
  }

  /** Highest frame that holds anything. */
  maximumGfn(): number {
    for (let gfn = PHYSMAP_FRAMES - 1; gfn > 0; gfn--) if (this.#state.memory.frame(gfn) !== 0) return gfn
    return 0
  }

  /** GUEST: frames come as 64-bit numbers; what the map cannot express is refused here. */
  isFrame(gfn: number): boolean {
    return Number.isInteger(gfn) && gfn >= 0 && gfn < PHYSMAP_FRAMES
  }

  /** True if the frame holds RAM (not an overlay or a special page). */
  isRam(gfn: number): boolean {
    return this.#isRamPage(this.#state.memory.frame(gfn))
  }

  #isRamPage(page: number): boolean {
    return page >= this.#ramFirst && page < this.#ramFirst + this.#ramPages
  }

  /** Puts a page that is not RAM at a frame; RAM that was there is given back, as Xen does. 0 or a negative errno. */
  overlay(gfn: number, page: number): number {
    if (!this.isFrame(gfn)) return -EINVAL
    return this.#locked(() => {
      this.#vacate(gfn)
      this.#state.memory.setFrame(gfn, page)
      return 0
    })
  }

  /** Takes an overlay away from where it was, if it is still there. */
  withdraw(gfn: number, page: number): void {
    this.#locked(() => {
      if (this.#state.memory.frame(gfn) === page) this.#state.memory.setFrame(gfn, 0)
    })
  }

  /** Empties a frame. 0, or -ENOENT if nothing was there. */
  remove(gfn: number): number {
    if (!this.isFrame(gfn)) return -EINVAL
    return this.#locked(() => (this.#vacate(gfn) ? 0 : -ENOENT))
  }

  /** Puts a zeroed page of RAM at a frame. 0 or a negative errno. */
  populate(gfn: number): number {
    if (!this.isFrame(gfn)) return -EINVAL
    return this.#locked(() => {
      this.#vacate(gfn)
      const page = this.#takeFree(gfn)
      if (page === 0) return -ENOMEM
      this.#state.memory.u8.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
      this.#state.memory.setFrame(gfn, page)
      return 0
    })
  }

  /** Moves what is at one frame to another (XENMAPSPACE_gmfn). */
  move(from: number, to: number): number {
    if (!this.isFrame(from) || !this.isFrame(to)) return -EINVAL
    return this.#locked(() => {
      const memory = this.#state.memory
      const page = memory.frame(from)
      if (!this.#isRamPage(page)) return -EINVAL
      if (from === to) return 0
      memory.setFrame(from, 0)
      this.#vacate(to)
      memory.setFrame(to, page)
      return 0
    })
  }

  /** Puts every page of RAM back to the frame it had at first. */
  restoreRam(): void {
    const { memory } = this.#state
    for (let gfn = 0; gfn < PHYSMAP_FRAMES; gfn++)
      if (this.#isRamPage(memory.frame(gfn))) memory.setFrame(gfn, 0)
    for (let gfn = 0; gfn < this.#ramPages; gfn++) memory.setFrame(gfn, memory.ramPage(gfn))
  }

  #vacate(gfn: number): boolean {
    const { memory, i32 } = this.#state
    const page = memory.frame(gfn)
    if (page === 0) return false
    memory.setFrame(gfn, 0)
    if (this.#isRamPage(page)) {
      const index = page - this.#ramFirst
      i32[this.#state.freeBits + (index >>> 5)]! |= 1 << (index & 31)
      this.#state.set('freePages', this.#state.get('freePages') + 1)
    }
    return true
  }

  #takeFree(gfn: number): number {
    const { i32, freeBits } = this.#state
    const free = this.#state.get('freePages')
    if (free === 0) return 0
    const taken = (index: number) => {
      i32[freeBits + (index >>> 5)]! &= ~(1 << (index & 31))
      this.#state.set('freePages', free - 1)
      return this.#ramFirst + index
    }
    if (gfn < this.#ramPages && (i32[freeBits + (gfn >>> 5)]! & (1 << (gfn & 31))) !== 0) return taken(gfn)
    for (let word = 0; word * 32 < this.#ramPages; word++) {
      const bits = i32[freeBits + word]!
      if (bits !== 0) return taken(word * 32 + (31 - Math.clz32(bits & -bits)))
    }
    return 0
  }
}

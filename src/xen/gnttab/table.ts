/**
 * The guest's grant table, version 1 (grant_table.h): frames, where the guest sees them, the entries.
 *
 * A frame is a page outside RAM; the table grows when the guest maps a frame beyond its end.
 */
import { type Domid, type Gfn, type Gref, gfn } from '../../base/brand.ts'
import { PAGE_SIZE } from '../../base/machine-memory.ts'
import { EINVAL, ENOMEM } from '../abi/errno.ts'
import { GRANTS_PER_FRAME, GTF, grant_entry_v1 } from '../abi/grant_table.ts'
import { withLock } from '../lock.ts'
import type { Physmap } from '../physmap.ts'
import type { SharedState } from '../shared-state.ts'

export class GrantTable {
  readonly #state: SharedState
  readonly #physmap: Physmap

  constructor(state: SharedState, physmap: Physmap) {
    this.#state = state
    this.#physmap = physmap
  }

  get frames(): number {
    return this.#state.get('gnttabFrames')
  }

  get maxFrames(): number {
    return this.#state.get('gnttabMaxFrames')
  }

  /** Makes the table at least this long. 0, -EINVAL beyond the limit, -ENOMEM without pages. */
  grow(frames: number): number {
    const state = this.#state
    if (frames > this.maxFrames) return -EINVAL
    if (frames <= this.frames) return 0
    return withLock(state.i32, state.domain('gnttabLock'), () => {
      for (let n = state.get('gnttabFrames'); n < frames; n++) {
        // A page from before the guest started anew.
        const page = state.get('gnttabPage', n) || state.memory.allocatePage()
        if (page === 0) return -ENOMEM
        state.memory.u8.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
        state.set('gnttabPage', page, n)
        state.set('gnttabFrames', n + 1)
      }
      return 0
    })
  }

  /** XENMAPSPACE_grant_table: shows a frame to the guest at `to`. */
  mapFrame(index: number, to: number): number {
    const state = this.#state
    if (!this.#physmap.isFrame(to)) return -EINVAL
    const grown = this.grow(index + 1)
    if (grown < 0) return grown
    const page = state.get('gnttabPage', index)
    const before = state.get('gnttabGfn', index)
    if (before !== 0) this.#physmap.withdraw(before - 1, page)
    state.set('gnttabGfn', to + 1, index)
    return this.#physmap.overlay(to, page)
  }

  /** Where the guest sees a frame, or undefined. */
  frameGfn(index: number): Gfn | undefined {
    const at = this.#state.get('gnttabGfn', index)
    return at === 0 ? undefined : gfn(at - 1)
  }

  /** Byte offset in machine memory of an entry, -1 for a reference outside the table. */
  entry(ref: Gref): number {
    // GUEST: references come from rings and hypercalls.
    if (!Number.isInteger(ref) || ref < 0 || ref >= this.frames * GRANTS_PER_FRAME) return -1
    const page = this.#state.get('gnttabPage', Math.floor(ref / GRANTS_PER_FRAME))
    return page * PAGE_SIZE + (ref % GRANTS_PER_FRAME) * grant_entry_v1.size
  }

  /** The toolstack's entries 0 and 1, before the guest runs. */
  seed(ref: Gref, to: Domid, frame: Gfn): void {
    grant_entry_v1.x64.write(this.#state.memory.view, this.entry(ref), {
      flags: GTF.permit_access,
      domid: to,
      frame,
    })
  }
}

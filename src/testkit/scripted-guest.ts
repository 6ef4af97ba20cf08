/**
 * A guest without a processor: its memory, grants, event channels and store connection, worked by a test. What it does
 * goes through the same tables that a real guest's hypercalls reach; nothing is a stand-in.
 *
 * Pages that were not granted to be written are guarded: `violations` tells which of them changed.
 */
import { type Gref, gref, type Port, port } from '../base/brand.ts'
import { PAGE_SIZE } from '../base/machine-memory.ts'
import { GRANTS_PER_FRAME, GTF, grant_entry_v1 } from '../xen/abi/grant_table.ts'
import type { Domain } from '../xen/domain.ts'
import { DOM0 } from '../xen/evtchn/ports.ts'
import { GuestMemoryGuard } from './guest-memory-guard.ts'
import type { MemoryStoreClient } from './memory-store.ts'

/** The first frame that is handed out; those before are never granted. */
const FIRST_FRAME = 16
/** grant_table.h: the entries below are the toolstack's. */
const FIRST_REF = 8
const GRANT_FRAMES = 2

export interface GrantEntry {
  /** GTF_*. */
  readonly flags: number
  readonly domid: number
  readonly frame: number
}

export class ScriptedGuest {
  readonly domain: Domain
  /** Its own connection, with a guest's rights. */
  readonly xenstore: MemoryStoreClient
  readonly #guard: GuestMemoryGuard
  #nextFrame = FIRST_FRAME
  #freeRefs: number[] = []
  #nextRef = FIRST_REF
  readonly #ports = new Set<Port>()

  constructor(domain: Domain, xenstore: MemoryStoreClient) {
    this.domain = domain
    this.xenstore = xenstore
    this.#guard = new GuestMemoryGuard(domain.memory)
    domain.gnttab.grow(GRANT_FRAMES)
  }

  /** A guest that starts from nothing: pages, grants and ports of the first life are given up. */
  reset(): void {
    this.closePorts()
    for (let ref = FIRST_REF; ref < this.domain.gnttab.frames * GRANTS_PER_FRAME; ref++)
      this.setEntry(gref(ref), { flags: 0, domid: 0, frame: 0 })
    this.#guard.reset()
    this.#nextFrame = FIRST_FRAME
    this.#nextRef = FIRST_REF
    this.#freeRefs = []
    this.#ports.clear()
    this.domain.gnttab.grow(GRANT_FRAMES)
  }

  /** Frames for the guest's own use, zeroed. Between them lie guarded ones that nobody may touch. */
  allocate(count: number): number[] {
    return Array.from({ length: count }, () => {
      const gfn = this.#nextFrame
      // Two neighbours, then a gap: backends that join pages must get it right in both cases.
      this.#nextFrame += gfn % 3 === 0 ? 2 : 1
      if (gfn >= this.#guard.frames) throw new RangeError('the guest has no page left')
      this.#guard.release(gfn)
      this.bytes(gfn).fill(0)
      return gfn
    })
  }

  /** How many more frames `allocate` has. */
  get freeFrames(): number {
    return Math.floor((this.#guard.frames - this.#nextFrame) * 0.7)
  }

  /** A frame's bytes, live. */
  bytes(gfn: number): Uint8Array<SharedArrayBuffer> {
    const at = this.domain.memory.ramPage(gfn) * PAGE_SIZE
    return this.domain.memory.u8.subarray(at, at + PAGE_SIZE)
  }

  /** Nobody may change this page from now on, until it is granted for writing. */
  seal(gfn: number): void {
    this.#guard.seal(gfn)
  }

  /** The same for all of its memory. */
  sealAll(): void {
    for (let gfn = 0; gfn < this.#guard.frames; gfn++) this.#guard.seal(gfn)
  }

  /** References that were ever granted, for those who revoke at random. */
  get refsUsed(): number {
    return this.#nextRef
  }

  /** Grants a frame to the backend's domain. A page granted `ro` is guarded: fill it first. */
  grant(gfn: number, access: 'ro' | 'rw' = 'rw'): Gref {
    const ref = this.#freeRefs.pop() ?? this.#nextRef++
    if (ref >= GRANT_FRAMES * GRANTS_PER_FRAME) throw new RangeError('the guest has no grant left')
    const flags = access === 'ro' ? GTF.permit_access | GTF.readonly : GTF.permit_access
    if (access === 'ro') this.seal(gfn)
    this.setEntry(gref(ref), { flags, domid: DOM0, frame: gfn })
    return gref(ref)
  }

  /** Ends a grant, as Linux does only when nobody uses it: the reference may be used again. */
  revoke(ref: Gref): void {
    this.setEntry(ref, { flags: 0, domid: 0, frame: 0 })
    this.#freeRefs.push(ref)
  }

  /** Writes any entry: a guest may write anything into its table at any time. */
  setEntry(ref: Gref, { flags, domid, frame }: GrantEntry): void {
    const mayWrite = (flags & GTF.type_mask) === GTF.permit_access && (flags & GTF.readonly) === 0
    if (mayWrite && domid === DOM0) this.#guard.release(frame)
    const at = this.domain.gnttab.entry(ref)
    if (at >= 0) grant_entry_v1.x64.write(this.domain.memory.view, at, { flags, domid, frame })
  }

  entry(ref: Gref): GrantEntry {
    return grant_entry_v1.x64.copy(this.domain.memory.view, this.domain.gnttab.entry(ref))
  }

  /** A port for the backend to bind to (EVTCHNOP_alloc_unbound). */
  allocatePort(): Port {
    const made = this.domain.evtchn.allocUnbound(DOM0)
    if (made < 0) throw new RangeError(`no port left: errno ${-made}`)
    this.#ports.add(port(made))
    return port(made)
  }

  closePort(which: Port): void {
    this.#ports.delete(which)
    this.domain.evtchn.close(which)
  }

  closePorts(): void {
    for (const each of [...this.#ports]) this.closePort(each)
  }

  /** EVTCHNOP_send. */
  notify(which: Port): void {
    this.domain.evtchn.send(which)
  }

  /** Takes a port's pending bit: true if the backend has sent an event since the last call. */
  takeEvent(which: Port): boolean {
    const { delivery } = this.domain.evtchn
    if (!delivery.isPending(which)) return false
    delivery.clearPending(which)
    return true
  }

  /** What happened to this guest that must not: pages that changed without having been granted for writing. */
  violations(): string[] {
    return this.#guard.changed().map((gfn) => `frame ${gfn} changed, which nobody was allowed to write`)
  }

  /** References that are in use by a backend at the moment. */
  pinnedRefs(): Gref[] {
    const { i32, pins } = this.domain.state
    const found: Gref[] = []
    for (let ref = 0; ref < this.domain.gnttab.frames * GRANTS_PER_FRAME; ref++)
      if (Atomics.load(i32, pins + ref) !== 0) found.push(gref(ref))
    return found
  }
}

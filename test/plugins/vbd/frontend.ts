/**
 * A scripted disk frontend: a ring and data pages in the memory of a real domain, granted in its real grant table; and
 * a disk in memory that notes what is done to it. Only event channels and xenstore are stand-ins.
 */
import { domid, type Gref, gref, port } from '../../../src/base/brand.ts'
import { createLog } from '../../../src/base/log.ts'
import { VbdBackend } from '../../../src/plugins/vbd/backend.ts'
import type { VbdDevice } from '../../../src/plugins/vbd/device.ts'
import type { BlockStore, Pieces } from '../../../src/plugins/vbd/medium.ts'
import { DiskRings } from '../../../src/plugins/vbd/rings.ts'
import { GTF, grant_entry_v1 } from '../../../src/xen/abi/grant_table.ts'
import {
  BLKIF_OP,
  blkif_request,
  blkif_request_discard,
  blkif_request_indirect,
  blkif_request_segment,
  blkif_response,
} from '../../../src/xen/abi/io/blkif.ts'
import type { Abi } from '../../../src/xen/abi/struct.ts'
import { LocalXen } from '../../../src/xen/local.ts'
import { FrontRing } from '../../../src/xen/ring/ring.ts'
import type { XenHost } from '../../../src/xen/xenhost.ts'
import { testDomain } from '../../xen/fake-vcpu.ts'
import { MemoryStore } from '../../xen/xenbus/memory-store.ts'

export const BACK = '/local/domain/0/backend/vbd/6/51712'
export const FRONT = '/local/domain/6/device/vbd/51712'
const GUEST = domid(6)
/** The ring's pages, and as many references, begin here; data pages lie behind the 16 there may be. */
export const RING_GFN = 0x200
const RING_REF = 8
export const DATA_GFN = 0x210
export const DATA_REF = 40

export const xvda: VbdDevice = {
  target: '/disks/a.raw',
  vdev: 'xvda',
  vdevNumber: 51712,
  format: 'raw',
  readwrite: true,
  removable: false,
  cdrom: false,
  specification: 'xen',
  directIoSafe: false,
  trusted: true,
}

/** A disk in memory. `done` says what was done to it, in order. */
export class MemoryDisk implements BlockStore {
  readonly bytes: Uint8Array
  readonly sectors: number
  sectorSize = 512
  readonly physicalSectorSize = 512
  readonly device = undefined
  readonly done: string[] = []
  /** Thrown by the next reads and writes. */
  failure: Error | undefined
  /** Flushes that have not been let go. */
  readonly flushes: (() => void)[] = []
  holdFlushes = false
  discard?: NonNullable<BlockStore['discard']> = {
    granularity: 4096,
    run: (position, length) => {
      this.done.push(`discard ${position} ${length}`)
      this.bytes.fill(0, position, position + length)
    },
  }

  constructor(sectors = 256) {
    this.sectors = sectors
    this.bytes = Uint8Array.from({ length: sectors * 512 }, (_, i) => (i * 7 + (i >> 9)) & 0xff)
  }

  read(into: Pieces, position: number): void {
    this.#move('read', into, position, (piece, at) => piece.set(this.bytes.subarray(at, at + piece.length)))
  }
  write(from: Pieces, position: number): void {
    this.#move('write', from, position, (piece, at) => this.bytes.set(piece, at))
  }
  #move(what: string, pieces: Pieces, position: number, step: (piece: Uint8Array, at: number) => void): void {
    if (this.failure !== undefined) throw this.failure
    let at = position
    for (const piece of pieces) {
      if (at + piece.length > this.bytes.length) throw new RangeError('outside the disk')
      step(piece, at)
      at += piece.length
    }
    this.done.push(`${what} ${position} ${at - position}`)
  }
  async flush(): Promise<void> {
    if (this.holdFlushes) await new Promise<void>((settle) => this.flushes.push(settle))
    this.done.push('flush')
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

export interface Answer {
  readonly id: bigint
  readonly operation: number
  readonly status: number
}

/** Lets what was put off, and promises, have their turn. */
export const settle = async (): Promise<void> => {
  for (let n = 0; n < 4; n++) await new Promise((resolve) => setImmediate(resolve))
}

export interface FrontendOptions {
  readonly abi?: Abi
  /** Pages of the ring as a power of two; undefined: one page, named ring-ref. */
  readonly order?: number
  readonly disk?: Partial<VbdDevice>
  readonly startAt?: number
}

export class Frontend {
  readonly domain = testDomain()
  readonly store = new MemoryStore()
  readonly disk = new MemoryDisk()
  readonly lines: string[] = []
  readonly backend: VbdBackend
  readonly rings: DiskRings
  readonly ring: FrontRing
  readonly ringPages: Uint8Array<SharedArrayBuffer>[]
  readonly local: LocalXen
  readonly host: XenHost
  readonly #abi: Abi
  /** Events that the backend sent. */
  notified = 0
  bound = 0
  /** What the guest does while its answers are held back; its length is how often they may be. */
  readonly meanwhile: (() => void)[] = []
  readonly #onEvents = new Set<() => void>()

  constructor({ abi = 64, order, disk = {}, startAt = 0 }: FrontendOptions = {}) {
    this.#abi = abi
    const device = { ...xvda, ...disk }
    this.local = new LocalXen({ memory: this.domain.memory, defer: (task) => void setImmediate(task) })
    const real = this.local.xenhost(BACK, this.store)
    this.host = {
      ...real,
      evtchn: {
        bindInterdomain: (_otherend, _port, onEvent) => {
          this.bound++
          this.#onEvents.add(onEvent)
          return {
            port: port(5),
            notify: () => {
              this.notified++
            },
            awaitIdle: () => this.meanwhile.shift()?.(),
            [Symbol.dispose]: () => {
              this.bound--
              this.#onEvents.delete(onEvent)
            },
          }
        },
      },
    }
    if (!device.readwrite) delete this.disk.discard
    const log = createLog((_level, line) => this.lines.push(line))
    const defer = (task: () => void) => void setImmediate(task)
    this.rings = new DiskRings(this.host, { store: this.disk, defer, log })
    this.backend = new VbdBackend(
      this.host,
      { domid: GUEST, frontendPath: FRONT },
      {
        disk: device,
        medium: this.disk,
        rings: () => this.rings,
        persistentGrants: true,
        maxQueues: 2,
        log,
      },
    )
    const pages = 1 << (order ?? 0)
    this.ringPages = Array.from({ length: pages }, (_, n) => this.page(RING_GFN + n))
    this.ring = new FrontRing(this.ringPages, { entryBytes: blkif_request.for(abi).size }, startAt)
    for (let n = 0; n < pages; n++) {
      this.grant(RING_REF + n, RING_GFN + n)
      this.store.nodes.set(`${FRONT}/ring-ref${order === undefined ? '' : n}`, String(RING_REF + n))
    }
    if (order !== undefined) this.store.nodes.set(`${FRONT}/ring-page-order`, String(order))
    this.store.nodes.set(`${FRONT}/event-channel`, '7')
    if (abi === 32) this.store.nodes.set(`${FRONT}/protocol`, 'x86_32-abi')
  }

  page(gfn: number): Uint8Array<SharedArrayBuffer> {
    const at = this.domain.memory.frame(gfn) * 4096
    return this.domain.memory.u8.subarray(at, at + 4096)
  }

  grant(ref: number, gfn: number, flags: number = GTF.permit_access): Gref {
    const at = this.domain.gnttab.entry(gref(ref))
    grant_entry_v1.x64.write(this.domain.memory.view, at, { flags, domid: 0, frame: gfn })
    return gref(ref)
  }
  flags(ref: number): number {
    return grant_entry_v1.on(this.domain.memory.view, this.domain.gnttab.entry(gref(ref))).flags
  }

  /** Grants `count` data pages: reference DATA_REF + n is frame DATA_GFN + n. */
  dataPages(count: number, flags?: number): void {
    for (let n = 0; n < count; n++) this.grant(DATA_REF + n, DATA_GFN + n, flags)
  }

  /** A request over whole or partial pages. */
  transfer(
    operation: number,
    id: bigint,
    sector: bigint,
    segments: readonly (readonly [ref: number, first: number, last: number])[],
  ): Uint8Array {
    return blkif_request.for(this.#abi).bytes({
      operation,
      nr_segments: segments.length,
      id,
      sector_number: sector,
      seg: segments.map(([ref, first_sect, last_sect]) => ({ gref: ref, first_sect, last_sect })),
    })
  }

  /** The same with its segments in a page of their own, at frame and reference `table`. */
  indirect(
    operation: number,
    id: bigint,
    sector: bigint,
    segments: readonly (readonly [ref: number, first: number, last: number])[],
    table: { readonly ref: number; readonly gfn: number },
  ): Uint8Array {
    this.grant(table.ref, table.gfn, GTF.permit_access | GTF.readonly)
    const page = this.page(table.gfn)
    for (const [n, [ref, first_sect, last_sect]] of segments.slice(0, 512).entries())
      page.set(blkif_request_segment.for(this.#abi).bytes({ gref: ref, first_sect, last_sect }), n * 8)
    return blkif_request_indirect.for(this.#abi).bytes({
      operation: BLKIF_OP.INDIRECT,
      indirect_op: operation,
      nr_segments: segments.length,
      id,
      sector_number: sector,
      indirect_grefs: [table.ref],
    })
  }

  discard(id: bigint, sector: bigint, count: bigint, flag = 0): Uint8Array {
    const operation = BLKIF_OP.DISCARD
    return blkif_request_discard
      .for(this.#abi)
      .bytes({ operation, flag, id, sector_number: sector, nr_sectors: count })
  }

  put(...requests: readonly Uint8Array[]): void {
    for (const request of requests) if (!this.ring.putRequest(request)) throw new Error('the ring is full')
    if (this.ring.pushRequests()) this.event()
  }

  event(): void {
    for (const onEvent of this.#onEvents) onEvent()
  }

  answers(): Answer[] {
    const out: Answer[] = []
    do {
      for (let view = this.ring.takeResponse(); view !== undefined; view = this.ring.takeResponse())
        out.push(blkif_response.for(this.#abi).copy(view))
    } while (this.ring.finalCheck())
    return out
  }

  /** Puts requests and gives what was answered once nothing more comes. */
  async ask(...requests: readonly Uint8Array[]): Promise<Answer[]> {
    this.put(...requests)
    const all: Answer[] = []
    for (let count = -1; count !== all.length; ) {
      count = all.length
      await settle()
      all.push(...this.answers())
    }
    return all
  }

  [Symbol.dispose](): void {
    this.local[Symbol.dispose]()
  }
}

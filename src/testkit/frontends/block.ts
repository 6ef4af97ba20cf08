/** A disk's frontend (io/blkif.h): one ring of one page, direct and indirect requests, discard and flush. */
import { type Gref, gref } from '../../base/brand.ts'
import {
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_OP,
  BLKIF_RSP,
  blkif_request,
  blkif_request_discard,
  blkif_request_indirect,
  blkif_request_segment,
  blkif_response,
} from '../../xen/abi/io/blkif.ts'
import { FrontRing } from '../../xen/ring/ring.ts'
import type { Random } from '../random.ts'
import type { ScriptedGuest } from '../scripted-guest.ts'
import { until } from '../wait.ts'
import type { FrontendScript, Pending, ScriptedFrontend } from './frontend.ts'

const ENTRY = { entryBytes: blkif_request.size }
const DATA_PAGES = 6
const SECTORS_PER_PAGE = 8
/** Offsets in the shared page. */
const RING_WORDS = [0, 4, 8, 12]
const INDIRECT_GREFS = blkif_request_indirect.offsetof('indirect_grefs')

export interface BlockScriptOptions {
  /** Sectors of 512 bytes; at least 64. The first ones are written by exchanges. */
  readonly sectors: number
  readonly readOnly?: boolean
}

export const blockScript = (options: BlockScriptOptions): FrontendScript => ({
  name: 'block',
  open: (guest) => new BlockFrontend(guest, options),
})

type Segment = readonly [ref: number, first: number, last: number]

class BlockFrontend implements ScriptedFrontend {
  readonly nodes: Readonly<Record<string, string>>
  readonly ports
  readonly words
  readonly ringFrames
  readonly #guest: ScriptedGuest
  readonly #options: BlockScriptOptions
  readonly #ring: FrontRing
  readonly #data: readonly number[]
  readonly #refs: Gref[]
  readonly #table: number
  readonly #tableRef: Gref
  #nextId = 1n
  readonly #answers = new Map<bigint, number>()

  constructor(guest: ScriptedGuest, options: BlockScriptOptions) {
    this.#guest = guest
    this.#options = options
    const [ring, table, ...data] = guest.allocate(2 + DATA_PAGES)
    this.ringFrames = [ring!]
    this.words = RING_WORDS.map((offset) => [ring!, offset] as const)
    this.#ring = new FrontRing([guest.bytes(ring!)], ENTRY)
    this.#table = table!
    this.#tableRef = guest.grant(table!)
    this.#data = data
    this.#refs = data.map((gfn) => guest.grant(gfn))
    const port = guest.allocatePort()
    this.ports = [port]
    this.nodes = {
      'ring-ref': String(guest.grant(ring!)),
      'event-channel': String(port),
      protocol: 'x86_64-abi',
      'feature-persistent': '1',
    }
  }

  async connected(backend: Readonly<Record<string, string>>): Promise<void> {
    const { sectors } = this.#options
    if (backend['sectors'] !== String(sectors))
      throw new Error(`the backend publishes ${backend['sectors']} sectors of ${sectors}`)
  }

  async exchange(): Promise<void> {
    const pages = this.#data.map((gfn) => this.#guest.bytes(gfn))
    if (this.#options.readOnly !== true) {
      const wanted = Uint8Array.from({ length: 4096 }, (_, i) => (i + Number(this.#nextId)) & 0xff)
      pages[0]!.set(wanted)
      await this.#expect(this.#transfer(BLKIF_OP.WRITE, 8n, [[this.#refs[0]!, 0, 7]]))
      pages[1]!.fill(0)
      await this.#expect(this.#indirect(BLKIF_OP.READ, 8n, [[this.#refs[1]!, 0, 7]]))
      if (pages[1]!.some((byte, i) => byte !== wanted[i]))
        throw new Error('what was written is not what is read')
      await this.#expect(this.#transfer(BLKIF_OP.FLUSH_DISKCACHE, 0n, []))
    }
    await this.#expect(this.#transfer(BLKIF_OP.READ, 0n, [[this.#refs[2]!, 0, 0]]))
    const end = BigInt(this.#options.sectors)
    await this.#expect(this.#transfer(BLKIF_OP.READ, end, [[this.#refs[2]!, 0, 0]]), BLKIF_RSP.ERROR)
  }

  begin(): Pending {
    const operation = this.#options.readOnly === true ? BLKIF_OP.READ : BLKIF_OP.WRITE
    const ids = Array.from({ length: Math.min(this.#ring.free(), 16) }, (_, n) => {
      const request = this.#transfer(operation, BigInt(8 * (n % 4)), [[this.#refs[n % DATA_PAGES]!, 0, 7]])
      this.#ring.putRequest(request.bytes)
      return request.id
    })
    this.#push()
    return {
      answered: async () => {
        for (const id of ids) await this.#answer(id, BLKIF_RSP.OKAY)
      },
    }
  }

  hostile(random: Random): boolean {
    this.#takeAnswers()
    const operation = random.once(4) ? random.below(256) : random.below(7)
    const sector = random.once(2) ? BigInt(random.below(this.#options.sectors + 4)) : random.edge64()
    const count = random.once(8) ? random.below(256) : random.below(BLKIF_MAX_SEGMENTS_PER_REQUEST + 1)
    const segments = Array.from({ length: count }, () => this.#segment(random))
    const entry = this.#hostileEntry(random, operation, sector, segments)
    if (random.once(16)) entry[1] = random.below(256)
    if (random.once(64)) entry.set(random.bytes(8), random.below(entry.length - 8))
    if (!this.#ring.putRequest(entry)) return false
    this.#ring.pushRequests()
    return true
  }

  #hostileEntry(random: Random, operation: number, sector: bigint, segments: readonly Segment[]): Uint8Array {
    if (operation === BLKIF_OP.DISCARD) {
      const nr_sectors = random.once(2) ? BigInt(random.below(20)) : random.edge64()
      const flag = random.once(8) ? 1 : 0
      const id = this.#nextId++
      return blkif_request_discard.x64.bytes({ operation, flag, id, sector_number: sector, nr_sectors })
    }
    if (operation !== BLKIF_OP.INDIRECT) {
      const direct = segments.slice(0, BLKIF_MAX_SEGMENTS_PER_REQUEST)
      const { bytes } = this.#transfer(operation, sector, direct)
      if (segments.length > BLKIF_MAX_SEGMENTS_PER_REQUEST) bytes[1] = segments.length & 0xff
      return bytes
    }
    const inner = random.once(6) ? random.below(256) : random.below(2)
    const { bytes } = this.#indirect(inner, sector, segments)
    const view = new DataView(bytes.buffer)
    if (random.once(4)) view.setUint16(2, random.edge() & 0xffff, true)
    if (random.once(8)) view.setUint32(INDIRECT_GREFS, random.edge(), true)
    return bytes
  }

  #segment(random: Random): Segment {
    const ref = random.once(8) ? random.edge() : random.pick(this.#refs)
    const first = random.once(16) ? random.below(256) : random.below(SECTORS_PER_PAGE)
    const last = random.once(16) ? random.below(256) : first + random.below(SECTORS_PER_PAGE - (first & 7))
    return [ref, first, last & 0xff]
  }

  #transfer(operation: number, sector: bigint, segments: readonly Segment[]) {
    const id = this.#nextId++
    const seg = segments.map(([ref, first_sect, last_sect]) => ({ gref: gref(ref), first_sect, last_sect }))
    const bytes = blkif_request.x64.bytes({
      operation,
      nr_segments: seg.length,
      id,
      sector_number: sector,
      seg,
    })
    return { id, bytes }
  }

  #indirect(indirect_op: number, sector: bigint, segments: readonly Segment[]) {
    const id = this.#nextId++
    const table = this.#guest.bytes(this.#table)
    for (const [n, [ref, first_sect, last_sect]] of segments.entries())
      table.set(
        blkif_request_segment.x64.bytes({ gref: ref, first_sect, last_sect }),
        n * blkif_request_segment.size,
      )
    const bytes = blkif_request_indirect.x64.bytes({
      operation: BLKIF_OP.INDIRECT,
      indirect_op,
      nr_segments: segments.length,
      id,
      sector_number: sector,
      indirect_grefs: [this.#tableRef],
    })
    const entry = new Uint8Array(blkif_request.size)
    entry.set(bytes)
    return { id, bytes: entry }
  }

  async #expect({ id, bytes }: { id: bigint; bytes: Uint8Array }, status: number = BLKIF_RSP.OKAY) {
    if (!this.#ring.putRequest(bytes)) throw new Error('the ring is full')
    this.#push()
    await this.#answer(id, status)
  }

  #push(): void {
    if (this.#ring.pushRequests()) for (const port of this.ports) this.#guest.notify(port)
  }

  async #answer(id: bigint, expected: number): Promise<void> {
    await until(`answer to disk request ${id}`, () => {
      this.#takeAnswers()
      return this.#answers.has(id)
    })
    const status = this.#answers.get(id)!
    this.#answers.delete(id)
    if (status !== expected)
      throw new Error(
        `request ${id} was answered ${BLKIF_RSP.nameOf(status)}, not ${BLKIF_RSP.nameOf(expected)}`,
      )
  }

  #takeAnswers(): void {
    // A backend answers at most once per request: more than the ring holds are wrong indices of ours.
    for (let n = 0; n < this.#ring.size; n++) {
      const view = this.#ring.takeResponse()
      if (view === undefined) break
      const { id, status } = blkif_response.x64.copy(view)
      this.#answers.set(id, status)
    }
    if (this.#answers.size > 1000) this.#answers.clear()
    this.#ring.finalCheck()
  }
}

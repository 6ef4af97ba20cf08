/**
 * Copies a region's code out of a vCPU's micro-ops: from a hot branch target on, along direct branches, calls and
 * what follows them, as far as code was executed.
 */
import { PAGE_SIZE } from '../../../base/machine-memory.ts'
import type { CpuState } from '../cpu-state.ts'
import { SPECIAL } from '../handlers.ts'
import { HEAT, HEAT_BYTES, STATE, UOP } from '../state.ts'
import { type Flow, flowOf, JOB_UOPS, MOST_INSTRUCTIONS, MOST_PAGES, type RegionJob, SHAPE } from './job.ts'

export interface Collected {
  readonly job: RegionJob
  /** Host page of each page. */
  readonly hostPages: readonly number[]
  /** First micro-op of each instruction. */
  readonly uops: readonly number[]
}

interface Instruction {
  readonly page: number
  readonly offset: number
  /** First micro-op in the arena; where its bytes and those of the second are. */
  readonly uop: number
  readonly address: number
  readonly own: number
  readonly flow: Flow
  next: number
  taken: number
  isEntry: boolean
}

/** Address of the byte that counts the samples of a branch target (as core.ts counts them). */
export const heatAt = (state: CpuState, linear: bigint): number =>
  state.base + HEAT + Number((linear ^ (linear >> 16n)) & BigInt(HEAT_BYTES - 1))

export class Collector {
  readonly #state: CpuState
  readonly #view: DataView
  readonly #u32: Uint32Array
  readonly #origin: bigint
  readonly #pages: { distance: number; host: number }[] = []
  readonly #found = new Map<number, number>()
  readonly #instructions: Instruction[] = []
  readonly #slots: number

  readonly #fetchPage: (linear: bigint) => number
  readonly #warmAfter: number

  /**
   * `linear`: where the region is to start. `warmAfter`: samples that a branch target must have to be taken in.
   * `fetchPage`: host address of a page of code, 0 and 1 for none.
   */
  constructor(state: CpuState, linear: bigint, warmAfter: number, fetchPage: (linear: bigint) => number) {
    this.#state = state
    this.#warmAfter = warmAfter
    this.#fetchPage = fetchPage
    this.#view = state.view
    this.#u32 = state.memory.u32
    this.#origin = linear & ~4095n
    this.#slots = this.#view.getUint32(state.base + STATE.codeTables, true)
  }

  collect(linear: bigint): Collected | undefined {
    const queue = [Number(linear & 4095n)]
    const first = this.#page(0)
    if (first < 0) return undefined
    while (queue.length > 0 && this.#instructions.length < MOST_INSTRUCTIONS)
      this.#walk(queue.shift()!, queue)
    const list = this.#instructions
    if (list.length === 0) return undefined
    list[0]!.isEntry = true
    const shape = new Int32Array(list.length * SHAPE.words)
    const uops = new Uint8Array(list.length * JOB_UOPS.size)
    const u8 = this.#state.memory.u8
    list.forEach((instruction, n) => {
      const { page, address, own } = instruction
      const next = this.#index(instruction.next)
      const taken = this.#index(instruction.taken)
      this.#markEntries(instruction, next, taken)
      shape.set([page, next, taken], n * SHAPE.words)
      if (address !== 0) uops.set(u8.subarray(address, address + UOP.size), n * JOB_UOPS.size)
      uops.set(u8.subarray(own, own + UOP.size), n * JOB_UOPS.size + JOB_UOPS.own)
      // What a branch was linked to says nothing of the code.
      if (instruction.flow === 'conditional' || instruction.flow === 'jump' || instruction.flow === 'call')
        uops.fill(0, n * JOB_UOPS.size + JOB_UOPS.own + UOP.link, (n + 1) * JOB_UOPS.size)
    })
    list.forEach((instruction, n) => {
      shape[n * SHAPE.words + SHAPE.isEntry] = instruction.isEntry ? 1 : 0
    })
    return {
      job: { pages: Int32Array.from(this.#pages, (p) => p.distance), shape, uops },
      hostPages: this.#pages.map((p) => p.host),
      uops: list.map((i) => i.uop),
    }
  }
  #index(key: number): number {
    return key < 0 ? -1 : (this.#found.get(key) ?? -1)
  }
  /** The interpreter and other regions come back behind calls and behind what is left to the interpreter, and to the heads of loops. */
  #markEntries(instruction: Instruction, next: number, taken: number): void {
    const list = this.#instructions
    const { flow } = instruction
    if (next >= 0 && (flow === 'call' || flow === 'callIndirect' || flow === 'leave'))
      list[next]!.isEntry = true
    if (taken < 0 || (flow !== 'conditional' && flow !== 'jump')) return
    const target = list[taken]!
    const distance = (i: Instruction) => this.#pages[i.page]!.distance * PAGE_SIZE + i.offset
    if (distance(target) <= distance(instruction)) target.isEntry = true
  }

  /** Index of the page at a linear distance; -1 where no code can be. */
  #page(distance: number): number {
    const known = this.#pages.findIndex((p) => p.distance === distance)
    if (known >= 0) return known
    if (this.#pages.length === MOST_PAGES) return -1
    const linear = BigInt.asUintN(64, this.#origin + BigInt(distance) * 4096n)
    const host = this.#fetchPage(linear)
    if (host <= 1) return -1
    this.#pages.push({ distance, host: host / PAGE_SIZE })
    return this.#pages.length - 1
  }
  #uopAt(page: number, offset: number): number {
    const slots = this.#u32[this.#slots / 4 + this.#pages[page]!.host]!
    return slots === 0 ? 0 : this.#u32[slots / 4 + offset]!
  }

  #walk(start: number, queue: number[]): void {
    let key = start
    while (!this.#found.has(key) && this.#instructions.length < MOST_INSTRUCTIONS) {
      const [page, offset] = [key >> 12, key & 4095]
      const instruction = this.#read(page, offset)
      if (instruction === undefined) return
      this.#found.set(key, this.#instructions.length)
      this.#instructions.push(instruction)
      const { own, flow } = instruction
      const behind = offset + this.#view.getUint8(own + UOP.length)
      if (flow === 'conditional' || flow === 'jump' || flow === 'call') {
        const target = behind + this.#view.getInt32(own + UOP.displacement, true)
        instruction.taken = this.#key(page, target)
        // A branch within its page that was never taken has no link.
        const isCold =
          flow === 'conditional' && target >> 12 === 0 && this.#view.getUint32(own + UOP.link, true) === 0
        if (isCold || (flow !== 'jump' && !this.#isWarm(page, target))) instruction.taken = -1
        if (instruction.taken >= 0) queue.push(instruction.taken)
      }
      if (flow === 'jump' || flow === 'jumpIndirect' || flow === 'return') return
      instruction.next = this.#key(page, behind)
      if (instruction.next < 0) return
      key = instruction.next
    }
  }
  /** Whether a branch target was sampled often enough. */
  #isWarm(page: number, offset: number): boolean {
    const distance = this.#pages[page]!.distance * PAGE_SIZE + offset
    const linear = BigInt.asUintN(64, this.#origin + BigInt(distance))
    return this.#view.getUint8(heatAt(this.#state, linear)) >= this.#warmAfter
  }
  /** Of an offset that may lie outside its page; -1 where no code is known. */
  #key(page: number, offset: number): number {
    const target = this.#page(this.#pages[page]!.distance + (offset >> 12))
    if (target < 0 || this.#uopAt(target, offset & 4095) === 0) return -1
    return (target << 12) | (offset & 4095)
  }
  #read(page: number, offset: number): Instruction | undefined {
    const uop = this.#uopAt(page, offset)
    if (uop === 0) return undefined
    const handlerAt = (at: number) => this.#view.getUint16(at + UOP.handler, true)
    // Where a region starts, what was there has moved.
    const isRegion = handlerAt(uop) === SPECIAL.region
    const first = isRegion ? this.#view.getUint32(uop + UOP.link, true) : uop
    const makesAddress = handlerAt(first) === SPECIAL.address || handlerAt(first) === SPECIAL.absolute
    const own = makesAddress ? uop + UOP.size : first
    const handler = handlerAt(own)
    if (handler < SPECIAL.region && handler !== SPECIAL.assist) return undefined
    const flow = flowOf(handler)
    return {
      page,
      offset,
      uop,
      address: makesAddress ? first : 0,
      own,
      flow,
      next: -1,
      taken: -1,
      isEntry: false,
    }
  }
}

/**
 * The translator of one vCPU: has regions made of what became hot, enters them into the code, and takes them out when
 * their code is written, when decoded code is dropped, or to make room.
 */
import { PAGE_SIZE } from '../../../base/machine-memory.ts'
import { FIRST_REGION_SLOT, POLL_BRANCHES, REGION_SLOTS } from '../core.ts'
import type { Cpu } from '../cpu.ts'
import { SPECIAL } from '../handlers.ts'
import { ENTRY, UOP } from '../state.ts'
import type { Traced } from '../trace/emit-trace.ts'
import { type Collected, Collector, heatAt } from './collect.ts'
import { type CompiledRegion, type CompilerPort, compileRegion } from './compiler.ts'
import { handlerNumber } from './control-flow.ts'
import { flowOf, JOB_UOPS, SHAPE } from './job.ts'

/** `off`: interpreter only. `forced`: all 64-bit code, before it runs for the first time; for tests. */
export const TRANSLATION_MODES = ['off', 'normal', 'forced'] as const
export type TranslationMode = (typeof TRANSLATION_MODES)[number]

/** When code is translated. */
export interface Heat {
  /** Samples after which a branch target is hot (they are counted in a byte), and those that code around it must have had to come along. */
  readonly hotAfter: number
  readonly warmAfter: number
  /** Taken branches between two samples: prime, so that no loop keeps in step. */
  readonly samplePeriod: number
}
/** Optimised code costs as much to make as some 10,000 executions in the interpreter; five times lower, a boot spends more on it than it gains. */
const HEAT: Heat = { hotAfter: 250, warmAfter: 16, samplePeriod: 251 }

/** Host page → offset and length of each instruction there. */
type Coverage = ReadonlyMap<number, readonly number[]>

interface WantedRegion {
  readonly collected: Collected
  readonly covers: Coverage
}
interface LiveRegion {
  readonly slot: number
  /** Micro-ops that enter it, and what stands for them. */
  readonly entries: { readonly uop: number; readonly entry: number }[]
  readonly covers: Coverage
}

export interface Translation {
  readonly mode: TranslationMode
  /** To the thread that compiles; without one it is done here, at once. */
  readonly port: CompilerPort | undefined
  /** For tests: other than usual, of the mode `normal`. */
  readonly heat?: Heat
}

/** What regions import of the core. */
export interface RegionImports {
  readonly table: WebAssembly.Table
  readonly functions: Readonly<Record<string, unknown>>
  readonly traced: Traced | undefined
}

export class Translator {
  readonly #cpu: Cpu
  readonly #core: RegionImports
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #free: number[] = []
  readonly #live = new Set<LiveRegion>()
  readonly #byPage = new Map<number, Set<LiveRegion>>()
  /** Asked for, not written since. */
  readonly #pending = new Map<number, WantedRegion>()
  readonly #port: CompilerPort | undefined
  readonly #warmAfter: number
  #nextId = 0
  readonly mode: TranslationMode

  constructor(cpu: Cpu, core: RegionImports, { mode, port, heat = HEAT }: Translation) {
    this.#cpu = cpu
    this.#core = core
    this.mode = mode
    this.#port = port
    this.#view = cpu.state.view
    this.#u8 = cpu.state.memory.u8
    for (let n = REGION_SLOTS - 1; n >= 0; n--) this.#free.push(FIRST_REGION_SLOT + n)
    this.#warmAfter = mode === 'forced' ? 0 : heat.warmAfter
    cpu.state.setHalf('hotAfter', { off: 0, normal: heat.hotAfter, forced: 1 }[mode])
    cpu.state.setHalf('samplePeriod', { off: POLL_BRANCHES, normal: heat.samplePeriod, forced: 1 }[mode])
  }

  /** The branch target in `rip` is hot. */
  hot(): void {
    const { state } = this.#cpu
    if (state.half('mode') !== 0) return
    const linear = state.word('rip')
    // Still warm, for its neighbours; hot again if nothing comes of it, or if its region is dropped.
    this.#view.setUint8(heatAt(state, linear), this.#warmAfter)
    if (this.mode === 'forced' && !this.#cpu.decodeForTranslation()) return
    const fetchPage = (page: bigint) => this.#cpu.translateForFetch(page)
    const collector = new Collector(state, linear, this.#warmAfter, fetchPage)
    const collected = collector.collect(linear)
    if (collected === undefined || !this.#isWorthIt(collected)) return
    this.#cpu.count('regionsWanted')
    const wanted: WantedRegion = { collected, covers: coverage(collected) }
    if (this.#port === undefined) {
      this.#enter(wanted, compileRegion(collected.job, false, this.#core.traced))
      return
    }
    const id = this.#nextId++
    this.#pending.set(id, wanted)
    this.#port.post({ id, job: collected.job })
  }
  /** Enters what has been compiled meanwhile. */
  takeUp(): void {
    const port = this.#port
    if (port === undefined) return
    for (;;) {
      const answer = port.receive()
      if (answer === undefined) return
      const { id, compiled, error } = answer
      const wanted = this.#pending.get(id)
      this.#pending.delete(id)
      if (compiled !== undefined && wanted !== undefined) this.#enter(wanted, compiled)
      else if (error !== undefined) this.#cpu.host.log.error(`a region could not be translated: ${error}`)
    }
  }
  /** Not if the interpreter has every first word, or a region starts there already or will. */
  #isWorthIt({ job, uops }: Collected): boolean {
    const isRegion = (uop: number) => this.#view.getUint16(uop + UOP.handler, true) === SPECIAL.region
    for (const { collected } of this.#pending.values()) if (collected.uops[0] === uops[0]) return false
    return uops.some(
      (uop, n) =>
        job.shape[n * SHAPE.words + SHAPE.isEntry] !== 0 &&
        flowOf(handlerNumber(job, n)) !== 'leave' &&
        !isRegion(uop),
    )
  }

  #enter({ collected, covers }: WantedRegion, { module, entries, bytes }: CompiledRegion): void {
    const cpu = this.#cpu
    const { hostPages, job, uops } = collected
    const room = cpu.code.allocate(entries.length * ENTRY.size + hostPages.length * 8)
    if (room === 0) return
    if (this.#free.length === 0) this.#evict()
    const slot = this.#free.pop()!
    const instance = new WebAssembly.Instance(module, {
      env: { memory: cpu.state.memory.memory },
      core: this.#core.functions,
    })
    this.#core.table.set(slot, instance.exports['region'])
    const view = this.#view
    const pages = room + entries.length * ENTRY.size
    hostPages.forEach((page, n) => {
      view.setUint32(pages + n * 4, (page * PAGE_SIZE) >>> 0, true)
      view.setInt32(pages + (hostPages.length + n) * 4, job.pages[n]!, true)
    })
    const region: LiveRegion = { slot, entries: [], covers }
    entries.forEach(({ instruction, entry }, n) => {
      const uop = uops[instruction]!
      if (view.getUint16(uop + UOP.handler, true) === SPECIAL.region) return
      const at = room + n * ENTRY.size
      this.#u8.copyWithin(at, uop, uop + UOP.size)
      this.#u8.copyWithin(at + UOP.size, uop, uop + UOP.size)
      view.setUint16(at + UOP.size + UOP.handler, SPECIAL.goto, true)
      view.setUint32(at + UOP.size + UOP.link, uop + UOP.size, true)
      view.setUint32(at + ENTRY.slot, slot, true)
      view.setUint32(at + ENTRY.entry, entry, true)
      view.setUint32(at + ENTRY.uses, 0, true)
      view.setUint32(at + ENTRY.pages, pages, true)
      view.setUint16(uop + UOP.handler, SPECIAL.region, true)
      view.setUint32(uop + UOP.link, at, true)
      region.entries.push({ uop, entry: at })
    })
    this.#live.add(region)
    for (const page of region.covers.keys()) {
      const list = this.#byPage.get(page)
      if (list === undefined) this.#byPage.set(page, new Set([region]))
      else list.add(region)
    }
    cpu.count('regionsMade')
    cpu.count('regionInstructions', uops.length)
    cpu.count('regionBytes', bytes)
    cpu.setCount('regionsLive', this.#live.size)
  }

  /** Bytes `from` up to `to` of a host page were written: regions with an instruction there go. */
  written(hostPage: number, from: number, to: number): void {
    for (const [id, { covers }] of this.#pending)
      if (touches(covers, hostPage, from, to)) this.#pending.delete(id)
    for (const region of this.#byPage.get(hostPage) ?? []) {
      if (!touches(region.covers, hostPage, from, to)) continue
      this.#drop(region)
      this.#cpu.count('regionsWritten')
    }
  }
  /** All micro-ops are gone. */
  flush(): void {
    this.#pending.clear()
    for (const region of this.#live) this.#release(region)
  }

  #drop(region: LiveRegion): void {
    const view = this.#view
    for (const { uop, entry } of region.entries) {
      // A dropped instruction stays dropped.
      if (view.getUint16(uop + UOP.handler, true) !== SPECIAL.region) continue
      if (view.getUint32(uop + UOP.link, true) === entry) this.#u8.copyWithin(uop, entry, entry + UOP.size)
    }
    this.#release(region)
  }
  #release(region: LiveRegion): void {
    this.#core.table.set(region.slot, null)
    // Some entries of the jump caches know its slot.
    this.#cpu.flushJumps()
    this.#free.push(region.slot)
    this.#live.delete(region)
    for (const page of region.covers.keys()) this.#byPage.get(page)?.delete(region)
    this.#cpu.setCount('regionsLive', this.#live.size)
  }
  /** Drops the half that was looked up least since the last time. */
  #evict(): void {
    const uses = (region: LiveRegion) =>
      region.entries.reduce((sum, { entry }) => sum + this.#view.getUint32(entry + ENTRY.uses, true), 0)
    const order = [...this.#live].map((region) => [uses(region), region] as const).sort((a, b) => a[0] - b[0])
    order.forEach(([, region], n) => {
      if (n < order.length / 2) {
        this.#drop(region)
        this.#cpu.count('regionsEvicted')
      } else for (const { entry } of region.entries) this.#view.setUint32(entry + ENTRY.uses, 0, true)
    })
  }
}

function touches(covers: Coverage, hostPage: number, from: number, to: number): boolean {
  const parts = covers.get(hostPage)
  if (parts === undefined) return false
  for (let n = 0; n < parts.length; n += 2)
    if (parts[n]! < to && parts[n]! + parts[n + 1]! > from) return true
  return false
}

function coverage({ job, hostPages }: Collected): Map<number, number[]> {
  const covers = new Map<number, number[]>()
  const count = job.uops.length / JOB_UOPS.size
  for (let n = 0; n < count; n++) {
    const own = n * JOB_UOPS.size + JOB_UOPS.own
    const page = hostPages[job.shape[n * 4]!]!
    const parts = covers.get(page) ?? []
    parts.push(
      job.uops[own + UOP.pageOffset]! | (job.uops[own + UOP.pageOffset + 1]! << 8),
      job.uops[own + UOP.length]!,
    )
    covers.set(page, parts)
  }
  return covers
}

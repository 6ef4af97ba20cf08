/**
 * A hostile guest at random: wrong ring entries, indices, grants, nodes and states in any order, against one backend on
 * a memory host. After each step it looks for exceptions that left the backend, guest memory that changed without a
 * grant, and what the host side saw; at the end of each life for what was not given back, and whether a right frontend
 * is still served.
 *
 * A life is a device from being added to being removed. Its seed alone repeats it.
 */
import { gref } from '../base/brand.ts'
import { GTF } from '../xen/abi/grant_table.ts'
import { DOM0 } from '../xen/evtchn/ports.ts'
import { XenstoreError } from '../xen/xenstore/xenstore-error.ts'
import type { ScriptedFrontend } from './frontends/frontend.ts'
import type { GuestDevice } from './guest-device.ts'
import { MemoryHost, type MemoryHostOptions } from './memory-host.ts'
import { Random } from './random.ts'
import {
  addDevice,
  type BackendUnderTest,
  findings,
  leaks,
  type MakeBackend,
  touchedAfterwards,
} from './under-test.ts'
import { turns } from './wait.ts'

export interface FuzzOptions {
  /** Of the first life; life n has this plus n. */
  readonly seed: number
  /** Inputs in all: ring entries, words, grants, nodes, states, events. */
  readonly inputs: number
  /** Inputs of one life at most; PER_LIFE. */
  readonly perLife?: number
  readonly host?: MemoryHostOptions
  /** After each life. */
  readonly onLife?: (progress: FuzzProgress) => void
}

export interface FuzzProgress {
  readonly inputs: number
  readonly lives: number
  /** Seed of the life that comes next. */
  readonly nextSeed: number
  readonly inputsByKind: Readonly<Record<string, number>>
}

/** What was found; `seed` repeats it. */
export class FuzzError extends Error {
  readonly seed: number
  readonly findings: readonly string[]

  constructor(seed: number, step: string, found: readonly string[]) {
    super(`seed ${seed}, after ${step}:\n  ${found.join('\n  ')}`)
    this.name = 'FuzzError'
    this.seed = seed
    this.findings = found
  }
}

/** Inputs of one life, unless asked for otherwise. */
export const PER_LIFE = 1500
/** Lives of one host; then its memory is made anew. */
const LIVES_PER_HOST = 50
/** Free frames below which a life ends, because each connection takes new ones. */
const FEW_FRAMES = 48

/** Rejects with FuzzError at the first thing that is wrong. */
export async function fuzzBackend<D>(make: MakeBackend<D>, options: FuzzOptions): Promise<FuzzProgress> {
  const { inputs: wanted, perLife = PER_LIFE } = options
  const byKind: Record<string, number> = {}
  let inputs = 0
  let lives = 0
  while (inputs < wanted) {
    await using host = new MemoryHost(options.host)
    const backend = await make(host)
    try {
      for (let n = 0; n < LIVES_PER_HOST && inputs < wanted; n++) {
        const seed = (options.seed + lives) >>> 0
        const life = new Life(host, backend, seed)
        inputs += await life.run(Math.min(perLife, wanted - inputs))
        lives++
        for (const [kind, count] of Object.entries(life.inputsByKind))
          byKind[kind] = (byKind[kind] ?? 0) + count
        options.onLife?.({ inputs, lives, nextSeed: (seed + 1) >>> 0, inputsByKind: byKind })
      }
    } finally {
      await backend.dispose?.()
    }
  }
  return { inputs, lives, nextSeed: (options.seed + lives) >>> 0, inputsByKind: byKind }
}

type Step = (life: Life<unknown>) => Promise<number> | number

/** Steps and how often each comes, of all. What a step answers is how many inputs it was. */
const STEPS: readonly (readonly [kind: string, weight: number, step: Step])[] = [
  ['ring entries', 60, (life) => life.ringEntries()],
  ['ring words', 3, (life) => life.ringWord()],
  ['ring bytes', 2, (life) => life.ringBytes()],
  ['grants', 20, (life) => life.grant()],
  ['events', 5, (life) => life.events()],
  ['ports', 1, (life) => life.port()],
  ['nodes', 2, (life) => life.node()],
  ['states', 2, (life) => life.state()],
  ['reconnections', 3, (life) => life.reconnect()],
  ['pauses', 1, (life) => life.pause()],
]
const WEIGHTS = STEPS.reduce((sum, [, weight]) => sum + weight, 0)

class Life<D> {
  readonly inputsByKind: Record<string, number> = {}
  readonly #host: MemoryHost
  readonly #backend: BackendUnderTest<D>
  readonly #random: Random
  #device!: GuestDevice
  #frontend!: ScriptedFrontend
  /** Entries to be put right again before a right frontend is tried. */
  #spoiled = new Map<number, Parameters<MemoryHost['guest']['setEntry']>[1]>()

  constructor(host: MemoryHost, backend: BackendUnderTest<D>, seed: number) {
    this.#host = host
    this.#backend = backend
    this.#random = new Random(seed)
  }

  async run(wanted: number): Promise<number> {
    const { guest } = this.#host
    guest.reset()
    this.#device = await addDevice(this.#host, this.#backend)
    this.#frontend = await this.#attempt('connecting', () => this.#device.connect())
    let inputs = 0
    while (inputs < wanted && guest.freeFrames > FEW_FRAMES) {
      const [kind, step] = this.#pickStep()
      const count = await this.#attempt(kind, async () => step(this))
      this.inputsByKind[kind] = (this.inputsByKind[kind] ?? 0) + count
      inputs += count
      if (this.#random.once(3)) await turns(1)
      if (this.#random.once(8)) this.#look(kind)
    }
    await this.#end()
    return Math.max(inputs, 1)
  }

  /** A right frontend is served; then the device goes and leaves nothing. */
  async #end(): Promise<void> {
    const seed = this.#random.seed
    await this.#attempt('a right frontend', async () => {
      this.#restore()
      const frontend = await this.#device.connect()
      await frontend.exchange()
    })
    await this.#attempt('removal', () => this.#device.handle.remove({ force: true }))
    this.#look('removal')
    const left = [...(await leaks(this.#host)), ...(await touchedAfterwards(this.#host))]
    if (left.length > 0) throw new FuzzError(seed, 'removal', left)
  }

  #pickStep(): readonly [string, Step] {
    let at = this.#random.below(WEIGHTS)
    for (const [kind, weight, step] of STEPS) {
      at -= weight
      if (at < 0) return [kind, step]
    }
    throw new Error('weights do not add up')
  }

  #look(step: string): void {
    const found = findings(this.#host, this.#backend)
    if (found.length > 0) throw new FuzzError(this.#random.seed, step, found)
  }

  async #attempt<T>(step: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof FuzzError) throw error
      const also = findings(this.#host, this.#backend)
      throw new FuzzError(this.#random.seed, step, [(error as Error).stack ?? String(error), ...also])
    }
  }

  ringEntries(): number {
    let count = 0
    for (let n = this.#random.below(16); n >= 0; n--) if (this.#frontend.hostile(this.#random)) count++
    this.#notify()
    return count
  }

  ringWord(): number {
    const [gfn, offset] = this.#random.pick(this.#frontend.words)
    const words = new Int32Array(this.#host.guest.bytes(gfn).buffer)
    const at = (this.#host.guest.bytes(gfn).byteOffset + offset) / 4
    const before = Atomics.load(words, at)
    const near = before + this.#random.below(80) - 8
    Atomics.store(words, at, this.#random.once(2) ? near : this.#random.edge() | 0)
    this.#notify()
    return 1
  }

  ringBytes(): number {
    const page = this.#host.guest.bytes(this.#random.pick(this.#frontend.ringFrames))
    const bytes = this.#random.bytes(1 + this.#random.below(128))
    page.set(bytes, this.#random.below(4096 - bytes.length))
    this.#notify()
    return 1
  }

  /** Takes a grant away, changes it, or gives it back, while it may be in use. */
  grant(): number {
    const { guest, domain } = this.#host
    const ref = gref(8 + this.#random.below(guest.refsUsed))
    if (domain.gnttab.entry(ref) < 0) return 1
    const spoiled = this.#spoiled.get(ref)
    if (spoiled !== undefined) {
      guest.setEntry(ref, spoiled)
      this.#spoiled.delete(ref)
      return 1
    }
    const entry = guest.entry(ref)
    this.#spoiled.set(ref, { ...entry, flags: entry.flags & ~(GTF.reading | GTF.writing) })
    switch (this.#random.below(5)) {
      case 0:
        guest.setEntry(ref, { ...entry, flags: GTF.permit_access | GTF.readonly })
        break
      case 1:
        guest.setEntry(ref, { flags: this.#random.edge() & 0xffff, domid: entry.domid, frame: entry.frame })
        break
      case 2:
        guest.setEntry(ref, { flags: GTF.permit_access, domid: DOM0, frame: this.#random.edge() })
        break
      case 3:
        guest.setEntry(ref, { ...entry, domid: this.#random.edge() & 0xffff })
        break
      default:
        guest.setEntry(ref, { ...entry, flags: 0 })
    }
    return 1
  }

  events(): number {
    const count = 1 + this.#random.below(8)
    for (let n = 0; n < count; n++) this.#notify()
    return count
  }

  port(): number {
    this.#host.guest.closePort(this.#random.pick(this.#frontend.ports))
    return 1
  }

  async node(): Promise<number> {
    const key = this.#random.pick(Object.keys(this.#frontend.nodes))
    await this.#refusable(() => this.#device.write({ [key]: this.#nonsense() }))
    return 1
  }

  #nonsense(): string {
    return this.#random.pick([
      ...['', ' ', '-1', '0', '1', '4294967295', '4294967296', '1e3', '0x10', '٣', '\0', 'x'.repeat(2000)],
      String(this.#random.edge()),
      String(this.#random.below(64)),
    ])
  }

  async state(): Promise<number> {
    const value = this.#random.once(8) ? this.#nonsense() : String(this.#random.below(9))
    await this.#refusable(() => this.#device.write({ state: value }))
    if (this.#random.once(4)) await turns(2)
    return 1
  }

  /** From any state to a new connection, as after a kexec; sometimes closing first, or after the nodes vanished. */
  async reconnect(): Promise<number> {
    this.#restore()
    const { handle } = this.#device
    if (this.#random.once(4)) await this.#refusable(() => this.#device.close())
    if (this.#random.once(8)) {
      await this.#host.guest.xenstore.rm(`${handle.frontendPath}/state`)
      await turns(2)
    }
    if (this.#random.once(2)) this.#host.guest.closePorts()
    this.#frontend = await this.#device.connect()
    return 1
  }

  async pause(): Promise<number> {
    await this.#backend.pause?.()
    await this.#backend.resume?.()
    return 1
  }

  #restore(): void {
    for (const [ref, entry] of this.#spoiled) this.#host.guest.setEntry(gref(ref), entry)
    this.#spoiled.clear()
  }

  #notify(): void {
    for (const port of this.#frontend.ports) this.#host.guest.notify(port)
  }

  /** The store may refuse what a hostile guest asks of it. */
  async #refusable(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof XenstoreError)) throw error
    }
  }
}

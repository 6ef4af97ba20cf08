/**
 * Which thread serves which disk. Each has one of its own, so that a slow or dead one (a network disk) holds up no
 * other, until as many as may be are there; further disks share.
 */
import { extname } from 'node:path'
import type { BackendThread, PvBus } from '../../engine/plugin.ts'
import type { RingService, RingSetup } from './rings.ts'
import type { DiskThread, OpenMedium } from './thread.ts'

interface Place {
  readonly thread: Promise<BackendThread<DiskThread>>
  readonly names: Set<string>
}

export interface DiskThreadsOptions {
  readonly bus: PvBus
  readonly most: number
  /** Gets the failure of a thread and the disks in it. */
  readonly onFailure: (cause: unknown, disks: string) => void
}

export class DiskThreads {
  readonly #options: DiskThreadsOptions
  readonly #places: Place[] = []

  constructor(options: DiskThreadsOptions) {
    this.#options = options
  }

  /** A place for a disk, with its rings not yet connected. */
  async add(
    id: number,
    name: string,
    backendPath: string,
    medium: OpenMedium | undefined,
  ): Promise<ThreadedRings> {
    const place = this.#place(name)
    place.names.add(name)
    const leave = () => this.#leave(place, name)
    try {
      const thread = await place.thread
      await thread.call('add', id, backendPath, name, medium)
      return new ThreadedRings(thread, id, leave)
    } catch (error) {
      await leave()
      throw error
    }
  }

  #place(name: string): Place {
    const free = this.#places.length < this.#options.most
    const least = this.#places.toSorted((a, b) => a.names.size - b.names.size)[0]
    if (!free && least !== undefined) return least
    const place: Place = { thread: this.#start(name), names: new Set() }
    this.#places.push(place)
    place.thread.then(
      (thread) => thread.failed.catch((cause) => this.#failed(place, cause)),
      // Whoever asked hears of it.
      () => this.#forget(place),
    )
    return place
  }

  #start(name: string): Promise<BackendThread<DiskThread>> {
    const module = new URL(`./thread${extname(import.meta.url)}`, import.meta.url).href
    return this.#options.bus.thread<DiskThread>({ name: `vbd ${name}`, module })
  }

  #failed(place: Place, cause: unknown): void {
    if (!this.#forget(place)) return
    this.#options.onFailure(cause, [...place.names].join(', '))
  }

  #forget(place: Place): boolean {
    const at = this.#places.indexOf(place)
    if (at >= 0) this.#places.splice(at, 1)
    return at >= 0
  }

  async #leave(place: Place, name: string): Promise<void> {
    place.names.delete(name)
    if (place.names.size > 0 || !this.#forget(place)) return
    const thread = await place.thread.catch(() => undefined)
    await thread?.[Symbol.asyncDispose]()
  }
}

/** The rings of one disk in its thread. */
export class ThreadedRings implements RingService, AsyncDisposable {
  readonly #thread: BackendThread<DiskThread>
  readonly #id: number
  readonly #leave: () => Promise<void>
  #isGone = false

  constructor(thread: BackendThread<DiskThread>, id: number, leave: () => Promise<void>) {
    this.#thread = thread
    this.#id = id
    this.#leave = leave
  }

  connect(setup: RingSetup): Promise<void> {
    return this.#thread.call('connect', this.#id, setup)
  }

  load(medium: OpenMedium | undefined): Promise<void> {
    return this.#thread.call('load', this.#id, medium)
  }

  async disconnect(): Promise<void> {
    if (!this.#isGone) await this.#thread.call('disconnect', this.#id)
  }

  async settled(): Promise<void> {
    if (!this.#isGone) await this.#thread.call('settled', this.#id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isGone) return
    this.#isGone = true
    try {
      await this.#thread.call('remove', this.#id)
    } finally {
      await this.#leave()
    }
  }
}

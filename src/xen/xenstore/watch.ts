/** Watches of one connection: which changes they match, and under which name they are told (docs/misc/xenstore.txt). */
import { domainPath, isSpecial, levelsBelow, parentOf } from './node-path.ts'
import { MAY_READ, type Perms, rights, type Who } from './perms.ts'
import type { Touched } from './tx.ts'

export interface Watch {
  /** As the connection wrote it: relative ones are told relative paths. */
  readonly name: string
  /** Absolute, or a special name. */
  readonly path: string
  readonly token: string
  /** Levels below `path` that count; undefined: all. */
  readonly depth: number | undefined
}

export class Watches {
  readonly #list: Watch[] = []

  get size(): number {
    return this.#list.length
  }

  [Symbol.iterator](): IterableIterator<Watch> {
    return this.#list.values()
  }

  /** False if there is one with the same path and token. */
  add(watch: Watch): boolean {
    if (this.#index(watch.path, watch.token) >= 0) return false
    this.#list.push(watch)
    return true
  }

  /** False if there is none. */
  remove(path: string, token: string): boolean {
    const index = this.#index(path, token)
    if (index >= 0) this.#list.splice(index, 1)
    return index >= 0
  }

  clear(): void {
    this.#list.length = 0
  }

  #index(path: string, token: string): number {
    return this.#list.findIndex((watch) => watch.path === path && watch.token === token)
  }
}

/**
 * The absolute path to tell `who` about a change, or undefined if this watch is not for it or it may not be told.
 * A watch below a removed node is told its own path, if there was a node there or right above it (as oxenstored).
 */
export function watchMatch(watch: Watch, touched: Touched, who: Who): string | undefined {
  const mayRead = (perms: Perms | undefined) => perms !== undefined && (rights(who, perms) & MAY_READ) !== 0
  const levels = levelsBelow(touched.path, watch.path)
  if (levels >= 0) {
    const deepEnough = watch.depth === undefined || levels <= watch.depth
    return deepEnough && touched.readers.some(mayRead) ? touched.path : undefined
  }
  const { removed } = touched
  if (removed === undefined || levelsBelow(watch.path, touched.path) < 0) return undefined
  const told = mayRead(removed.get(watch.path)) || mayRead(removed.get(parentOf(watch.path)))
  return told ? watch.path : undefined
}

/** How the path of an event is told to the connection of domain `domid` that set the watch. */
export function toldPath(watch: Watch, path: string, domid: number): string {
  const relative = !watch.name.startsWith('/') && !isSpecial(watch.name)
  return relative ? path.slice(domainPath(domid).length + 1) : path
}

/**
 * The path to tell for an event about a domain, or undefined if this watch is not for it. Watches of depth 1, or
 * on `@releaseDomain/N` itself, are told which domain it was about.
 */
export function specialMatch(watch: Watch, event: string, domid: number): string | undefined {
  const withDomid = `${event}/${domid}`
  if (watch.path === withDomid) return withDomid
  if (watch.path !== event) return undefined
  return watch.depth === undefined ? event : watch.depth > 0 ? withDomid : undefined
}

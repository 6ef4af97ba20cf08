/**
 * Views of the store: directly on it, or inside a transaction.
 *
 * A transaction works on a snapshot. It notes what it looked at, and the changes it made in order. Its end
 * compares what it looked at with the store of now: if anything of that differs the transaction conflicts
 * (EAGAIN) and nothing of it happens, otherwise its changes are made again, on the store of now. Writing what
 * one never read does not conflict; creating two different children of one directory does not either.
 */
import { parentOf, segments } from './node-path.ts'
import type { Perms } from './perms.ts'
import type { Node, Store } from './store.ts'

/** What of a node was looked at; whether it exists always counts. */
export const SEES = { EXISTENCE: 0, VALUE: 1, PERMS: 2, CHILDREN: 4 } as const

/** One change of the tree, the unit of transactions and of the journal. */
export type Change =
  | {
      readonly op: 'put'
      readonly path: string
      readonly value: Uint8Array
      readonly perms: Perms
      /** A directory made on the way to a node: watches are told of that node only. */
      readonly implied?: boolean
    }
  | { readonly op: 'remove'; readonly path: string }

/** What watches need to know about a change. */
export interface Touched {
  readonly path: string
  /** Whoever may read by any of these may be told. */
  readonly readers: readonly Perms[]
  /** After a removal: every node that went, with its permissions. */
  readonly removed?: ReadonlyMap<string, Perms>
}

/** How requests see the tree. */
export interface View {
  find(path: string, sees: number): Node | undefined
  put(path: string, value: Uint8Array, perms: Perms, implied?: boolean): void
  remove(path: string): void
  /** Nodes and bytes owned by a domain, as this view sees it. */
  usage(domid: number): { readonly nodes: number; readonly bytes: number }
}

/** Makes one change and says what was touched. */
export function applyChange(store: Store, change: Change): Touched[] {
  const { path } = change
  const old = store.find(path)
  const parent = path === '/' ? undefined : store.find(parentOf(path))
  const above = parent === undefined ? [] : [parent.perms]
  if (change.op === 'put') {
    const before = old === undefined ? [] : [old.perms]
    store.put(path, change.value, change.perms)
    if (change.implied === true) return []
    return [{ path, readers: [change.perms, ...above, ...before] }]
  }
  const removed = new Map<string, Perms>()
  for (const [each, node] of store.walk(path)) removed.set(each, node.perms)
  if (old !== undefined) store.remove(path)
  return old === undefined ? [] : [{ path, readers: [old.perms, ...above], removed }]
}

/** Works on the store itself. `changes` and `touched` tell afterwards what was done. */
export class DirectView implements View {
  readonly changes: Change[] = []
  readonly touched: Touched[] = []
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  find(path: string): Node | undefined {
    return this.#store.find(path)
  }

  put(path: string, value: Uint8Array, perms: Perms, implied = false): void {
    this.apply({ op: 'put', path, value, perms, implied })
  }

  remove(path: string): void {
    this.apply({ op: 'remove', path })
  }

  apply(change: Change): void {
    this.touched.push(...applyChange(this.#store, change))
    this.changes.push(change)
  }

  usage(domid: number): { readonly nodes: number; readonly bytes: number } {
    return this.#store.usage(domid)
  }
}

export class Transaction implements View {
  readonly #before: Store
  readonly #now: Store
  readonly #seen = new Map<string, number>()
  /**
   * Paths written or removed, in the order of the first time: bounds memory and gives the order of events. True
   * for those that a request named, not made on the way or removed with one above.
   */
  readonly #changed = new Map<string, boolean>()
  /** A transaction that a restart of the store interrupted: it goes on, but can only end in EAGAIN. */
  readonly #doomed: boolean

  constructor(store: Store, doomed = false) {
    this.#before = store.snapshot()
    this.#now = this.#before.snapshot()
    this.#doomed = doomed
  }

  /** Paths that it has looked at: what its memory is bounded by. */
  get breadth(): number {
    return this.#seen.size
  }

  /** Nodes that `domid` gained through it. */
  gained(domid: number): number {
    return this.#now.usage(domid).nodes - this.#before.usage(domid).nodes
  }

  find(path: string, sees: number): Node | undefined {
    this.#note(path, sees)
    return this.#now.find(path)
  }

  put(path: string, value: Uint8Array, perms: Perms, implied = false): void {
    this.#note(path, SEES.EXISTENCE)
    this.#now.put(path, value, perms)
    this.#changed.set(path, !implied || this.#changed.get(path) === true)
  }

  remove(path: string): void {
    for (const [each] of this.#now.walk(path)) {
      this.#note(each, SEES.CHILDREN)
      this.#changed.set(each, each === path || this.#changed.get(each) === true)
    }
    this.#now.remove(path)
  }

  usage(domid: number): { readonly nodes: number; readonly bytes: number } {
    return this.#now.usage(domid)
  }

  /** The changes to make on `store`, or undefined if the transaction conflicts with what happened since. */
  conclude(store: Store): readonly Change[] | undefined {
    if (this.#doomed) return undefined
    for (const [path, sees] of this.#seen) {
      const then = this.#before.find(path)
      const now = store.find(path)
      if (then === undefined || now === undefined) {
        if (then !== now) return undefined
        continue
      }
      if ((sees & SEES.VALUE) !== 0 && then.value !== now.value) return undefined
      if ((sees & SEES.PERMS) !== 0 && then.perms !== now.perms) return undefined
      if ((sees & SEES.CHILDREN) !== 0 && then.listed !== now.listed) return undefined
    }
    return this.#outcome()
  }

  /**
   * From the tree before to the tree after: first removals, the deepest first, then nodes, parents before their
   * children.
   */
  #outcome(): Change[] {
    const removals: Change[] = []
    const puts: Change[] = []
    const done = new Set<string>()
    const settle = (path: string) => {
      const named = this.#changed.get(path)
      if (named === undefined || done.has(path)) return
      done.add(path)
      const node = this.#now.find(path)
      const parent = parentOf(path)
      if (node !== undefined) {
        settle(parent)
        puts.push({ op: 'put', path, value: node.value, perms: node.perms, implied: !named })
      } else if (this.#before.find(path) !== undefined && (named || this.#now.find(parent) !== undefined)) {
        removals.push({ op: 'remove', path })
      }
    }
    for (const path of this.#changed.keys()) settle(path)
    removals.sort((a, b) => segments(b.path).length - segments(a.path).length)
    return [...removals, ...puts]
  }

  #note(path: string, sees: number): void {
    this.#seen.set(path, (this.#seen.get(path) ?? 0) | sees)
  }
}

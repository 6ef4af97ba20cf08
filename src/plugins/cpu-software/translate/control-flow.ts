/**
 * From instructions to WebAssembly's structured control: blocks in an order in which most edges go forward, loops
 * around the others, and the scopes that forward edges leave. What fits neither goes through a dispatcher.
 */
import { UOP } from '../state.ts'
import { type Flow, flowOf, JOB_UOPS, type RegionJob, SHAPE } from './job.ts'

export interface Block {
  /** Instructions of the job, in order. */
  readonly instructions: number[]
  readonly isEntry: boolean
  /** How the last instruction goes on. */
  flow: Flow
  /** Blocks: of a taken branch or call, and of falling through; -1 leaves the region. */
  taken: number
  next: number
  /** Blocks a return may come to. */
  returns: readonly number[]
}

/** A `loop` or `block` of WebAssembly around the blocks of positions from `start` up to `end`. */
export interface Scope {
  readonly kind: 'loop' | 'block'
  start: number
  end: number
}

/** How an edge is made. */
export type Edge = 'fall' | 'forward' | 'back' | 'dispatch'

/** Positions: 0 is the dispatcher, block n of `blocks` is at n + 1. */
export interface Shape {
  readonly blocks: readonly Block[]
  /** Outer before inner where they start together. */
  readonly scopes: readonly Scope[]
  edge(from: number, to: number): Edge
  /** Positions that the dispatcher, or the head of a loop, must be able to send to from outside: by scope start. */
  readonly dispatch: ReadonlyMap<number, readonly number[]>
}

/** Return sites that a return compares its target with. */
const MOST_RETURNS = 4

const shapeOf = (job: RegionJob, n: number, word: number): number => job.shape[n * SHAPE.words + word]!
export const handlerNumber = (job: RegionJob, n: number): number => {
  const at = n * JOB_UOPS.size + JOB_UOPS.own + UOP.handler
  return job.uops[at]! | (job.uops[at + 1]! << 8)
}

/** Blocks in the order in which they will be laid out. */
export function findBlocks(job: RegionJob): Block[] {
  const count = job.shape.length / SHAPE.words
  const next = (n: number) => shapeOf(job, n, SHAPE.next)
  const taken = (n: number) => shapeOf(job, n, SHAPE.taken)
  const flow = (n: number) => flowOf(handlerNumber(job, n))
  const leads = new Uint8Array(count)
  const arrivals = new Uint8Array(count)
  for (let n = 0; n < count; n++) {
    if (shapeOf(job, n, SHAPE.isEntry)) leads[n] = 1
    if (taken(n) >= 0) leads[taken(n)] = 1
    if (next(n) < 0) continue
    if (flow(n) !== 'next' || arrivals[next(n)]) leads[next(n)] = 1
    arrivals[next(n)] = 1
  }
  const byFirst = new Map<number, Block>()
  const callers: number[] = []
  for (let n = 0; n < count; n++) {
    if (!leads[n]) continue
    const instructions = [n]
    let last = n
    while (flow(last) === 'next' && next(last) >= 0 && !leads[next(last)]) {
      last = next(last)
      instructions.push(last)
    }
    const block: Block = {
      instructions,
      isEntry: shapeOf(job, n, SHAPE.isEntry) !== 0,
      flow: flow(last),
      taken: taken(last),
      next: next(last),
      returns: [],
    }
    if ((block.flow === 'call' || block.flow === 'callIndirect') && block.next >= 0) callers.push(block.next)
    byFirst.set(n, block)
  }
  for (const block of byFirst.values()) if (block.flow === 'return') block.returns = callers
  const order = layOut(byFirst)
  const number = new Map(order.map((first, index) => [first, index]))
  return order.map((first) => {
    const block = byFirst.get(first)!
    const numbered = (n: number) => (n < 0 ? -1 : number.get(n)!)
    block.taken = numbered(block.taken)
    block.next = numbered(block.next)
    const at = number.get(first)!
    // The nearest call sites first: most returns go there.
    block.returns = [...new Set(block.returns)]
      .map(numbered)
      .sort((a, b) => Math.abs(a - at) - Math.abs(b - at))
      .slice(0, MOST_RETURNS)
    return block
  })
}

/** Blocks that control may go to inside the region. */
export function successors(block: Block): readonly number[] {
  switch (block.flow) {
    case 'next':
      return [block.next]
    case 'conditional':
      return [block.taken, block.next]
    case 'jump':
    case 'call':
      return [block.taken]
    case 'return':
      return block.returns
    default:
      return []
  }
}

/** Reverse postorder from each entry in turn. */
function layOut(blocks: ReadonlyMap<number, Block>): number[] {
  const seen = new Set<number>()
  const order: number[] = []
  const roots = [...blocks].filter(([first, block]) => block.isEntry || first === 0).map(([first]) => first)
  for (const root of [0, ...roots, ...blocks.keys()]) {
    if (seen.has(root)) continue
    seen.add(root)
    const done: number[] = []
    const stack: { first: number; todo: number[] }[] = []
    const enter = (first: number) => {
      // The last one visited comes right behind: the fall-through.
      const todo = successors(blocks.get(first)!)
        .filter((n) => n >= 0)
        .reverse()
      stack.push({ first, todo })
    }
    enter(root)
    for (;;) {
      const top = stack.at(-1)
      if (top === undefined) break
      const child = top.todo.pop()
      if (child === undefined) {
        done.push(top.first)
        stack.pop()
      } else if (!seen.has(child)) {
        seen.add(child)
        enter(child)
      }
    }
    order.push(...done.reverse())
  }
  return order
}

export function shapeRegion(blocks: readonly Block[]): Shape {
  const at = (block: number) => block + 1
  const edges: [from: number, to: number][] = []
  blocks.forEach((block, n) => {
    for (const to of successors(block)) if (to >= 0) edges.push([at(n), at(to)])
  })
  const loops = findLoops(edges)
  const outermost = (position: number, within?: Scope): Scope | undefined => {
    let found: Scope | undefined
    for (const loop of loops) {
      const isInside = loop.start <= position && position < loop.end && loop !== within
      const isPart = within === undefined || (loop.start >= within.start && loop.end <= within.end)
      if (isInside && isPart && (found === undefined || loop.end - loop.start > found.end - found.start))
        found = loop
    }
    return found
  }
  /** Whether a loop that `from` is outside of would be entered elsewhere than at its head. */
  const entersMidway = (from: number, to: number) =>
    loops.some((l) => l.start < to && to < l.end && !(l.start <= from && from < l.end))
  const kinds = new Map<number, Edge>()
  const key = (from: number, to: number) => from * 1024 + to
  const dispatched = new Set<number>()
  blocks.forEach((block, n) => {
    if (block.isEntry || n === 0) dispatched.add(at(n))
  })
  const jumps: [number, number][] = []
  for (const [from, to] of edges) {
    if (entersMidway(from, to)) {
      kinds.set(key(from, to), 'dispatch')
      dispatched.add(to)
    } else if (to <= from) kinds.set(key(from, to), 'back')
    else {
      kinds.set(key(from, to), to === from + 1 ? 'fall' : 'forward')
      jumps.push([from, to])
    }
  }
  // The dispatcher sends to blocks outside loops and to heads; a head sends further in.
  const dispatch = new Map<number, Set<number>>()
  const send = (from: number, to: number) => {
    const list = dispatch.get(from) ?? new Set()
    dispatch.set(from, list.add(to))
  }
  for (const to of dispatched) {
    let from = 0
    let within: Scope | undefined
    for (;;) {
      const loop = outermost(to, within)
      const stop = loop === undefined || loop.start === to ? to : loop.start
      if (stop !== from) {
        send(from, to)
        jumps.push([from, stop])
      }
      if (stop === to || loop === undefined) break
      from = stop
      within = loop
    }
  }
  const scopes = [...loops, ...findScopes(jumps, loops)]
  scopes.sort((a, b) => a.start - b.start || b.end - a.end || (a.kind === 'block' ? -1 : 1))
  return {
    blocks,
    scopes,
    edge: (from, to) => kinds.get(key(at(from), at(to)))!,
    dispatch: new Map([...dispatch].map(([from, list]) => [from, [...list].sort((a, b) => a - b)])),
  }
}

/** The loops of backward edges, widened until they nest. One for each head. */
function findLoops(edges: readonly (readonly [number, number])[]): Scope[] {
  const byHead = new Map<number, Scope>()
  for (const [from, to] of edges) {
    if (to > from) continue
    const loop = byHead.get(to)
    if (loop === undefined) byHead.set(to, { kind: 'loop', start: to, end: from + 1 })
    else loop.end = Math.max(loop.end, from + 1)
  }
  const loops = [...byHead.values()].sort((a, b) => a.start - b.start)
  for (let changed = true; changed; ) {
    changed = false
    for (const a of loops)
      for (const b of loops)
        if (a.start < b.start && b.start < a.end && a.end < b.end) {
          a.end = b.end
          changed = true
        }
  }
  return loops
}

/** One block scope for each target of forward jumps, opened before the first of them and outside the loops they leave. */
function findScopes(jumps: readonly (readonly [number, number])[], loops: readonly Scope[]): Scope[] {
  const byTarget = new Map<number, Scope>()
  for (const [from, to] of jumps) {
    let start = from
    for (const loop of loops)
      if (loop.start <= from && from < loop.end && to >= loop.end) start = Math.min(start, loop.start)
    const scope = byTarget.get(to)
    if (scope === undefined) byTarget.set(to, { kind: 'block', start, end: to })
    else scope.start = Math.min(scope.start, start)
  }
  const scopes = [...byTarget.values()]
  for (let changed = true; changed; ) {
    changed = false
    for (const a of scopes)
      for (const b of scopes)
        if (a.start < b.start && b.start < a.end && a.end < b.end) {
          b.start = a.start
          changed = true
        }
  }
  return scopes
}

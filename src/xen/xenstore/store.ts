/**
 * The tree of nodes, nothing but data: no permissions are judged here, no watches fire.
 *
 * A snapshot costs nothing: both trees share the nodes, and each copies a node before its first change to it
 * (`epoch` says to which tree a node belongs). Nodes are never changed while a snapshot can see them, so
 * `value`, `perms` and `listed` of an old node tell what changed since by comparing them.
 */
import { childOf, parentOf, segments } from './node-path.ts'
import type { Perms } from './perms.ts'

export interface Node {
  readonly value: Uint8Array
  readonly perms: Perms
  /** Names of the children at one moment: another number means that a child came or went. */
  readonly listed: number
  readonly children: ReadonlyMap<string, Node>
}

interface OwnNode {
  value: Uint8Array
  perms: Perms
  listed: number
  children: Map<string, OwnNode>
  epoch: number
}

/** What the nodes owned by one domain amount to. */
export interface Usage {
  readonly nodes: number
  readonly bytes: number
}

let lastNumber = 0
const fresh = () => ++lastNumber

const EMPTY = new Uint8Array(0)
const bareRoot = (): OwnNode => ({
  value: EMPTY,
  perms: [{ letter: 'n', domid: 0 }],
  listed: fresh(),
  children: new Map(),
  epoch: 0,
})
/** Bytes that a node counts for: its name and its value. */
const cost = (path: string, value: Uint8Array) => path.length + value.length

export class Store {
  #root: OwnNode
  #epoch: number
  readonly #usage: Map<number, Usage>

  /** Without arguments: a tree with only the root, owned by domain 0. */
  constructor(root: OwnNode = bareRoot(), usage = new Map([[0, { nodes: 1, bytes: cost('/', EMPTY) }]])) {
    this.#root = root
    this.#epoch = fresh()
    this.#usage = usage
  }

  /** A second tree with the same contents; later changes of either are not seen by the other. */
  snapshot(): Store {
    this.#epoch = fresh()
    return new Store(this.#root, new Map(this.#usage))
  }

  find(path: string): Node | undefined {
    let node: OwnNode | undefined = this.#root
    for (const name of segments(path)) {
      node = node.children.get(name)
      if (node === undefined) return undefined
    }
    return node
  }

  /** What `domid` owns. */
  usage(domid: number): Usage {
    return this.#usage.get(domid) ?? { nodes: 0, bytes: 0 }
  }

  /** Creates or changes a node; its parent must exist. */
  put(path: string, value: Uint8Array, perms: Perms): void {
    const node = path === '/' ? this.#ownRoot() : this.#ownChild(path, perms)
    this.#account(node.perms, -1, -cost(path, node.value))
    node.value = value
    node.perms = perms
    this.#account(perms, 1, cost(path, value))
  }

  /** Removes a node with all below it; it must exist and not be the root. */
  remove(path: string): void {
    const parent = this.#own(parentOf(path))
    const name = path.slice(path.lastIndexOf('/') + 1)
    for (const [each, node] of walk(path, parent.children.get(name)!)) {
      this.#account(node.perms, -1, -cost(each, node.value))
    }
    parent.children.delete(name)
    parent.listed = fresh()
  }

  /** Every node at and below `path`, parents before children, names sorted. */
  *walk(path: string): Generator<[path: string, node: Node], void, void> {
    const node = this.find(path)
    if (node !== undefined) yield* walk(path, node)
  }

  #account(perms: Perms, nodes: number, bytes: number): void {
    const owner = perms[0].domid
    const before = this.usage(owner)
    const after = { nodes: before.nodes + nodes, bytes: before.bytes + bytes }
    if (after.nodes === 0) this.#usage.delete(owner)
    else this.#usage.set(owner, after)
  }

  #mine(node: OwnNode): OwnNode {
    return node.epoch === this.#epoch
      ? node
      : { ...node, children: new Map(node.children), epoch: this.#epoch }
  }

  #ownRoot(): OwnNode {
    this.#root = this.#mine(this.#root)
    return this.#root
  }

  /** The node at `path`, ours to change, like all above it. */
  #own(path: string): OwnNode {
    let node = this.#ownRoot()
    for (const name of segments(path)) {
      const child = this.#mine(node.children.get(name)!)
      node.children.set(name, child)
      node = child
    }
    return node
  }

  #ownChild(path: string, perms: Perms): OwnNode {
    const parent = this.#own(parentOf(path))
    const name = path.slice(path.lastIndexOf('/') + 1)
    const old = parent.children.get(name)
    const child: OwnNode =
      old === undefined
        ? { value: EMPTY, perms, listed: fresh(), children: new Map(), epoch: this.#epoch }
        : this.#mine(old)
    if (old === undefined) {
      parent.listed = fresh()
      this.#account(perms, 1, cost(path, EMPTY))
    }
    parent.children.set(name, child)
    return child
  }
}

/** Names of the children in the order of their bytes, as oxenstored lists them. */
export const childNames = (node: Node): string[] => [...node.children.keys()].sort()

function* walk(path: string, node: Node): Generator<[string, Node], void, void> {
  yield [path, node]
  for (const name of childNames(node)) yield* walk(childOf(path, name), node.children.get(name)!)
}

/**
 * What the requests on nodes mean: permissions, inheritance, limits, and which error is told to whom
 * (docs/misc/xenstore.txt; the C xenstored where that is silent). Works the same in and outside of transactions.
 */
import {
  absolutePath,
  INTRODUCE_DOMAIN,
  isSpecial,
  parentOf,
  RELEASE_DOMAIN,
  specialNode,
} from './node-path.ts'
import {
  inheritedPerms,
  isPrivileged,
  MAY_CHANGE_PERMS,
  MAY_READ,
  MAY_WRITE,
  type Perms,
  rights,
  type Who,
} from './perms.ts'
import { exceeds, type Limits } from './quota.ts'
import { childNames, type Node } from './store.ts'
import { SEES, type View } from './tx.ts'
import type { XsErrno } from './wire.ts'

/** Ends a request with an ERROR packet; never leaves the connection's dispatcher. */
export class Refusal extends Error {
  readonly errno: XsErrno
  constructor(errno: XsErrno) {
    super(errno)
    this.errno = errno
  }
}

/** Who asks for what, seen how. */
export interface Access {
  readonly who: Who
  readonly limits: Readonly<Limits>
  readonly view: View
}

const EMPTY = new Uint8Array(0)

/** Absolute path of a name in a request. `special` allows @introduceDomain and @releaseDomain. */
export function resolve(access: Access, name: string | undefined, special = false): string {
  if (name !== undefined && isSpecial(name)) {
    const known = name === INTRODUCE_DOMAIN || name === RELEASE_DOMAIN
    if (!special || !known) throw new Refusal('EINVAL')
    return specialNode(name)
  }
  const path =
    name === undefined ? undefined : absolutePath(name, access.who.domid, access.limits['path-max'])
  if (path === undefined) throw new Refusal('EINVAL')
  return path
}

/** Nearest ancestor that exists. */
function ancestor(access: Access, path: string): { path: string; node: Node } {
  for (let at = parentOf(path); ; at = parentOf(at)) {
    const node = access.view.find(at, SEES.PERMS)
    if (node !== undefined) return { path: at, node }
  }
}

/**
 * The node, if `who` has all of `need`; undefined if there is none. Refuses with EACCES, also for what does not
 * exist when whoever asks may not know that.
 */
function look(access: Access, path: string, need: number, sees: number): Node | undefined {
  const node = access.view.find(path, sees | SEES.PERMS)
  if (node !== undefined && (rights(access.who, node.perms) & need) === need) return node
  if (path === '/') throw new Refusal('EACCES')
  if (node !== undefined || (rights(access.who, ancestor(access, path).node.perms) & need) === 0) {
    throw new Refusal('EACCES')
  }
  return undefined
}

function lookFor(access: Access, path: string, need: number, sees: number): Node {
  const node = look(access, path, need, sees)
  if (node === undefined) throw new Refusal('ENOENT')
  return node
}

export const read = (access: Access, name: string | undefined): Uint8Array =>
  lookFor(access, resolve(access, name), MAY_READ, SEES.VALUE).value

/** Sorted names of the children, and a number that changes when one comes or goes. */
export function directory(access: Access, name: string | undefined): { names: string[]; generation: number } {
  const node = lookFor(access, resolve(access, name), MAY_READ, SEES.CHILDREN)
  return { names: childNames(node), generation: node.listed }
}

export function write(access: Access, name: string | undefined, value: Uint8Array): void {
  const path = resolve(access, name)
  if (exceeds(access.limits, 'node-size', value.length)) throw new Refusal('ENOSPC')
  const node = look(access, path, MAY_WRITE, SEES.EXISTENCE)
  if (node === undefined) create(access, path, value)
  else put(access, path, value, node.perms, node)
}

export function mkdir(access: Access, name: string | undefined): void {
  const path = resolve(access, name)
  if (look(access, path, MAY_WRITE, SEES.EXISTENCE) === undefined) create(access, path, EMPTY)
}

/** No error if the node is missing but its parent is there. */
export function rm(access: Access, name: string | undefined): void {
  const path = resolve(access, name)
  if (look(access, path, MAY_WRITE, SEES.EXISTENCE) === undefined) {
    if (access.view.find(parentOf(path), SEES.EXISTENCE) === undefined) throw new Refusal('ENOENT')
    return
  }
  if (path === '/') throw new Refusal('EINVAL')
  access.view.remove(path)
}

export const getPerms = (access: Access, name: string | undefined): Perms =>
  lookFor(access, resolve(access, name, true), MAY_READ, SEES.PERMS).perms

export function setPerms(access: Access, name: string | undefined, perms: Perms): void {
  const path = resolve(access, name, true)
  if (exceeds(access.limits, 'node-permissions', perms.length)) throw new Refusal('ENOSPC')
  const node = lookFor(access, path, MAY_WRITE | MAY_CHANGE_PERMS, SEES.VALUE)
  // Only dom0 gives nodes away: else a domain could fill another one's quota.
  if (!isPrivileged(access.who) && perms[0].domid !== node.perms[0].domid) throw new Refusal('EPERM')
  put(access, path, node.value, perms, node)
}

/** Makes the node and what is missing above it. */
function create(access: Access, path: string, value: Uint8Array): void {
  const top = ancestor(access, path)
  const missing = [path]
  for (let at = parentOf(path); at !== top.path; at = parentOf(at)) missing.push(at)
  const perms = inheritedPerms(access.who, top.node.perms)
  const owned = access.view.usage(access.who.domid)
  if (exceeds(access.limits, 'nodes', owned.nodes + missing.length)) throw new Refusal('ENOSPC')
  const bytes = missing.reduce((sum, each) => sum + each.length, value.length)
  if (exceeds(access.limits, 'memory', owned.bytes + bytes)) throw new Refusal('ENOMEM')
  for (const each of missing.reverse()) {
    if (each === path) access.view.put(path, value, perms)
    else access.view.put(each, EMPTY, perms, true)
  }
}

function put(access: Access, path: string, value: Uint8Array, perms: Perms, old: Node): void {
  const growth = value.length - old.value.length
  const { bytes } = access.view.usage(access.who.domid)
  if (growth > 0 && exceeds(access.limits, 'memory', bytes + growth)) throw new Refusal('ENOMEM')
  access.view.put(path, value, perms)
}

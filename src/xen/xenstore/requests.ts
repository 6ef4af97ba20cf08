/**
 * The requests of the wire protocol, one row each: who may send it, what the payload means, what is answered
 * (docs/misc/xenstore.txt; the C xenstored where that is silent). Requests on nodes go on to node-requests.ts.
 */
import type { Connection } from './connection.ts'
import { control } from './control.ts'
import type { DomainRecord, Entry } from './entries.ts'
import { absolutePath, domainPath, isSpecial } from './node-path.ts'
import * as nodes from './node-requests.ts'
import { type Access, Refusal } from './node-requests.ts'
import { formatPerms, isPrivileged, parsePerms } from './perms.ts'
import { exceeds, isQuotaName, type Limits, QUOTA_NAMES } from './quota.ts'
import type { Store } from './store.ts'
import { type DirectView, Transaction } from './tx.ts'
import { latin1, latin1Bytes, oneString, PAYLOAD_MAX, strings, stringsPayload, XS } from './wire.ts'

/** XENSTORE_SERVER_FEATURE_*. */
const RECONNECTION = 1
const ERROR_INDICATOR = 2
const WATCH_DEPTH = 4
export const SERVER_FEATURES = RECONNECTION | ERROR_INDICATOR | WATCH_DEPTH

/** First id that is no domain's (xen.h, DOMID_FIRST_RESERVED, which is DOMID_SELF). */
export const DOMID_FIRST_RESERVED = 0x7ff0

/** What requests do with the store beyond its nodes. */
export interface StoreState {
  readonly store: Store
  /** Limits that new domains get. */
  limits: Limits
  /** True for dom0 and for domains between INTRODUCE and RELEASE. */
  isIntroduced(domid: number): boolean
  domain(domid: number): DomainRecord | undefined
  limitsOf(domid: number): Readonly<Limits>
  /** What is in use of a domain's limits. */
  inUse(domid: number): { nodes: number; bytes: number; watches: number; transactions: number }
  /** Changes what is known of a domain, making it known if it was not; the caller puts the entry on record. */
  setDomain(domid: number, fields: Partial<DomainRecord>): Entry
  /** After INTRODUCE: a connection that was there starts from nothing; a new domain is announced. */
  introduced(domid: number, isNew: boolean): void
  /** The domain has shut down and still exists: @releaseDomain, once until `resumed`. */
  domainShutdown(domid: number): void
  resumed(domid: number): void
  /** The domain is gone: its connection ends, nothing in the tree is its any more, @releaseDomain. */
  release(domid: number): void
  log(message: string): void
}

export interface Call {
  readonly state: StoreState
  readonly connection: Connection
  readonly payload: Uint8Array
  readonly access: Access
  /** Changes of the store itself go through this view. */
  readonly direct: DirectView
  readonly txId: number
  readonly tx: Transaction | undefined
  /** Put on record with the changes of `direct`, before the reply. */
  readonly entries: Entry[]
  /** Run after the reply was queued. */
  readonly after: (() => void)[]
}

export interface Request {
  readonly name: keyof typeof XS
  readonly privileged?: boolean
  /** A transaction id in the header means nothing. */
  readonly ignoresTx?: boolean
  /** Payload of the reply; refuses by throwing a Refusal. */
  handle(call: Call): Uint8Array
}

const OK = stringsPayload(['OK'])

const inTx = (call: Call): Access => {
  if (call.tx !== undefined && exceeds(call.access.limits, 'transaction-nodes', call.tx.breadth)) {
    throw new Refusal('ENOSPC')
  }
  return call.access
}

function fits(payload: Uint8Array): Uint8Array {
  if (payload.length > PAYLOAD_MAX) throw new Refusal('E2BIG')
  return payload
}

/** The path and the bytes behind its NUL. */
function pathAndRest(payload: Uint8Array): [string, Uint8Array] {
  const end = payload.indexOf(0)
  if (end < 0) throw new Refusal('EINVAL')
  return [latin1(payload.subarray(0, end)), payload.slice(end + 1)]
}

function domidOf(word: string | undefined): number {
  if (word === undefined || !/^\d{1,5}$/.test(word) || Number(word) > 0xffff) throw new Refusal('EINVAL')
  return Number(word)
}

/** A number as C's atoi reads it. */
const numberOf = (word: string): number => Number(/^\s*[-+]?\d+/.exec(word)?.[0] ?? 0)

/** The domain that a request of one argument names: introduced, and not dom0. */
function guestOf(call: Call): number {
  const domid = domidOf(oneString(call.payload))
  if (domid === 0) throw new Refusal('EINVAL')
  if (!call.state.isIntroduced(domid)) throw new Refusal('ENOENT')
  return domid
}

/** Guests keep watches and transactions over a restart of the store: those go on record. */
const isGuest = (call: Call): boolean => call.connection.domid !== 0

function directoryPart(call: Call): Uint8Array {
  const words = strings(call.payload)
  if (words.length !== 2) throw new Refusal('EINVAL')
  const { names, generation } = nodes.directory(inTx(call), words[0])
  const list = latin1Bytes(names.map((name) => `${name}\0`).join(''))
  const head = `${generation}\0`
  const offset = numberOf(words[1]!)
  // GUEST: an offset outside the list gets the empty string that ends every list.
  if (offset < 0 || offset >= list.length) return latin1Bytes(`${head}\0`)
  const room = PAYLOAD_MAX - head.length - 1
  const atEnd = list.length - offset <= room
  // Only whole names; the empty string behind the last one says that the list is complete.
  const end = atEnd ? list.length : list.lastIndexOf(0, offset + room - 1) + 1
  return Uint8Array.from([...latin1Bytes(head), ...list.subarray(offset, end), ...(atEnd ? [0] : [])])
}

function watch(call: Call): Uint8Array {
  const { connection, access, state } = call
  const words = strings(call.payload)
  const [name, token, depthWord] = words
  const features = isGuest(call) ? (state.domain(connection.domid)?.features ?? 0) : SERVER_FEATURES
  const mayDepth = (features & WATCH_DEPTH) !== 0
  if (name === undefined || token === undefined || words.length > (mayDepth ? 3 : 2))
    throw new Refusal('EINVAL')
  const depth = depthWord === undefined ? undefined : numberOf(depthWord)
  const path = watchPath(access, name)
  if (path === undefined || (depth !== undefined && depth < 0)) throw new Refusal('EINVAL')
  if (exceeds(access.limits, 'watches', connection.watches.size + 1)) throw new Refusal('ENOSPC')
  if (!connection.watches.add({ name, path, token, depth })) throw new Refusal('EEXIST')
  if (isGuest(call)) call.entries.push(['watch', connection.domid, name, token, depth ?? null])
  // A new watch is told once at once: who sets it need not ask first.
  call.after.push(() => connection.event(name, token))
  return OK
}

/** Any special name may be watched: one that never happens is never told. */
const watchPath = (access: Access, name: string): string | undefined =>
  isSpecial(name)
    ? /^@[A-Za-z0-9\-/_@]*$/.test(name)
      ? name
      : undefined
    : absolutePath(name, access.who.domid, access.limits['path-max'])

function unwatch(call: Call): Uint8Array {
  const words = strings(call.payload)
  const [name, token] = words
  if (name === undefined || token === undefined || words.length !== 2) throw new Refusal('EINVAL')
  const path = watchPath(call.access, name)
  if (path === undefined) throw new Refusal('EINVAL')
  if (!call.connection.watches.remove(path, token)) throw new Refusal('ENOENT')
  if (isGuest(call)) call.entries.push(['unwatch', call.connection.domid, path, token])
  return OK
}

function transactionStart(call: Call): Uint8Array {
  const { connection, access } = call
  if (call.tx !== undefined) throw new Refusal('EBUSY')
  if (exceeds(access.limits, 'transactions', connection.transactions.size + 1)) throw new Refusal('ENOSPC')
  const id = connection.begin(new Transaction(call.state.store))
  if (isGuest(call)) call.entries.push(['begin', connection.domid, id])
  return stringsPayload([`${id}`])
}

function transactionEnd(call: Call): Uint8Array {
  const { connection, access, tx } = call
  const word = oneString(call.payload)
  if (word !== 'T' && word !== 'F') throw new Refusal('EINVAL')
  if (tx === undefined) throw new Refusal('ENOENT')
  connection.transactions.delete(call.txId)
  const end: Entry = ['end', connection.domid, call.txId]
  if (isGuest(call)) call.entries.push(end)
  if (word === 'F') return OK
  const gained = tx.gained(connection.domid)
  const owned = call.state.store.usage(connection.domid).nodes
  const tooMany = gained > 0 && exceeds(access.limits, 'nodes', owned + gained)
  const changes = tooMany ? undefined : tx.conclude(call.state.store)
  if (changes === undefined) throw new Refusal(tooMany ? 'ENOSPC' : 'EAGAIN')
  for (const change of changes) call.direct.apply(change)
  return OK
}

function introduce(call: Call): Uint8Array {
  const [domidWord, gfnWord, portWord] = strings(call.payload)
  if (gfnWord === undefined || portWord === undefined) throw new Refusal('EINVAL')
  const domid = domidOf(domidWord)
  const port = numberOf(portWord)
  if (port <= 0 || domid === 0 || domid >= DOMID_FIRST_RESERVED) throw new Refusal('EINVAL')
  const isNew = !call.state.isIntroduced(domid)
  call.entries.push(call.state.setDomain(domid, { introduced: true, gfn: numberOf(gfnWord), port }))
  call.after.push(() => call.state.introduced(domid, isNew))
  return OK
}

function setTarget(call: Call): Uint8Array {
  const [domid, target] = strings(call.payload).map(domidOf)
  if (domid === undefined || target === undefined) throw new Refusal('EINVAL')
  for (const each of [domid, target]) if (!call.state.isIntroduced(each)) throw new Refusal('ENOENT')
  if (domid !== 0) call.entries.push(call.state.setDomain(domid, { target }))
  return OK
}

function getFeature(call: Call): Uint8Array {
  const words = strings(call.payload)
  if (words.length === 0) {
    const own = isGuest(call) ? call.state.domain(call.connection.domid)?.features : SERVER_FEATURES
    return stringsPayload([`${own ?? 0}`])
  }
  if (!isPrivileged(call.connection.who)) throw new Refusal('EACCES')
  if (words.length > 1) throw new Refusal('EINVAL')
  const domain = call.state.domain(domidOf(words[0]))
  if (domain === undefined) throw new Refusal('ENOENT')
  return stringsPayload([`${domain.features}`])
}

function setFeature(call: Call): Uint8Array {
  const words = strings(call.payload)
  if (words.length !== 2) throw new Refusal('EINVAL')
  const domid = domidOf(words[0])
  const features = numberOf(words[1]!)
  if (domid === 0 || domid >= DOMID_FIRST_RESERVED) throw new Refusal('ENOENT')
  if (call.state.isIntroduced(domid)) throw new Refusal('EBUSY')
  if (features < 0 || (features & ~SERVER_FEATURES) !== 0) throw new Refusal('EINVAL')
  call.entries.push(call.state.setDomain(domid, { features }))
  return OK
}

function getQuota(call: Call): Uint8Array {
  const words = strings(call.payload)
  if (words.length === 0) return stringsPayload([QUOTA_NAMES.join(' ')])
  if (words.length > 2) throw new Refusal('EINVAL')
  const name = words.at(-1)!
  const domid = words.length === 2 ? domidOf(words[0]) : undefined
  const limits = domid === undefined ? call.state.limits : call.state.domain(domid)?.limits
  if (limits === undefined) throw new Refusal('ENOENT')
  if (!isQuotaName(name)) throw new Refusal('EINVAL')
  return stringsPayload([`${limits[name]}`])
}

function setQuota(call: Call): Uint8Array {
  const words = strings(call.payload)
  if (words.length < 2 || words.length > 3) throw new Refusal('EINVAL')
  const [name, word] = words.slice(-2) as [string, string]
  const value = numberOf(word)
  const domid = words.length === 3 ? domidOf(words[0]) : undefined
  if (domid === 0 || (domid !== undefined && domid >= DOMID_FIRST_RESERVED)) throw new Refusal('ENOENT')
  if (!isQuotaName(name) || value < 0 || value > 0xffffffff) throw new Refusal('EINVAL')
  if (domid === undefined) {
    call.state.limits = { ...call.state.limits, [name]: value }
    call.entries.push(['limits', call.state.limits])
  } else {
    const limits = { ...call.state.limitsOf(domid), [name]: value }
    call.entries.push(call.state.setDomain(domid, { limits }))
  }
  return OK
}

const rows: readonly Request[] = [
  {
    name: 'CONTROL',
    privileged: true,
    handle: (call) => fits(control(call.state, strings(call.payload), call.entries)),
  },
  {
    name: 'DIRECTORY',
    handle: (call) => fits(stringsPayload(nodes.directory(inTx(call), oneString(call.payload)).names)),
  },
  { name: 'DIRECTORY_PART', handle: directoryPart },
  { name: 'READ', handle: (call) => fits(nodes.read(inTx(call), oneString(call.payload))) },
  {
    name: 'WRITE',
    handle: (call) => {
      const [path, value] = pathAndRest(call.payload)
      nodes.write(inTx(call), path, value)
      return OK
    },
  },
  {
    name: 'MKDIR',
    handle: (call) => {
      nodes.mkdir(inTx(call), oneString(call.payload))
      return OK
    },
  },
  {
    name: 'RM',
    handle: (call) => {
      nodes.rm(inTx(call), oneString(call.payload))
      return OK
    },
  },
  {
    name: 'GET_PERMS',
    handle: (call) => fits(stringsPayload(formatPerms(nodes.getPerms(inTx(call), oneString(call.payload))))),
  },
  {
    name: 'SET_PERMS',
    handle: (call) => {
      const [path, ...words] = strings(call.payload)
      const perms = parsePerms(words)
      if (perms === undefined) throw new Refusal('EINVAL')
      nodes.setPerms(inTx(call), path, perms)
      return OK
    },
  },
  { name: 'WATCH', ignoresTx: true, handle: watch },
  { name: 'UNWATCH', ignoresTx: true, handle: unwatch },
  {
    name: 'RESET_WATCHES',
    handle: (call) => {
      call.connection.reset()
      if (isGuest(call)) call.entries.push(['reset', call.connection.domid])
      return OK
    },
  },
  { name: 'TRANSACTION_START', handle: transactionStart },
  { name: 'TRANSACTION_END', handle: transactionEnd },
  { name: 'INTRODUCE', privileged: true, handle: introduce },
  {
    name: 'RELEASE',
    privileged: true,
    handle: (call) => {
      const domid = guestOf(call)
      call.after.push(() => call.state.release(domid))
      return OK
    },
  },
  {
    name: 'RESUME',
    privileged: true,
    handle: (call) => {
      call.state.resumed(guestOf(call))
      return OK
    },
  },
  { name: 'SET_TARGET', privileged: true, handle: setTarget },
  {
    name: 'GET_DOMAIN_PATH',
    handle: (call) => stringsPayload([domainPath(domidOf(oneString(call.payload)))]),
  },
  {
    name: 'IS_DOMAIN_INTRODUCED',
    privileged: true,
    handle: (call) => {
      const domid = domidOf(oneString(call.payload))
      return stringsPayload([domid === DOMID_FIRST_RESERVED || call.state.isIntroduced(domid) ? 'T' : 'F'])
    },
  },
  { name: 'GET_FEATURE', handle: getFeature },
  { name: 'SET_FEATURE', privileged: true, handle: setFeature },
  { name: 'GET_QUOTA', privileged: true, handle: getQuota },
  { name: 'SET_QUOTA', privileged: true, handle: setQuota },
]

/** By number of the wire. Numbers without a row are answered ENOSYS. */
export const REQUESTS: ReadonlyMap<number, Request> = new Map(rows.map((row) => [XS[row.name], row]))

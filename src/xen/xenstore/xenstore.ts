/**
 * The whole store: tree, domains, connections. Takes packets, queues answers and events on connections, and
 * records what must outlive the process. No I/O and no clock: a host (src/xenstored) moves the bytes.
 *
 * ORDER: for each request: its changes are recorded, then its reply is queued, then the events that it causes;
 * so a host that writes records at once never shows anybody what it could lose.
 */
import { Connection } from './connection.ts'
import { Domains } from './domains.ts'
import { changeEntry, type DomainRecord, type Entry, entryChange } from './entries.ts'
import {
  absolutePath,
  INTRODUCE_DOMAIN,
  isSpecial,
  parentOf,
  RELEASE_DOMAIN,
  specialNode,
} from './node-path.ts'
import { Refusal } from './node-requests.ts'
import { isPrivileged, MAY_READ, type Perms, rights } from './perms.ts'
import type { Limits } from './quota.ts'
import { REQUESTS, type StoreState } from './requests.ts'
import { Store } from './store.ts'
import { applyChange, type Change, DirectView, type Touched, Transaction } from './tx.ts'
import { specialMatch, toldPath, watchMatch } from './watch.ts'
import { latin1Bytes, type Packet, XS } from './wire.ts'

export interface XenstoreHost {
  /** All entries of one request: they happen together or not at all. */
  record(entries: readonly Entry[]): void
  /** For people: what CONTROL print says, guests that break rules. */
  log(message: string): void
}

/** How a guest's connection begins. */
export interface GuestStart {
  /** It was connected before the store restarted: its watches and transactions are still there. */
  readonly resume: boolean
  /** The domain lives as long as this connection: introduced with it, released when it ends. */
  readonly introduce?: { readonly gfn: number; readonly port: number } | undefined
}

const OWNED_BY_DOM0: Perms = [{ letter: 'n', domid: 0 }]

export class Xenstore implements StoreState {
  readonly store = new Store()
  readonly #host: XenstoreHost
  readonly #domains = new Domains()
  readonly #connections = new Set<Connection>()

  constructor(host: XenstoreHost) {
    this.#host = host
  }

  /** Nothing was ever written: to be populated. */
  get isNew(): boolean {
    return this.store.find('/tool/xenstored') === undefined
  }

  /** Fills a new store: the daemon's own nodes and `nodes`, all of dom0 alone, with what is missing above them. */
  populate(nodes: readonly { readonly path: string; readonly value: string }[] = []): void {
    const specials = [INTRODUCE_DOMAIN, RELEASE_DOMAIN].map((name) => ({
      path: specialNode(name),
      value: '',
    }))
    const changes: Change[] = []
    const made = new Set(['/'])
    const make = (path: string, value: string) => {
      if (made.has(path)) return
      make(parentOf(path), '')
      made.add(path)
      changes.push({ op: 'put', path, value: latin1Bytes(value), perms: OWNED_BY_DOM0 })
    }
    for (const node of [{ path: '/tool/xenstored', value: 'xt' }, ...specials, ...nodes])
      make(node.path, node.value)
    this.#finish(changes)
  }

  /** A tool of dom0. */
  connectTool(): Connection {
    const connection = new Connection(0, () => this.limitsOf(0))
    this.#connections.add(connection)
    return connection
  }

  /** A guest's ring. Answers why not if the domain is not introduced or is connected already. */
  connectGuest(domid: number, start: GuestStart): Connection | string {
    if (this.#domains.get(domid)?.connection !== undefined) return 'the domain is connected already'
    const isNew = !this.#domains.isIntroduced(domid)
    if (isNew && start.introduce === undefined) return 'the domain is not introduced'
    if (start.introduce !== undefined) {
      this.#host.record([this.setDomain(domid, { introduced: true, linked: true, ...start.introduce })])
    }
    const domain = this.#domains.get(domid)!
    const carried = this.#domains.takeCarried(domid)
    const connection = start.resume && carried !== undefined ? carried : this.#guestConnection(domid)
    if (connection !== carried) this.#host.record([['reset', domid]])
    domain.connection = connection
    connection.setTarget(domain.record.target)
    this.#connections.add(connection)
    if (isNew) this.#fireSpecial(INTRODUCE_DOMAIN, domid)
    return connection
  }

  /** The other end of a connection is gone. */
  disconnect(connection: Connection): void {
    this.#connections.delete(connection)
    connection.close('disconnected')
    const domain = this.#domains.get(connection.domid)
    if (domain === undefined || domain.connection !== connection) return
    domain.connection = undefined
    if (domain.record.linked === true) this.release(connection.domid)
    else this.#host.record([['reset', connection.domid]])
  }

  /** Releases domains that live with their connection and have none: whose process died while the store was away. */
  releaseUnlinked(): void {
    for (const { record, connection } of [...this.#domains]) {
      if (record.linked === true && connection === undefined) this.release(record.domid)
    }
  }

  /** Executes one request: queues its answer and whatever events follow. */
  handle(connection: Connection, packet: Packet): void {
    const { type, reqId, txId, payload } = packet
    const direct = new DirectView(this.store)
    const entries: Entry[] = []
    const after: (() => void)[] = []
    try {
      const request = REQUESTS.get(type)
      if (request === undefined) throw new Refusal('ENOSYS')
      if (request.privileged === true && !isPrivileged(connection.who)) throw new Refusal('EACCES')
      const tx = request.ignoresTx === true || txId === 0 ? undefined : connection.transactions.get(txId)
      if (tx === undefined && txId !== 0 && request.ignoresTx !== true) throw new Refusal('ENOENT')
      const access = { who: connection.who, limits: connection.limits, view: tx ?? direct }
      const answer = request.handle({
        state: this,
        connection,
        payload,
        access,
        direct,
        txId,
        tx,
        entries,
        after,
      })
      this.#record([...direct.changes.map(changeEntry), ...entries])
      connection.reply(type, reqId, txId, answer)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#record(entries)
      connection.reply(XS.ERROR, reqId, txId, latin1Bytes(`${error.errno}\0`))
      return
    }
    this.#fire(direct.touched)
    for (const task of after) task()
  }

  #record(entries: readonly Entry[]): void {
    if (entries.length > 0) this.#host.record(entries)
  }

  /** Makes changes that no client asked for. */
  #finish(changes: readonly Change[], quiet = false): void {
    const touched = changes.flatMap((change) => applyChange(this.store, change))
    this.#record(changes.map(changeEntry))
    if (!quiet) this.#fire(touched)
  }

  #fire(touched: readonly Touched[]): void {
    for (const each of touched) {
      for (const connection of this.#connections) {
        const { who } = connection
        for (const watch of connection.watches) {
          const path = watchMatch(watch, each, who)
          if (path !== undefined) connection.event(toldPath(watch, path, connection.domid), watch.token)
        }
      }
    }
  }

  #fireSpecial(event: string, domid: number): void {
    const perms = this.store.find(specialNode(event))?.perms ?? OWNED_BY_DOM0
    for (const connection of this.#connections) {
      if ((rights(connection.who, perms) & MAY_READ) === 0) continue
      for (const watch of connection.watches) {
        const path = specialMatch(watch, event, domid)
        if (path !== undefined) connection.event(path, watch.token)
      }
    }
  }

  log(message: string): void {
    this.#host.log(message)
  }

  // Domains.

  get limits(): Limits {
    return this.#domains.limits
  }

  set limits(limits: Limits) {
    this.#domains.limits = limits
  }

  /** Ids of the introduced domains, without dom0. */
  get domids(): number[] {
    return [...this.#domains].filter((each) => each.record.introduced).map((each) => each.record.domid)
  }

  isIntroduced(domid: number): boolean {
    return this.#domains.isIntroduced(domid)
  }

  domain(domid: number): DomainRecord | undefined {
    return this.#domains.get(domid)?.record
  }

  limitsOf(domid: number): Readonly<Limits> {
    return this.#domains.limitsOf(domid)
  }

  inUse(domid: number): { nodes: number; bytes: number; watches: number; transactions: number } {
    const connection = this.#domains.get(domid)?.connection
    return {
      ...this.store.usage(domid),
      watches: connection?.watches.size ?? 0,
      transactions: connection?.transactions.size ?? 0,
    }
  }

  setDomain(domid: number, fields: Partial<DomainRecord>): Entry {
    return ['domain', this.#domains.set(domid, fields)]
  }

  introduced(domid: number, isNew: boolean): void {
    this.#domains.get(domid)?.connection?.reset()
    this.#host.record([['reset', domid]])
    if (isNew) this.#fireSpecial(INTRODUCE_DOMAIN, domid)
  }

  domainShutdown(domid: number): void {
    const domain = this.#domains.get(domid)
    if (domain === undefined || domain.shutdown) return
    domain.shutdown = true
    this.#fireSpecial(RELEASE_DOMAIN, domid)
  }

  resumed(domid: number): void {
    const domain = this.#domains.get(domid)
    if (domain !== undefined) domain.shutdown = false
  }

  release(domid: number): void {
    const domain = this.#domains.remove(domid)
    if (domain === undefined) return
    if (domain.connection !== undefined) {
      this.#connections.delete(domain.connection)
      domain.connection.close('released')
    }
    this.#record([['released', domid]])
    this.#disown(domid)
    this.#fireSpecial(RELEASE_DOMAIN, domid)
  }

  /** Nodes owned by the domain go, and it is taken off all lists: a later domain of this id inherits nothing. */
  #disown(domid: number): void {
    const orphans: Change[] = []
    const others: Change[] = []
    let orphan = ''
    for (const [path, { value, perms }] of this.store.walk('/')) {
      if (orphan !== '' && path.startsWith(`${orphan}/`)) continue
      const [owner, ...listed] = perms
      if (owner.domid === domid && path !== '/') {
        orphans.push({ op: 'remove', path })
        orphan = path
      } else if (listed.some((perm) => perm.domid === domid)) {
        const kept: Perms = [owner, ...listed.filter((perm) => perm.domid !== domid)]
        others.push({ op: 'put', path, value, perms: kept })
      }
    }
    this.#finish(others, true)
    this.#finish(orphans)
  }

  #guestConnection(domid: number): Connection {
    return new Connection(domid, () => this.limitsOf(domid))
  }

  // Restart.

  /** Everything that `replay` needs to make this state again. */
  *entries(): Generator<Entry, void, void> {
    yield ['limits', this.limits]
    for (const [path, node] of this.store.walk('/')) {
      yield changeEntry({ op: 'put', path, value: node.value, perms: node.perms })
    }
    for (const { record, connection } of this.#domains) {
      const { domid } = record
      yield ['domain', record]
      const kept = connection ?? this.#domains.carried(domid)
      for (const { name, token, depth } of kept?.watches ?? [])
        yield ['watch', domid, name, token, depth ?? null]
      for (const id of kept?.transactions.keys() ?? []) yield ['begin', domid, id]
    }
  }

  /** Makes the state that the entries tell of; before anybody connects. False for an entry that makes no sense. */
  replay(entry: Entry): boolean {
    switch (entry[0]) {
      case 'put':
      case 'remove':
        return this.#replayChange(entryChange(entry))
      case 'domain':
        this.setDomain(entry[1].domid, entry[1])
        return true
      case 'released':
        return this.#domains.remove(entry[1]) !== undefined
      case 'limits':
        this.limits = entry[1]
        return true
      case 'watch': {
        const [, domid, name, token, depth] = entry
        const path = isSpecial(name) ? name : absolutePath(name, domid, 0)
        return (
          path !== undefined &&
          this.#carry(domid).watches.add({ name, path, token, depth: depth ?? undefined })
        )
      }
      case 'unwatch':
        return this.#carry(entry[1]).watches.remove(entry[2], entry[3])
      case 'begin':
        this.#carry(entry[1]).transactions.set(entry[2], new Transaction(this.store, true))
        return true
      case 'end':
        return this.#carry(entry[1]).transactions.delete(entry[2])
      case 'reset':
        this.#domains.takeCarried(entry[1])
        return true
      default:
        return false
    }
  }

  #replayChange(change: Change | undefined): boolean {
    if (change === undefined) return false
    const needed = change.op === 'put' && change.path !== '/' ? parentOf(change.path) : change.path
    if (this.store.find(needed) === undefined) return false
    applyChange(this.store, change)
    return true
  }

  #carry(domid: number): Connection {
    const connection = this.#domains.carried(domid) ?? this.#guestConnection(domid)
    this.#domains.carry(domid, connection)
    return connection
  }
}

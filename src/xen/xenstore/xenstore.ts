/**
 * The whole store: tree, domains, connections. Takes packets, queues answers and events on connections, and
 * records what must outlive the process. No I/O and no clock: a host (src/xenstored) moves the bytes.
 *
 * ORDER: for each request: its changes are recorded, then its reply is queued, then the events that it causes;
 * so a host that writes records at once never shows anybody what it could lose.
 */
import { Connection } from './connection.ts'
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
import { defaultLimits, type Limits, NO_LIMITS } from './quota.ts'
import { REQUESTS, SERVER_FEATURES, type StoreState } from './requests.ts'
import { Store } from './store.ts'
import { applyChange, type Change, DirectView, type Touched, Transaction } from './tx.ts'
import { matches, specialMatch, toldPath } from './watch.ts'
import { latin1Bytes, type Packet, XS } from './wire.ts'

export interface XenstoreHost {
  /** All entries of one request: they happen together or not at all. */
  record(entries: readonly Entry[]): void
  /** For people: what CONTROL print says, guests that break rules. */
  log(message: string): void
}

interface Domain {
  record: DomainRecord
  connection: Connection | undefined
  /** It was told to be shut down, and @releaseDomain fired for that. */
  shutdown: boolean
}

const OWNED_BY_DOM0: Perms = [{ letter: 'n', domid: 0 }]

export class Xenstore implements StoreState {
  readonly store = new Store()
  readonly #host: XenstoreHost
  limits: Limits = defaultLimits()
  readonly #domains = new Map<number, Domain>()
  readonly #connections = new Set<Connection>()
  /** Connections of guests as the journal left them, until their other end comes back. */
  readonly #carried = new Map<number, Connection>()

  constructor(host: XenstoreHost) {
    this.#host = host
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

  /** Nothing was ever written: to be populated. */
  get isNew(): boolean {
    return this.store.find('/tool/xenstored') === undefined
  }

  /** A tool of dom0. */
  connectTool(): Connection {
    const connection = new Connection(0, () => NO_LIMITS)
    this.#connections.add(connection)
    return connection
  }

  /**
   * The ring of an introduced domain. `resume`: the guest has talked to this store before it restarted, so its
   * watches and transactions are still there. Answers undefined if the domain is not introduced or is connected.
   */
  connectGuest(domid: number, resume: boolean): Connection | undefined {
    const domain = this.#domains.get(domid)
    if (domain === undefined || !domain.record.introduced || domain.connection !== undefined) return undefined
    const carried = this.#carried.get(domid)
    this.#carried.delete(domid)
    const connection = resume && carried !== undefined ? carried : this.#guestConnection(domid)
    if (connection !== carried) this.#host.record([['reset', domid]])
    domain.connection = connection
    connection.setTarget(domain.record.target)
    this.#connections.add(connection)
    return connection
  }

  /** The other end of a connection is gone. */
  disconnect(connection: Connection): void {
    this.#connections.delete(connection)
    connection.close('disconnected')
    const domain = this.#domains.get(connection.domid)
    if (domain?.connection === connection) {
      domain.connection = undefined
      this.#host.record([['reset', connection.domid]])
    }
  }

  /** Executes one request: queues its answer and whatever events follow. */
  handle(connection: Connection, packet: Packet): void {
    const { type, reqId, txId } = packet
    const view = new DirectView(this.store)
    const entries: Entry[] = []
    const after: (() => void)[] = []
    try {
      const request = REQUESTS.get(type)
      if (request === undefined) throw new Refusal('ENOSYS')
      if (request.privileged === true && !isPrivileged(connection.who)) throw new Refusal('EACCES')
      const tx = request.ignoresTx === true || txId === 0 ? undefined : connection.transactions.get(txId)
      if (tx === undefined && txId !== 0 && request.ignoresTx !== true) throw new Refusal('ENOENT')
      const access = { who: connection.who, limits: connection.limits, view: tx ?? view }
      const call = {
        state: this,
        connection,
        payload: packet.payload,
        access,
        direct: view,
        txId,
        tx,
        entries,
        after,
      }
      const payload = request.handle(call)
      if (view.changes.length > 0) entries.unshift(...view.changes.map(changeEntry))
      if (entries.length > 0) this.#host.record(entries)
      connection.reply(type, reqId, txId, payload)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      if (entries.length > 0) this.#host.record(entries)
      connection.reply(XS.ERROR, reqId, txId, latin1Bytes(`${error.errno}\0`))
      return
    }
    this.#fire(view.touched)
    for (const task of after) task()
  }

  /** Makes changes that no client asked for. */
  #finish(changes: readonly Change[], quiet = false): void {
    if (changes.length === 0) return
    const touched = changes.flatMap((change) => applyChange(this.store, change))
    this.#host.record(changes.map(changeEntry))
    if (!quiet) this.#fire(touched)
  }

  #fire(touched: readonly Touched[]): void {
    for (const each of touched) {
      for (const connection of this.#connections) {
        if (connection.watches.size === 0) continue
        const { who } = connection
        if (!each.readers.some((perms) => (rights(who, perms) & MAY_READ) !== 0)) continue
        for (const watch of connection.watches) {
          if (matches(watch, each))
            connection.event(toldPath(watch, each.path, connection.domid), watch.token)
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

  get domids(): number[] {
    return [...this.#domains.values()]
      .filter((each) => each.record.introduced)
      .map((each) => each.record.domid)
  }

  /** True for dom0 and for domains between INTRODUCE and RELEASE. */
  isIntroduced(domid: number): boolean {
    return domid === 0 || this.#domains.get(domid)?.record.introduced === true
  }

  domain(domid: number): DomainRecord | undefined {
    return this.#domains.get(domid)?.record
  }

  /** Limits of one domain. */
  limitsOf(domid: number): Readonly<Limits> {
    return domid === 0 ? NO_LIMITS : (this.#domains.get(domid)?.record.limits ?? this.limits)
  }

  /** What is in use of a domain's limits, for people. */
  inUse(domid: number): { nodes: number; bytes: number; watches: number; transactions: number } {
    const connection = this.#domains.get(domid)?.connection
    return {
      ...this.store.usage(domid),
      watches: connection?.watches.size ?? 0,
      transactions: connection?.transactions.size ?? 0,
    }
  }

  /** Sets what is known of a domain, making the record if there is none; the caller puts the entry on record. */
  setDomain(domid: number, fields: Partial<DomainRecord>): Entry {
    const old = this.#domains.get(domid)
    const record = {
      ...(old?.record ?? {
        domid,
        introduced: false,
        gfn: 0,
        port: 0,
        features: SERVER_FEATURES,
        limits: { ...this.limits },
      }),
      ...fields,
    }
    if (old === undefined) this.#domains.set(domid, { record, connection: undefined, shutdown: false })
    else {
      old.record = record
      old.connection?.setTarget(record.target)
    }
    return ['domain', record]
  }

  /** After INTRODUCE: a connection that was there starts from nothing; a new domain is announced. */
  introduced(domid: number, isNew: boolean): void {
    this.#domains.get(domid)?.connection?.reset()
    if (isNew) this.#fireSpecial(INTRODUCE_DOMAIN, domid)
  }

  /** The domain has shut down and still exists: @releaseDomain, once until `resumed`. */
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

  /** The domain is gone: its connection ends, nothing in the tree is its any more, @releaseDomain. */
  release(domid: number): void {
    const domain = this.#domains.get(domid)
    if (domain === undefined) return
    this.#domains.delete(domid)
    this.#carried.delete(domid)
    if (domain.connection !== undefined) {
      this.#connections.delete(domain.connection)
      domain.connection.close('released')
    }
    this.#host.record([['released', domid]])
    this.#disown(domid)
    this.#fireSpecial(RELEASE_DOMAIN, domid)
  }

  /** Nodes owned by the domain go, and it is taken off all lists: a later domain of this id inherits nothing. */
  #disown(domid: number): void {
    const orphans: Change[] = []
    const others: Change[] = []
    let below = ''
    for (const [path, node] of this.store.walk('/')) {
      if (below !== '' && path.startsWith(below)) continue
      if (node.perms[0].domid === domid && path !== '/') {
        orphans.push({ op: 'remove', path })
        below = `${path}/`
      } else if (node.perms.some((perm) => perm.domid === domid)) {
        const [owner, ...listed] = node.perms
        const perms: Perms = [owner, ...listed.filter((perm) => perm.domid !== domid)]
        others.push({ op: 'put', path, value: node.value, perms })
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
    for (const [domid, domain] of this.#domains) {
      yield ['domain', domain.record]
      const connection = domain.connection ?? this.#carried.get(domid)
      for (const watch of connection?.watches ?? []) {
        yield ['watch', domid, watch.name, watch.token, watch.depth ?? null]
      }
      for (const id of connection?.transactions.keys() ?? []) yield ['begin', domid, id]
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
        this.#carried.delete(entry[1])
        return this.#domains.delete(entry[1])
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
        this.#carried.delete(entry[1])
        return true
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
    const connection = this.#carried.get(domid) ?? this.#guestConnection(domid)
    this.#carried.set(domid, connection)
    return connection
  }
}

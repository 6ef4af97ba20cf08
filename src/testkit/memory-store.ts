/**
 * A store in memory: xt's own state machine (src/xen/xenstore) with clients that call it directly instead of over a
 * socket or a ring. Permissions, quotas, transactions and watches are the real ones. Watch events come in a later
 * microtask, as they would from a socket.
 */
import type { XenstoreClient, XenstoreTx, XenstoreWatch } from '../xen/xenhost.ts'
import type { Connection } from '../xen/xenstore/connection.ts'
import { hostTree } from '../xen/xenstore/domain-tree.ts'
import {
  latin1,
  latin1Bytes,
  PacketReader,
  strings,
  stringsPayload,
  XS,
  type XsErrno,
} from '../xen/xenstore/wire.ts'
import { Xenstore } from '../xen/xenstore/xenstore.ts'
import { XenstoreError } from '../xen/xenstore/xenstore-error.ts'

export class MemoryStore {
  readonly xenstore: Xenstore

  constructor() {
    this.xenstore = new Xenstore({ record: () => {}, log: () => {} })
    this.xenstore.populate(hostTree())
  }

  /** A tool of dom0: may do everything. */
  tool(): MemoryStoreClient {
    return new MemoryStoreClient(this.xenstore, this.xenstore.connectTool())
  }

  /** A guest, with a guest's rights and quotas. Introduces it to the store. Throws if it is connected already. */
  guest(domid: number): MemoryStoreClient {
    const connection = this.xenstore.connectGuest(domid, {
      resume: false,
      introduce: { gfn: 1, port: 1 },
    })
    if (typeof connection === 'string') throw new Error(`domain ${domid}: ${connection}`)
    return new MemoryStoreClient(this.xenstore, connection)
  }

  /** All nodes at and below a path, as a tool sees them: path to value. */
  async tree(path: string): Promise<Record<string, string>> {
    const tool = this.tool()
    const nodes: Record<string, string> = {}
    const walk = async (at: string): Promise<void> => {
      nodes[at] = await tool.read(at)
      for (const name of await tool.directory(at)) await walk(`${at}/${name}`)
    }
    await walk(path).catch((error: unknown) => {
      if ((error as XenstoreError).code !== 'ENOENT') throw error
    })
    tool.close()
    return nodes
  }
}

export class MemoryStoreClient implements XenstoreClient {
  readonly #xenstore: Xenstore
  readonly #connection: Connection
  readonly #reader = new PacketReader()
  readonly #watches = new Map<string, (path: string) => void>()
  #reqId = 0
  #lastToken = 0
  #scheduled = false

  constructor(xenstore: Xenstore, connection: Connection) {
    this.#xenstore = xenstore
    this.#connection = connection
    connection.onOutput = () => {
      if (this.#scheduled) return
      this.#scheduled = true
      queueMicrotask(() => {
        this.#scheduled = false
        this.#drain()
      })
    }
  }

  /** Watches that are set. */
  get watches(): number {
    return this.#watches.size
  }

  async read(path: string, tx?: XenstoreTx): Promise<string> {
    return new TextDecoder().decode(this.#ask(XS.READ, [path], tx))
  }
  async readBytes(path: string, tx?: XenstoreTx): Promise<Uint8Array> {
    return this.#ask(XS.READ, [path], tx)
  }
  async write(path: string, value: string | Uint8Array, tx?: XenstoreTx): Promise<void> {
    const head = latin1Bytes(`${path}\0`)
    const tail = typeof value === 'string' ? new TextEncoder().encode(value) : value
    const payload = new Uint8Array(head.length + tail.length)
    payload.set(head)
    payload.set(tail, head.length)
    this.request(XS.WRITE, payload, tx)
  }
  async mkdir(path: string, tx?: XenstoreTx): Promise<void> {
    this.#ask(XS.MKDIR, [path], tx)
  }
  async rm(path: string, tx?: XenstoreTx): Promise<void> {
    this.#ask(XS.RM, [path], tx)
  }
  async directory(path: string, tx?: XenstoreTx): Promise<string[]> {
    return strings(this.#ask(XS.DIRECTORY, [path], tx))
  }
  async getPerms(path: string, tx?: XenstoreTx): Promise<string[]> {
    return strings(this.#ask(XS.GET_PERMS, [path], tx))
  }
  async setPerms(path: string, perms: readonly string[], tx?: XenstoreTx): Promise<void> {
    this.#ask(XS.SET_PERMS, [path, ...perms], tx)
  }

  async watch(path: string, onEvent: (path: string) => void): Promise<XenstoreWatch> {
    const token = `${++this.#lastToken}`
    this.#watches.set(token, onEvent)
    try {
      this.#ask(XS.WATCH, [path, token])
    } catch (error) {
      this.#watches.delete(token)
      throw error
    }
    const stop = async () => {
      if (this.#watches.delete(token) && !this.#connection.closed) this.#ask(XS.UNWATCH, [path, token])
    }
    return { path, token, [Symbol.asyncDispose]: stop }
  }

  async transaction<T>(body: (tx: XenstoreTx) => Promise<T>): Promise<T> {
    for (;;) {
      const tx = { id: Number(strings(this.#ask(XS.TRANSACTION_START, ['']))[0]) }
      try {
        const result = await body(tx)
        this.#ask(XS.TRANSACTION_END, ['T'], tx)
        return result
      } catch (error) {
        if (error instanceof XenstoreError && error.code === 'EAGAIN') continue
        if (!this.#connection.closed) this.#ask(XS.TRANSACTION_END, ['F'], tx)
        throw error
      }
    }
  }

  /** Any packet, also a wrong one: the payload of its reply. Throws XenstoreError. */
  request(type: number, payload: Uint8Array, tx?: XenstoreTx): Uint8Array {
    const what = `request ${type} ${latin1(payload.subarray(0, 80))}`
    if (this.#connection.closed) throw new XenstoreError('ENOTCONN', what)
    const reqId = ++this.#reqId
    this.#xenstore.handle(this.#connection, { type, reqId, txId: tx?.id ?? 0, payload })
    const reply = this.#drain(reqId)
    if (reply === undefined) throw new XenstoreError('ENOTCONN', what)
    if (reply.type === XS.ERROR) throw new XenstoreError(strings(reply.payload)[0] as XsErrno, what)
    return reply.payload
  }

  /** Ends the connection. */
  close(): void {
    this.#watches.clear()
    this.#xenstore.disconnect(this.#connection)
  }

  #ask(type: number, words: readonly string[], tx?: XenstoreTx): Uint8Array {
    return this.request(type, stringsPayload(words), tx)
  }

  /** Takes what waits: events go to their watches in a microtask of their own; answers the reply that is asked for. */
  #drain(reqId?: number) {
    let reply: { readonly type: number; readonly payload: Uint8Array } | undefined
    for (let bytes = this.#connection.take(); bytes !== undefined; bytes = this.#connection.take()) {
      for (const packet of this.#reader.push(bytes)) {
        if (packet.type === XS.WATCH_EVENT) {
          const [path, token] = strings(packet.payload)
          queueMicrotask(() => this.#watches.get(token!)?.(path!))
        } else if (packet.reqId === reqId) reply = packet
      }
    }
    return reply
  }
}

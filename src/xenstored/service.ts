/**
 * The store as a service on two UNIX sockets: one for tools of dom0, one for the rings of guests. Loads the
 * journal before it listens, ends by itself when nobody has needed it for a while.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { hostTree } from '../xen/xenstore/domain-tree.ts'
import { DOMID_FIRST_RESERVED } from '../xen/xenstore/requests.ts'
import { Xenstore } from '../xen/xenstore/xenstore.ts'
import { Journal } from './journal.ts'
import { servePeer } from './peer.ts'
import { GUEST_WELCOME, type GuestHello, type StorePlaces } from './places.ts'

/** Sockets of tools that are served at a time. */
const MAX_TOOLS = 1024
const MAX_HELLO_BYTES = 256
/** Domains that live with their connection must have come back so long after a restart. */
const RETURN_SECONDS = 15

export interface ServiceOptions {
  readonly places: StorePlaces
  readonly idleSeconds: number
  readonly log: (message: string) => void
  /** Nobody has needed the store for `idleSeconds`. */
  readonly onIdle: () => void
}

export class Service {
  readonly #options: ServiceOptions
  readonly #journal: Journal
  readonly #xenstore: Xenstore
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  #idleTimer: NodeJS.Timeout | undefined
  #saidWhyNot = ''

  constructor(options: ServiceOptions) {
    this.#options = options
    this.#journal = new Journal(options.places.journal)
    this.#xenstore = new Xenstore({
      record: (entries) => this.#journal.append(entries),
      log: options.log,
    })
  }

  /** Loads what was, then listens on both sockets. */
  async start(): Promise<void> {
    const { places, log } = this.#options
    const damage = this.#journal.load((entry) => this.#xenstore.replay(entry))
    if (damage !== undefined) log(damage)
    if (this.#xenstore.isNew) this.#xenstore.populate(hostTree())
    this.#journal.rewrite(this.#xenstore.entries())
    await this.#listen(places.guestSocketPath, (socket) => this.#greetGuest(socket))
    await this.#listen(places.socketPath, (socket) => this.#serveTool(socket))
    this.#watchIdleness()
    setTimeout(() => this.#xenstore.releaseUnlinked(), RETURN_SECONDS * 1000).unref()
  }

  /**
   * Gives up the sockets, for the process to end at once: connections that are there must not be seen to end, since
   * guests go on where they are when the store comes back.
   */
  stop(): void {
    clearTimeout(this.#idleTimer)
    for (const server of this.#servers) server.close()
  }

  async #listen(path: string, onSocket: (socket: Socket) => void): Promise<void> {
    // Whoever left this file is dead: main.ts holds the lock.
    rmSync(path, { force: true })
    const server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        this.#watchIdleness()
      })
      this.#watchIdleness()
      onSocket(socket)
    })
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject)
      server.listen(path, resolve)
    })
    chmodSync(path, 0o600)
    this.#servers.push(server)
  }

  #serveTool(socket: Socket): void {
    if (this.#sockets.size > MAX_TOOLS) {
      this.#options.log(`more than ${MAX_TOOLS} connections: one refused`)
      socket.destroy()
      return
    }
    servePeer(this.#xenstore, this.#xenstore.connectTool(), socket, new Uint8Array(0))
    socket.on('data', () => this.#tidy())
  }

  /** Reads the hello line, answers it, and serves the wire from then on. */
  #greetGuest(socket: Socket): void {
    let head = Buffer.alloc(0)
    const onData = (bytes: Buffer) => {
      head = Buffer.concat([head, bytes])
      const end = head.indexOf('\n')
      if (end < 0 && head.length <= MAX_HELLO_BYTES) return
      socket.off('data', onData)
      const hello = parseHello(head.subarray(0, Math.max(end, 0)).toString())
      const connection = hello === undefined ? 'not a hello' : this.#xenstore.connectGuest(hello.domid, hello)
      if (typeof connection === 'string') {
        socket.end(`${connection}\n`)
        return
      }
      socket.write(`${GUEST_WELCOME}\n`)
      servePeer(this.#xenstore, connection, socket, head.subarray(end + 1))
      socket.on('data', () => this.#tidy())
    }
    socket.on('data', onData)
    socket.on('error', () => {})
  }

  #tidy(): void {
    if (this.#journal.overgrown) this.#journal.rewrite(this.#xenstore.entries())
  }

  #watchIdleness(): void {
    clearTimeout(this.#idleTimer)
    if (this.#sockets.size > 0) return
    this.#idleTimer = setTimeout(() => this.#onQuiet(), this.#options.idleSeconds * 1000)
  }

  #onQuiet(): void {
    const { domids } = this.#xenstore
    if (domids.length === 0) {
      this.#options.onIdle()
      return
    }
    const why = `nobody is connected; staying for domains that are introduced: ${domids.join(', ')}`
    if (why !== this.#saidWhyNot) this.#options.log(why)
    this.#saidWhyNot = why
  }
}

function parseHello(line: string): GuestHello | undefined {
  try {
    const { domid, resume, introduce } = JSON.parse(line) as GuestHello
    const isDomid = Number.isInteger(domid) && domid > 0 && domid < DOMID_FIRST_RESERVED
    if (!isDomid || typeof resume !== 'boolean') return undefined
    if (introduce === undefined) return { domid, resume }
    const { gfn, port } = introduce
    return Number.isInteger(gfn) && Number.isInteger(port)
      ? { domid, resume, introduce: { gfn, port } }
      : undefined
  } catch {
    return undefined
  }
}

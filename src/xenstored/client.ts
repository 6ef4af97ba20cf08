/**
 * dom0's client of the store over its UNIX socket. Survives a restart of the store if it is told how to bring it
 * back: watches are set again (each fires then), open transactions end in EAGAIN and are tried again.
 */
import { connect, type Socket } from 'node:net'
import type { Domid, Gfn, Port } from '../base/brand.ts'
import type { XenstoreClient, XenstoreTx, XenstoreWatch } from '../xen/xenhost.ts'
import {
  encodePacket,
  latin1,
  latin1Bytes,
  type Packet,
  PacketReader,
  strings,
  stringsPayload,
  XS,
  type XsErrno,
} from '../xen/xenstore/wire.ts'
import { XenstoreError } from '../xen/xenstore/xenstore-error.ts'

export { XenstoreError }

export interface ConnectOptions {
  readonly socketPath: string
  /** Called when the store is gone, e.g. `() => ensureXenstored(runDir)`; without it a lost store stays lost. */
  readonly revive?: () => Promise<unknown>
}

/** A XenstoreClient with what only a toolstack does. */
export interface ToolstackClient extends XenstoreClient, AsyncDisposable {
  /** Tells the store that the domain is there; fires @introduceDomain. */
  introduce(domid: Domid, gfn: Gfn, port: Port): Promise<void>
  /** The domain is gone; fires @releaseDomain. Rejects with ENOENT if it is not introduced. */
  release(domid: Domid): Promise<void>
  /** The domain has shut down and still exists; fires @releaseDomain. */
  domainShutdown(domid: Domid): Promise<void>
  isIntroduced(domid: Domid): Promise<boolean>
  domainPath(domid: Domid): Promise<string>
  setTarget(domid: Domid, target: Domid): Promise<void>
  /** CONTROL with these words; the answer without its NUL. */
  control(...words: readonly string[]): Promise<string>
  /** Any request; the payload of its reply. */
  request(type: number, payload: Uint8Array, tx?: XenstoreTx): Promise<Uint8Array>
  close(): Promise<void>
}

interface Waiting {
  readonly packet: Uint8Array
  readonly inTx: boolean
  readonly what: string
  resolve(payload: Uint8Array): void
  reject(error: Error): void
}

interface OwnWatch {
  readonly path: string
  readonly onEvent: (path: string) => void
  /** The store has answered: a store that restarts must be told again. */
  known: boolean
}

/** A transaction is lost with the connection that it was started on. */
interface OwnTx extends XenstoreTx {
  readonly link: Socket
}

const MAX_ATTEMPTS = 10

/** Rejects with ENOTCONN if nobody listens on the socket. */
export async function connectXenstore(options: ConnectOptions): Promise<ToolstackClient> {
  const client = new SocketClient(options)
  await client.open()
  return client
}

class SocketClient implements ToolstackClient {
  readonly #options: ConnectOptions
  readonly #waiting = new Map<number, Waiting>()
  readonly #watches = new Map<string, OwnWatch>()
  #socket: Socket | undefined
  #lastId = 0
  #lastToken = 0
  #ended = false

  constructor(options: ConnectOptions) {
    this.#options = options
  }

  async open(): Promise<Socket> {
    const socket = connect(this.#options.socketPath)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', (error) => reject(new XenstoreError('ENOTCONN', error.message)))
    })
    const reader = new PacketReader()
    socket.on('data', (bytes) => {
      for (const packet of reader.push(bytes)) this.#receive(packet)
    })
    socket.on('error', () => {})
    socket.on('close', () => void this.#lost())
    this.#socket = socket
    return socket
  }

  async read(path: string, tx?: XenstoreTx): Promise<string> {
    return Buffer.from(await this.readBytes(path, tx)).toString()
  }

  readBytes(path: string, tx?: XenstoreTx): Promise<Uint8Array> {
    return this.#ask(XS.READ, [path], tx)
  }

  async write(path: string, value: string | Uint8Array, tx?: XenstoreTx): Promise<void> {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    await this.request(XS.WRITE, Buffer.concat([latin1Bytes(`${path}\0`), bytes]), tx)
  }

  async mkdir(path: string, tx?: XenstoreTx): Promise<void> {
    await this.#ask(XS.MKDIR, [path], tx)
  }

  async rm(path: string, tx?: XenstoreTx): Promise<void> {
    await this.#ask(XS.RM, [path], tx)
  }

  async directory(path: string, tx?: XenstoreTx): Promise<string[]> {
    try {
      return strings(await this.#ask(XS.DIRECTORY, [path], tx))
    } catch (error) {
      if ((error as XenstoreError).code !== 'E2BIG') throw error
      return await this.#longDirectory(path, tx)
    }
  }

  async getPerms(path: string, tx?: XenstoreTx): Promise<string[]> {
    return strings(await this.#ask(XS.GET_PERMS, [path], tx))
  }

  async setPerms(path: string, perms: readonly string[], tx?: XenstoreTx): Promise<void> {
    await this.#ask(XS.SET_PERMS, [path, ...perms], tx)
  }

  async watch(path: string, onEvent: (path: string) => void): Promise<XenstoreWatch> {
    const token = `${++this.#lastToken}`
    const watch = { path, onEvent, known: false }
    this.#watches.set(token, watch)
    try {
      await this.#ask(XS.WATCH, [path, token])
      watch.known = true
    } catch (error) {
      this.#watches.delete(token)
      throw error
    }
    const stop = async () => {
      if (!this.#watches.delete(token) || this.#ended) return
      // A store that restarted meanwhile does not know it.
      await this.#ask(XS.UNWATCH, [path, token]).catch(() => {})
    }
    return { path, token, [Symbol.asyncDispose]: stop }
  }

  async transaction<T>(body: (tx: XenstoreTx) => Promise<T>): Promise<T> {
    for (;;) {
      const [id] = strings(await this.request(XS.TRANSACTION_START, stringsPayload([''])))
      const tx: OwnTx = { id: Number(id), link: this.#socket! }
      try {
        const result = await body(tx)
        await this.#ask(XS.TRANSACTION_END, ['T'], tx)
        return result
      } catch (error) {
        if (!(error instanceof XenstoreError) || error.code !== 'EAGAIN') {
          await this.#ask(XS.TRANSACTION_END, ['F'], tx).catch(() => {})
          throw error
        }
      }
    }
  }

  async introduce(domid: Domid, gfn: Gfn, port: Port): Promise<void> {
    await this.#ask(XS.INTRODUCE, [`${domid}`, `${gfn}`, `${port}`])
  }

  async release(domid: Domid): Promise<void> {
    await this.#ask(XS.RELEASE, [`${domid}`])
  }

  async domainShutdown(domid: Domid): Promise<void> {
    await this.control('domain-shutdown', `${domid}`)
  }

  async isIntroduced(domid: Domid): Promise<boolean> {
    return latin1(await this.#ask(XS.IS_DOMAIN_INTRODUCED, [`${domid}`])) === 'T\0'
  }

  async domainPath(domid: Domid): Promise<string> {
    return strings(await this.#ask(XS.GET_DOMAIN_PATH, [`${domid}`]))[0]!
  }

  async setTarget(domid: Domid, target: Domid): Promise<void> {
    await this.#ask(XS.SET_TARGET, [`${domid}`, `${target}`])
  }

  async control(...words: readonly string[]): Promise<string> {
    return strings(await this.#ask(XS.CONTROL, words))[0] ?? ''
  }

  request(type: number, payload: Uint8Array, tx?: XenstoreTx): Promise<Uint8Array> {
    const what = `${Object.keys(XS).find((name) => XS[name as keyof typeof XS] === type)} ${latin1(payload.subarray(0, 80))}`
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new XenstoreError('ENOTCONN', what))
      if (tx !== undefined && (tx as OwnTx).link !== this.#socket)
        return reject(new XenstoreError('EAGAIN', what))
      this.#lastId = (this.#lastId + 1) >>> 0
      const packet = encodePacket({ type, reqId: this.#lastId, txId: tx?.id ?? 0, payload })
      const inTx = tx !== undefined
      this.#waiting.set(this.#lastId, { packet, inTx, what, resolve, reject })
      this.#socket?.write(packet)
    })
  }

  async close(): Promise<void> {
    this.#ended = true
    const socket = this.#socket
    if (socket !== undefined && !socket.destroyed) {
      await new Promise((resolve) => {
        socket.once('close', resolve)
        socket.destroy()
      })
    }
    this.#rejectAll()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #ask(type: number, words: readonly string[], tx?: XenstoreTx): Promise<Uint8Array> {
    return this.request(type, stringsPayload(words), tx)
  }

  /** By parts, from the start again if the directory changed in between. */
  async #longDirectory(path: string, tx: XenstoreTx | undefined): Promise<string[]> {
    for (let names: string[] = [], offset = 0, seen = ''; ; ) {
      const [generation = '', ...part] = strings(await this.#ask(XS.DIRECTORY_PART, [path, `${offset}`], tx))
      if (seen !== '' && generation !== seen) {
        names = []
        offset = 0
        seen = ''
        continue
      }
      seen = generation
      const complete = part.at(-1) === ''
      names.push(...(complete ? part.slice(0, -1) : part))
      if (complete) return names
      offset = names.reduce((sum, name) => sum + name.length + 1, 0)
    }
  }

  #receive(packet: Packet): void {
    if (packet.type === XS.WATCH_EVENT) {
      const [path, token] = strings(packet.payload)
      if (path !== undefined && token !== undefined) this.#watches.get(token)?.onEvent(path)
      return
    }
    const waiting = this.#waiting.get(packet.reqId)
    this.#waiting.delete(packet.reqId)
    if (waiting === undefined) return
    if (packet.type !== XS.ERROR) waiting.resolve(packet.payload)
    else waiting.reject(new XenstoreError(strings(packet.payload)[0] as XsErrno, waiting.what))
  }

  /** The store died: bring it back and say everything again that it did not answer. */
  async #lost(): Promise<void> {
    this.#socket = undefined
    for (const [id, waiting] of this.#waiting) {
      if (!waiting.inTx) continue
      this.#waiting.delete(id)
      waiting.reject(new XenstoreError('EAGAIN', waiting.what))
    }
    const socket = await this.#again().catch(() => undefined)
    if (socket === undefined || this.#ended) {
      this.#ended = true
      socket?.destroy()
      this.#rejectAll()
      return
    }
    for (const { packet } of this.#waiting.values()) socket.write(packet)
    for (const [token, { path, known }] of this.#watches) {
      const payload = stringsPayload([path, token])
      if (known) socket.write(encodePacket({ type: XS.WATCH, reqId: 0, txId: 0, payload }))
    }
  }

  /** A store that was just revived may be killed again before it knows us. */
  async #again(): Promise<Socket> {
    for (let attempt = 1; ; attempt++) {
      if (this.#ended || this.#options.revive === undefined) throw new XenstoreError('ENOTCONN', 'it is gone')
      await this.#options.revive()
      try {
        return await this.open()
      } catch (error) {
        if (attempt === MAX_ATTEMPTS) throw error
      }
    }
  }

  #rejectAll(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new XenstoreError('ENOTCONN', waiting.what))
    this.#waiting.clear()
  }
}

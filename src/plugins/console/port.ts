/**
 * The host side of a console: a UNIX socket where clients watch the guest's output and one of them types.
 *
 * Greeting and answer: src/base/console-wire.ts. A client is a position in the scroll-back: one that reads
 * too slowly misses bytes and is told how many; the guest never waits for it. What is typed waits in the
 * client's socket until the guest has room.
 */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import {
  CONSOLE_LINE_MAX,
  type ConsoleAnswer,
  consoleLine,
  parseConsoleGreeting,
} from '../../base/console-wire.ts'
import { consoleErrors } from './errors.ts'
import type { Scrollback } from './scrollback.ts'

/** Bytes handed to a client's socket at once. */
const CHUNK = 65536
const GREETING_TIMEOUT_MS = 5000
/** How long clients may take to read the last output when the console closes. */
const FAREWELL_MS = 2000

interface Client {
  readonly socket: Socket
  /** Position in the scroll-back; undefined until the greeting came. */
  position: number | undefined
  /** The socket's buffer is full until 'drain'. */
  blocked: boolean
}

export class ConsolePort {
  readonly #scrollback: Scrollback
  readonly #input: (bytes: Uint8Array) => number
  readonly #clients = new Set<Client>()
  #server: Server | undefined
  #writer: Client | undefined
  /** Typed, but not yet taken by the guest. */
  #typed: Uint8Array = new Uint8Array(0)
  #pumpPlanned = false
  #closing = false

  /** `input` gives typed bytes to the guest and answers how many it took. */
  constructor(scrollback: Scrollback, input: (bytes: Uint8Array) => number) {
    this.#scrollback = scrollback
    this.#input = input
  }

  /** How many clients are attached. */
  get clients(): number {
    return [...this.#clients].filter(({ position }) => position !== undefined).length
  }

  /** Listens at a path; a file of a process that is gone is replaced (the engine sees to it that it is gone). */
  async listen(path: string): Promise<void> {
    const server = createServer((socket) => this.#welcome(socket))
    try {
      await rm(path, { force: true })
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(path, resolve)
      })
      await chmod(path, 0o600)
    } catch (error) {
      server.close()
      throw consoleErrors.XT_CONSOLE_SOCKET(path, error instanceof Error ? error.message : String(error))
    }
    this.#server = server
  }

  /** The scroll-back has grown. Many calls before the event loop turns are one piece for each client. */
  outputArrived(): void {
    if (this.#pumpPlanned || this.#clients.size === 0) return
    this.#pumpPlanned = true
    setImmediate(() => {
      this.#pumpPlanned = false
      for (const client of this.#clients) this.#pump(client)
    })
  }

  /** The guest can take more of what was typed. */
  inputRoom(): void {
    if (this.#typed.length === 0) return
    this.#typed = this.#typed.subarray(this.#input(this.#typed))
    if (this.#typed.length === 0) this.#writer?.socket.resume()
  }

  /** Shows every client the rest of the output, then closes. The socket's file goes away. */
  async close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    this.#closing = true
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const client of this.#clients) {
      if (client.position === undefined) client.socket.destroy()
      else this.#pump(client)
    }
    const limit = setTimeout(() => {
      for (const client of this.#clients) client.socket.destroy()
    }, FAREWELL_MS)
    await closed
    clearTimeout(limit)
  }

  #welcome(socket: Socket): void {
    const client: Client = { socket, position: undefined, blocked: false }
    this.#clients.add(client)
    socket.setTimeout(GREETING_TIMEOUT_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#clients.delete(client)
      if (this.#writer !== client) return
      this.#writer = undefined
      this.#typed = new Uint8Array(0)
    })
    socket.on('drain', () => {
      client.blocked = false
      this.#pump(client)
    })
    let line = new Uint8Array(0)
    const greet = (bytes: Buffer): void => {
      line = Buffer.concat([line, bytes])
      const end = line.indexOf(0x0a)
      if (end < 0 && line.length < CONSOLE_LINE_MAX) return
      socket.off('data', greet)
      socket.setTimeout(0)
      this.#answer(
        client,
        end < 0 ? '' : Buffer.from(line.subarray(0, end)).toString(),
        line.subarray(end + 1),
      )
    }
    socket.on('data', greet)
  }

  #answer(client: Client, line: string, rest: Uint8Array): void {
    const greeting = parseConsoleGreeting(line)
    const answer: ConsoleAnswer =
      greeting === undefined
        ? { ok: false, code: 'protocol' }
        : greeting.mode === 'write' && this.#writer !== undefined
          ? { ok: false, code: 'busy' }
          : { ok: true }
    if (!answer.ok || greeting === undefined) {
      client.socket.end(consoleLine(answer))
      return
    }
    client.socket.write(consoleLine(answer))
    client.position = greeting.replay ? 0 : this.#scrollback.end
    if (greeting.mode === 'write') {
      this.#writer = client
      client.socket.on('data', (bytes: Buffer) => this.#type(client, bytes))
      if (rest.length > 0) this.#type(client, rest)
    } else {
      client.socket.resume()
    }
    this.#pump(client)
  }

  #type(client: Client, bytes: Uint8Array): void {
    this.#typed = this.#typed.length === 0 ? bytes : Buffer.concat([this.#typed, bytes])
    client.socket.pause()
    this.inputRoom()
  }

  #pump(client: Client): void {
    const { socket } = client
    while (client.position !== undefined && !client.blocked && socket.writable) {
      const piece = this.#scrollback.read(client.position, CHUNK)
      if (piece.skipped > 0) socket.write(`\r\n[xt: ${piece.skipped} bytes of output are no longer kept]\r\n`)
      if (piece.bytes.length === 0) {
        if (this.#closing) socket.end()
        return
      }
      client.position = piece.next
      client.blocked = !socket.write(piece.bytes)
    }
  }
}

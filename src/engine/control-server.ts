/**
 * The server side of the control protocol (control.ts): answers commands on a domain's control socket and tells
 * subscribers what happens.
 */
import { createServer, type Server, type Socket } from 'node:net'
import {
  createMessageConnection,
  Message,
  type MessageConnection,
  SocketMessageWriter,
} from 'vscode-jsonrpc/node'
import {
  type ControlMethod,
  type ControlRequests,
  type DomainEvent,
  EVENT_NOTIFICATION,
  messageReader,
  toResponseError,
} from './control.ts'

/** What the domain process does for each request; `subscribe` is the server's own. */
export type ControlHandlers = {
  [M in Exclude<ControlMethod, 'subscribe'>]: (
    params: ControlRequests[M]['params'],
  ) => ControlRequests[M]['result'] | Promise<ControlRequests[M]['result']>
}

interface Client {
  readonly socket: Socket
  readonly rpc: MessageConnection
  subscribed: 'no' | 'events' | 'logs'
  follows: boolean
  /** Requests whose answer has not been written. */
  unanswered: number
}

/** A subscriber that leaves this much unread is cut off: the domain does not keep its backlog. */
const BACKLOG_BYTES = 1 << 20

export class ControlServer {
  readonly #handlers: ControlHandlers
  readonly #server: Server
  readonly #clients = new Set<Client>()
  /** To be called when a client has left. */
  #left: () => void = () => {}
  /** To be called when an answer was written, or cannot be any more. */
  #answered: () => void = () => {}
  /** Events that are being written. */
  readonly #events = new Set<Promise<void>>()

  constructor(handlers: ControlHandlers) {
    this.#handlers = handlers
    this.#server = createServer((socket) => this.#welcome(socket))
  }

  /** Listens at a path in a directory that only the user may enter. */
  listen(path: string): Promise<void> {
    return new Promise((settle, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, () => settle())
    })
  }

  tell(event: DomainEvent): void {
    for (const client of this.#clients) {
      if (client.subscribed === 'no' || (event.type === 'log' && client.subscribed !== 'logs')) continue
      if (client.socket.writableLength > BACKLOG_BYTES) client.socket.destroy()
      else {
        const written = client.rpc
          .sendNotification(EVENT_NOTIFICATION, event)
          .catch(() => void client.socket.destroy())
          .finally(() => this.#events.delete(written))
        this.#events.add(written)
      }
    }
  }

  /** How many would hear what is told. */
  get subscribers(): number {
    return [...this.#clients].filter(({ subscribed }) => subscribed !== 'no').length
  }

  get isFollowed(): boolean {
    return [...this.#clients].some(({ follows }) => follows)
  }

  /** Settles when nobody follows the domain any more. */
  async followersLeft(): Promise<void> {
    while (this.isFollowed)
      await new Promise<void>((settle) => {
        this.#left = settle
      })
  }

  /** Stops listening; open requests are answered and events delivered, then the connections close. */
  async close(): Promise<void> {
    const closed = new Promise<void>((settle) => this.#server.close(() => settle()))
    while ([...this.#clients].some(({ unanswered }) => unanswered > 0))
      await new Promise<void>((settle) => {
        this.#answered = settle
      })
    await Promise.all(this.#events)
    for (const { socket } of this.#clients) socket.destroySoon()
    await closed
  }

  #welcome(socket: Socket): void {
    const writer = new SocketMessageWriter(socket)
    const rpc = createMessageConnection(messageReader(socket), writer)
    const client: Client = { socket, rpc, subscribed: 'no', follows: false, unanswered: 0 }
    const write = writer.write.bind(writer)
    // An answer is written some time after its handler has ended.
    writer.write = async (message) => {
      await write(message)
      if (!Message.isResponse(message)) return
      client.unanswered--
      this.#answered()
    }
    this.#clients.add(client)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      this.#clients.delete(client)
      rpc.dispose()
      this.#left()
      this.#answered()
    })
    for (const method of Object.keys(this.#handlers) as (keyof ControlHandlers)[]) {
      rpc.onRequest(method, (params: never) => this.#answer(client, method, params))
    }
    rpc.onRequest('subscribe', ({ logs, follows }: ControlRequests['subscribe']['params']) => {
      client.unanswered++
      client.subscribed = logs ? 'logs' : 'events'
      client.follows = follows
      return null
    })
    rpc.listen()
  }

  async #answer(client: Client, method: keyof ControlHandlers, params: never): Promise<unknown> {
    client.unanswered++
    try {
      return await this.#handlers[method](params)
    } catch (error) {
      throw toResponseError(error)
    }
  }
}

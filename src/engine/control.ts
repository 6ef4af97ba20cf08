/**
 * The control protocol between commands and a domain process: JSON-RPC on the UNIX socket `control.sock` in the
 * domain's directory, and its client. The server is control-server.ts.
 *
 * Consoles are not here: console n is a socket of its own with plain bytes (paths.ts, consoleSocket).
 * An error answer carries an XtError's fields, so that a command fails with the same code, text and exit status.
 */
import { connect, type Socket } from 'node:net'
import {
  createMessageConnection,
  type MessageConnection,
  ResponseError,
  SocketMessageReader,
  SocketMessageWriter,
} from 'vscode-jsonrpc/node'
import { XtError } from '../base/errors.ts'
import type { LogLevel } from '../base/log.ts'
import type { DomainConfig } from '../config/schema.ts'
import type { ServedDevice } from './devices.ts'
import { errors } from './errors.ts'
import type { VcpuInfo, VcpuProfile } from './plugin.ts'
import type { TraceAnswer, TraceWish } from './trace-line.ts'
import type { VmState } from './vm-state.ts'

export type { VcpuProfile } from './plugin.ts'

/** What a domain says of itself. Plain JSON. */
export interface DomainInfo {
  readonly domid: number
  readonly name: string
  readonly uuid: string
  /** Process id of the domain process. */
  readonly pid: number
  readonly state: VmState
  /** How often `pause` was asked for without `unpause`; above 0 the guest does not run. */
  readonly pauseCount: number
  /** sched.h SHUTDOWN_*, once the guest has ended. */
  readonly shutdownReason?: number
  /** How it ended, for people: "triple fault at rip ...". */
  readonly detail?: string
  /** MiB of memory that the guest has now, as its balloon left it; at first what it was given. */
  readonly memoryMiB: number
  readonly vcpus: readonly VcpuInfo[]
  /** When the domain was created, milliseconds since 1970. */
  readonly createdMs: number
  /** Lifecycle calls of plugins that are open: "vbd attach (xvda)". */
  readonly waitingFor: readonly string[]
  /** Hypercalls that the guest made and that are not there: "memory_op exchange". */
  readonly missingCalls: readonly string[]
  /** Path of the domain's log. */
  readonly log: string
  /** The parsed configuration. */
  readonly config: DomainConfig
}

/** What happens to a domain, in order, for those who subscribed. */
export type DomainEvent =
  | { readonly type: 'state'; readonly state: VmState }
  /** The guest ended. `action` is what will be done about it, in xl's words: 'destroy', 'rename-restart' ... */
  | { readonly type: 'shutdown'; readonly reason: number; readonly action: string; readonly detail?: string }
  /** What the domain says while it carries out on_*, in xl's words; `stays`: that is all, and the domain remains. */
  | { readonly type: 'monitor'; readonly line: string; readonly stays: boolean }
  /** The domain lives on under another number (on_*="restart"), in another process. */
  | { readonly type: 'restarted'; readonly domid: number }
  | { readonly type: 'renamed'; readonly name: string }
  | { readonly type: 'log'; readonly level: LogLevel; readonly line: string }

/** Requests, their parameters and answers. */
export interface ControlRequests {
  info: { params: Record<never, never>; result: DomainInfo }
  /** Settles when every vCPU is parked. Counts, as Xen does. */
  pause: { params: Record<never, never>; result: null }
  unpause: { params: Record<never, never>; result: null }
  /** Asks the guest; settles when it took the request up, not when it is down. */
  shutdown: { params: Record<never, never>; result: null }
  reboot: { params: Record<never, never>; result: null }
  /** Settles when nothing is left of the domain. */
  destroy: { params: Record<never, never>; result: null }
  rename: { params: { readonly name: string }; result: null }
  /** How many vCPUs are to be online; settles when the guest was told. So do the next three. */
  setVcpus: { params: { readonly count: number }; result: null }
  setMemory: { params: { readonly kib: number }; result: null }
  setMaxMemory: { params: { readonly kib: number }; result: { readonly machineKiB: number } }
  sysrq: { params: { readonly key: string }; result: null }
  /** A non-maskable interrupt. */
  nmi: { params: { readonly vcpu: number }; result: null }
  /** What the domain is made from when it starts again; its name and UUID stay. */
  updateConfig: { params: { readonly config: DomainConfig }; result: null }
  /** Adds a device of a kind that a plugin serves ('vbd'): `spec` as in the configuration, `libxl` the same as libxl has it. */
  deviceAttach: {
    params: { readonly kind: string; readonly spec: unknown; readonly libxl?: unknown }
    result: ServedDevice
  }
  /** Settles when the device is gone; the guest has ten seconds to let go of it. */
  deviceDetach: {
    params: { readonly kind: string; readonly id: number; readonly force: boolean }
    result: ServedDevice
  }
  /** Makes it another device of the same number: another disc in a drive. */
  deviceChange: {
    params: { readonly kind: string; readonly id: number; readonly spec: unknown; readonly libxl?: unknown }
    result: ServedDevice
  }
  deviceList: { params: { readonly kind: string }; result: readonly ServedDevice[] }
  /** What the vCPUs counted so far. */
  cpuCounters: { params: Record<never, never>; result: CpuCounters }
  /** Settles after `ms` milliseconds. */
  cpuProfile: { params: { readonly ms: number }; result: readonly VcpuProfile[] }
  /** Begins to look at what happens; answers a session, which ends when nothing is fetched for some seconds. */
  traceOpen: { params: TraceWish; result: number }
  /** What came since the last time, after a short wait if there is nothing; null: there is no such session. */
  traceFetch: { params: { readonly session: number }; result: TraceAnswer | null }
  traceClose: { params: { readonly session: number }; result: null }
  /** Writes an ELF core file, with the guest paused meanwhile. */
  dumpCore: { params: { readonly path: string }; result: null }
  /**
   * From the answer on, events arrive as notifications. When the domain starts again, the new one stays paused until
   * those who follow it have left the old one: so they can be there first.
   */
  subscribe: { params: { readonly logs: boolean; readonly follows: boolean }; result: null }
}
/** Counters of each vCPU at one moment. */
export interface CpuCounters {
  /** A clock that only goes forward, milliseconds. */
  readonly atMs: number
  readonly vcpus: readonly Readonly<Record<string, number>>[]
}
export type ControlMethod = keyof ControlRequests

export const EVENT_NOTIFICATION = 'event'
/** JSON-RPC code of an XtError (a free number of the implementation's range). */
const XT_ERROR = -32000

interface ErrorData {
  readonly code: string
  readonly hint?: string
  readonly exit: number
}

/** An XtError, or a bug's message, as JSON-RPC carries it. */
export function toResponseError(error: unknown): ResponseError<ErrorData> {
  if (!(error instanceof XtError)) {
    const message = error instanceof Error ? error.message : String(error)
    return new ResponseError(XT_ERROR, message, { code: 'XT_VM_FAILED', exit: 1 })
  }
  const { code, hint, exit } = error
  return new ResponseError(XT_ERROR, error.message, { code, exit, ...(hint === undefined ? {} : { hint }) })
}

function fromResponseError(error: unknown): unknown {
  if (!(error instanceof ResponseError) || error.code !== XT_ERROR) return error
  const { code, hint, exit } = error.data as ErrorData
  return new XtError(code, error.message, { hint, exit })
}

/** Without the library's timer for messages of which only a part has come: it outlives the connection, and keeps the process. */
export function messageReader(socket: Socket): SocketMessageReader {
  const reader = new SocketMessageReader(socket)
  reader.partialMessageTimeout = 0
  return reader
}

/** More than the library needs from a message's last byte to its handler. */
const TURNS_PER_MESSAGE = 10

/** A connection to one domain process. Dispose it when done: it keeps the command alive. */
export class ControlClient implements Disposable {
  /** Settles when the domain process has closed the connection, for example because the domain is gone. */
  readonly closed: Promise<void>
  readonly #name: string
  readonly #rpc: MessageConnection
  readonly #socket: Socket
  readonly #listeners = new Set<(event: DomainEvent) => void>()
  /** Messages that were taken up. */
  #handled = 0

  constructor(socket: Socket, name: string) {
    this.#name = name
    this.#socket = socket
    const [reader, writer] = [messageReader(socket), new SocketMessageWriter(socket)]
    this.#rpc = createMessageConnection(reader, writer, undefined, {
      messageStrategy: {
        handleMessage: async (message, next) => {
          this.#handled++
          await next(message)
        },
      },
    })
    this.closed = new Promise<void>((settle) => {
      socket.once('close', () => settle())
    }).then(() => this.#lastWords())
    this.#rpc.onNotification(EVENT_NOTIFICATION, (event: DomainEvent) => {
      for (const listener of this.#listeners) listener(event)
    })
    this.#rpc.listen()
  }

  /** What came before the end is still being taken apart, a message every few turns of the event loop. */
  async #lastWords(): Promise<void> {
    for (let handled = -1; handled !== this.#handled; ) {
      handled = this.#handled
      for (let turns = 0; turns < TURNS_PER_MESSAGE; turns++)
        await new Promise((settle) => setImmediate(settle))
    }
  }

  /** Sends one request. Rejects with the domain's XtError, or XT_DOMAIN_LOST if the connection breaks first. */
  async request<M extends ControlMethod>(
    method: M,
    params: ControlRequests[M]['params'],
  ): Promise<ControlRequests[M]['result']> {
    const lost = this.closed.then(() => {
      throw errors.XT_DOMAIN_LOST(this.#name, method)
    })
    try {
      return await Promise.race([this.#rpc.sendRequest<ControlRequests[M]['result']>(method, params), lost])
    } catch (error) {
      if (this.#socket.destroyed && !(error instanceof ResponseError && error.code === XT_ERROR)) {
        throw errors.XT_DOMAIN_LOST(this.#name, method)
      }
      throw fromResponseError(error)
    }
  }

  info = (): Promise<DomainInfo> => this.request('info', {})
  pause = (): Promise<null> => this.request('pause', {})
  unpause = (): Promise<null> => this.request('unpause', {})
  shutdown = (): Promise<null> => this.request('shutdown', {})
  reboot = (): Promise<null> => this.request('reboot', {})
  /** A process that ends before it has answered has done what was asked. */
  destroy = (): Promise<null> =>
    this.request('destroy', {}).catch((error: unknown) => {
      if (error instanceof XtError && error.code === 'XT_DOMAIN_LOST') return null
      throw error
    })
  rename = (name: string): Promise<null> => this.request('rename', { name })
  setVcpus = (count: number): Promise<null> => this.request('setVcpus', { count })
  setMemory = (kib: number): Promise<null> => this.request('setMemory', { kib })
  /** Answers how much memory the machine was made with: more than that it cannot have before it is made anew. */
  setMaxMemory = (kib: number): Promise<{ readonly machineKiB: number }> =>
    this.request('setMaxMemory', { kib })
  sysrq = (key: string): Promise<null> => this.request('sysrq', { key })
  nmi = (vcpu: number): Promise<null> => this.request('nmi', { vcpu })
  cpuCounters = (): Promise<CpuCounters> => this.request('cpuCounters', {})
  cpuProfile = (ms: number): Promise<readonly VcpuProfile[]> => this.request('cpuProfile', { ms })
  updateConfig = (config: DomainConfig): Promise<null> => this.request('updateConfig', { config })
  deviceAttach = (kind: string, spec: unknown, libxl?: unknown): Promise<ServedDevice> =>
    this.request('deviceAttach', { kind, spec, libxl })
  deviceDetach = (kind: string, id: number, force = false): Promise<ServedDevice> =>
    this.request('deviceDetach', { kind, id, force })
  deviceChange = (kind: string, id: number, spec: unknown, libxl?: unknown): Promise<ServedDevice> =>
    this.request('deviceChange', { kind, id, spec, libxl })
  deviceList = (kind: string): Promise<readonly ServedDevice[]> => this.request('deviceList', { kind })
  traceOpen = (wish: TraceWish): Promise<number> => this.request('traceOpen', wish)
  traceFetch = (session: number): Promise<TraceAnswer | null> => this.request('traceFetch', { session })
  traceClose = (session: number): Promise<null> => this.request('traceClose', { session })
  dumpCore = (path: string): Promise<null> => this.request('dumpCore', { path })

  /** Calls `listener` for every event from now on; log lines only if asked for. */
  async subscribe(
    listener: (event: DomainEvent) => void,
    { logs = false, follows = false }: { logs?: boolean; follows?: boolean } = {},
  ): Promise<void> {
    this.#listeners.add(listener)
    await this.request('subscribe', { logs, follows })
  }

  [Symbol.dispose](): void {
    this.#rpc.dispose()
    this.#socket.destroy()
  }
}

/** Connects to a control socket. Rejects with the system's error (ECONNREFUSED, ENOENT: nobody lives there). */
export function connectControl(socketPath: string, name: string): Promise<ControlClient> {
  return new Promise((settle, reject) => {
    const socket = connect(socketPath)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      // A reset connection shows as 'close'; the error itself says nothing more.
      socket.on('error', () => socket.destroy())
      settle(new ControlClient(socket, name))
    })
  })
}

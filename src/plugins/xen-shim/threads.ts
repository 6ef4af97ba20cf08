/**
 * Threads of backends (PvBus.thread): each has a doorbell of its own and a xenhost without xenstore, and is called over
 * a message port. thread-main.ts is the other side.
 *
 * A thread that sleeps in the host's system (a dead network disk) cannot be stopped; the way down does not wait for it.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { MachineLayout, MachineMemory } from '../../base/machine-memory.ts'
import type { BackendThread, ThreadOptions, ThreadService } from '../../engine/plugin.ts'
import { type Log, type LogLevel, XtError } from '../../engine/plugin.ts'
import { DOORBELLS } from '../../xen/shared-state.ts'
import { shimErrors } from './errors.ts'

/** What a thread starts with. */
export interface ThreadData {
  readonly memory: WebAssembly.Memory
  readonly layout: MachineLayout
  readonly doorbell: number
  readonly module: string
  readonly data: unknown
}
export type ToThread =
  | { readonly type: 'call'; readonly id: number; readonly name: string; readonly args: readonly unknown[] }
  | { readonly type: 'end' }
/** An error as it crosses threads. */
export interface Failure {
  readonly message: string
  readonly stack: string | undefined
  /** Of an XtError. */
  readonly code?: string
  readonly hint?: string | undefined
}
export type FromThread =
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly id: number; readonly value?: unknown; readonly failure?: Failure }
  | { readonly type: 'log'; readonly level: LogLevel; readonly line: string }
  | { readonly type: 'failed'; readonly failure: Failure }
  /** The last word: what its handles still held. */
  | { readonly type: 'ended'; readonly leftovers: readonly string[] }

/** How long a thread may take to end by itself. */
const PATIENCE_MS = 3000

export class BackendThreads implements AsyncDisposable {
  readonly #memory: MachineMemory
  readonly #log: Log
  /** By doorbell; 0 is the main thread's. */
  readonly #threads = new Map<number, Thread>()

  constructor(memory: MachineMemory, log: Log) {
    this.#memory = memory
    this.#log = log
  }

  /** Rejects with XT_SHIM_NO_THREAD, or with what the module throws at its start. */
  async start<S extends ThreadService>({ name, module, data }: ThreadOptions): Promise<BackendThread<S>> {
    let doorbell = 1
    while (this.#threads.has(doorbell)) doorbell++
    if (doorbell >= DOORBELLS) throw shimErrors.XT_SHIM_NO_THREAD(name, DOORBELLS - 1)
    const { memory, layout } = this.#memory
    const url = new URL(`./thread-main${extname(import.meta.url)}`, import.meta.url)
    const workerData: ThreadData = { memory, layout, doorbell, module, data }
    const thread = new Thread(new Worker(url, { workerData, name }), name, this.#log, () =>
      this.#threads.delete(doorbell),
    )
    this.#threads.set(doorbell, thread)
    await thread.ready
    return thread as unknown as BackendThread<S>
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#threads.values()].map((thread) => thread[Symbol.asyncDispose]()))
  }
}

class Thread implements BackendThread<ThreadService> {
  readonly ready: Promise<void>
  readonly failed: Promise<never>
  readonly #worker: Worker
  readonly #name: string
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #exited: Promise<void>
  #lastCall = 0
  #over: Error | undefined
  #disposed: Promise<void> | undefined

  constructor(worker: Worker, name: string, log: Log, forget: () => void) {
    this.#worker = worker
    this.#name = name
    const ready = Promise.withResolvers<void>()
    const failed = Promise.withResolvers<never>()
    const exited = Promise.withResolvers<void>()
    this.ready = ready.promise
    this.failed = failed.promise
    this.#exited = exited.promise
    this.failed.catch(() => {})
    const end = (error: Error) => {
      this.#over ??= error
      ready.reject(error)
      failed.reject(error)
      for (const { reject } of this.#calls.values()) reject(error)
      this.#calls.clear()
    }
    worker.on('message', (message: FromThread) => {
      switch (message.type) {
        case 'ready':
          return ready.resolve()
        case 'log':
          return log[message.level](message.line)
        case 'failed':
          return end(this.#crash(message.failure))
        case 'ended':
          for (const line of message.leftovers) log.warn(line)
          return
        case 'answer': {
          const { id, value, failure } = message
          const call = this.#calls.get(id)
          this.#calls.delete(id)
          if (failure === undefined) call?.resolve(value)
          else call?.reject(toError(failure))
        }
      }
    })
    worker.on('error', (error) => end(this.#crash(error as Error)))
    worker.on('exit', (status) => {
      forget()
      exited.resolve()
      if (this.#disposed === undefined)
        end(shimErrors.XT_SHIM_THREAD_FAILED(name, `it ended with status ${status}`))
      else end(new Error(`the thread of ${name} has ended`))
    })
  }

  call(name: string, ...args: readonly unknown[]): Promise<never> {
    if (this.#over !== undefined) return Promise.reject(this.#over)
    const id = ++this.#lastCall
    const answer = Promise.withResolvers<unknown>()
    this.#calls.set(id, answer)
    this.#worker.postMessage({ type: 'call', id, name, args } satisfies ToThread)
    return answer.promise as Promise<never>
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose()
    return this.#disposed
  }

  async #dispose(): Promise<void> {
    this.#worker.postMessage({ type: 'end' } satisfies ToThread)
    const patience = Promise.withResolvers<void>()
    const timer = setTimeout(patience.resolve, PATIENCE_MS)
    await Promise.race([this.#exited, patience.promise])
    clearTimeout(timer)
    void this.#worker.terminate()
    this.#worker.unref()
  }

  #crash(failure: Pick<Failure, 'message'> & { readonly stack?: string | undefined }): Error {
    const error = shimErrors.XT_SHIM_THREAD_FAILED(this.#name, failure.message)
    if (failure.stack !== undefined) error.stack = failure.stack
    return error
  }
}

function toError({ message, stack, code, hint }: Failure): Error {
  const error = code?.startsWith('XT_') ? new XtError(code, message, { hint }) : new Error(message)
  if (stack !== undefined) error.stack = stack
  return error
}

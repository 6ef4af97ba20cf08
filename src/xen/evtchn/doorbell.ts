/**
 * How a thread of backends hears of events: one shared word counts them, the thread waits for it to change.
 *
 * Built on Atomics.waitAsync, so that an event loop can wait too. A waiting doorbell does not keep a process alive;
 * the sockets and files of backends do.
 */
import type { SharedState } from '../shared-state.ts'
import type { Dom0Ports } from './dom0-ports.ts'

export class Doorbell implements Disposable {
  readonly index: number
  readonly #i32: Int32Array<SharedArrayBuffer>
  readonly #word: number
  readonly #ports: Dom0Ports
  readonly #defer: (task: () => void) => void
  readonly #handlers = new Map<number, () => void>()
  #stopped = false

  /** `defer` runs a task after other events of this thread had their turn (setImmediate). */
  constructor(state: SharedState, ports: Dom0Ports, index: number, defer: (task: () => void) => void) {
    this.index = index
    this.#i32 = state.i32
    this.#word = state.domain('doorbell', index)
    this.#ports = ports
    this.#defer = defer
    this.#listen()
  }

  /** `onEvent` runs on this thread after each event on the port; several events may give one call. */
  attach(port: number, onEvent: () => void): void {
    this.#handlers.set(port, onEvent)
    // The port may have been set pending before there was a handler.
    this.#defer(() => this.#serve())
  }

  detach(port: number): void {
    this.#handlers.delete(port)
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    Atomics.add(this.#i32, this.#word, 1)
    Atomics.notify(this.#i32, this.#word)
  }

  #listen(): void {
    if (this.#stopped) return
    // ORDER: the count before the pending bits; an event after this load makes the wait return at once.
    const seen = Atomics.load(this.#i32, this.#word)
    this.#serve()
    const wait = Atomics.waitAsync(this.#i32, this.#word, seen)
    if (wait.async) void wait.value.then(() => this.#listen())
    // GUEST: one that never stops sending must not keep this thread from its other work.
    else this.#defer(() => this.#listen())
  }

  #serve(): void {
    for (const [port, onEvent] of this.#handlers) {
      if (!this.#ports.takePending(port)) continue
      try {
        onEvent()
      } catch (error) {
        // A bug of a backend: reported as an uncaught error, while the other ports live on.
        this.#defer(() => {
          throw error
        })
      }
    }
  }
}

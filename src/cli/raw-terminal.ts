/**
 * A terminal in raw mode that is given back whatever happens: dispose, exit, an uncaught error, a signal.
 *
 * Only SIGKILL cannot be helped; `reset` or `stty sane` is the way out then.
 */
import type { ReadStream } from 'node:tty'

/** Signals that end a program; the terminal is restored first. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

export class RawTerminal implements Disposable {
  readonly #stdin: ReadStream
  #isRaw = false

  constructor(stdin: ReadStream) {
    this.#stdin = stdin
    // ORDER: handlers first, so that no signal finds a raw terminal and nobody to restore it.
    process.on('exit', this.#leave)
    process.on('SIGTSTP', this.#suspend)
    process.on('SIGCONT', this.#enter)
    for (const signal of ENDING) process.on(signal, this.#end)
    this.#enter()
  }

  readonly #enter = (): void => {
    if (this.#isRaw) return
    this.#stdin.setRawMode(true)
    this.#isRaw = true
  }

  readonly #leave = (): void => {
    if (!this.#isRaw) return
    this.#isRaw = false
    try {
      this.#stdin.setRawMode(false)
    } catch {
      // The terminal itself is gone (its window was closed): there is nothing to restore.
    }
  }

  /** Stopped from outside (raw mode passes Ctrl-Z to the guest): the shell gets a sane terminal meanwhile. */
  readonly #suspend = (): void => {
    this.#leave()
    process.kill(process.pid, 'SIGSTOP')
  }

  readonly #end = (signal: NodeJS.Signals): void => {
    this[Symbol.dispose]()
    // Now without our handler: the parent must see by which signal we died.
    process.kill(process.pid, signal)
  };

  [Symbol.dispose](): void {
    this.#leave()
    process.off('exit', this.#leave)
    process.off('SIGTSTP', this.#suspend)
    process.off('SIGCONT', this.#enter)
    for (const signal of ENDING) process.off(signal, this.#end)
  }
}

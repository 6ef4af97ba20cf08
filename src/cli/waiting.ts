/**
 * What a command waits for, on the last line of a terminal: shown once it has taken a second, with the seconds, and
 * gone when it is over. Elsewhere only the lines that last are written.
 */
import { ProgressLine } from './progress.ts'

const STEP_MS = 1000

export class Waiting implements Disposable {
  readonly #stream: NodeJS.WriteStream
  readonly #line: ProgressLine
  readonly #things = new Map<symbol, { readonly what: string; readonly sinceMs: number }>()
  #timer: NodeJS.Timeout | undefined

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    this.#line = new ProgressLine(stream, true)
  }

  /** Waits for one more thing, such as `web to go down`, until what is answered is disposed of. */
  for(what: string): Disposable {
    const key = Symbol()
    this.#things.set(key, { what, sinceMs: performance.now() })
    this.#timer ??= setInterval(() => this.#show(), STEP_MS)
    return {
      [Symbol.dispose]: () => {
        this.#things.delete(key)
        if (this.#things.size === 0) this[Symbol.dispose]()
        else this.#show()
      },
    }
  }

  /** A line that lasts. */
  readonly note = (line: string): void => {
    this.#line[Symbol.dispose]()
    this.#stream.write(`${line}\n`)
  };

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#line[Symbol.dispose]()
  }

  #show(): void {
    const things = [...this.#things.values()]
    const seconds = Math.floor((performance.now() - Math.min(...things.map(({ sinceMs }) => sinceMs))) / 1000)
    if (seconds > 0) this.#line.show(`Waiting ${seconds} s for ${things.map(({ what }) => what).join(', ')}`)
  }
}

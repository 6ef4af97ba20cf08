/** A guest's console as lines with the time of their arrival, and waiting for one of them. */
import type { Readable } from 'node:stream'

export interface Line {
  readonly text: string
  /** performance.now() when its last byte arrived. */
  readonly atMs: number
  /** CPU seconds of the virtual machine's process by then; only of lines that were waited for. */
  readonly cpu: number
}

/** More than any row takes on a busy machine. */
const PATIENCE_MS = 600_000
const TAIL_LINES = 15

export class GuestLines {
  readonly #cpu: () => number
  readonly #record: () => string
  readonly #lines: Line[] = []
  #partial = ''
  #ended = false
  #onLine = () => {}

  /**
   * `cpu` is asked when a line with a marker ("@..." or xt's own) arrives; `record`, what the machine's own log says, when the
   * guest has ended unasked.
   */
  constructor(output: Readable, cpu: () => number, record = () => '') {
    this.#cpu = cpu
    this.#record = record
    output.setEncoding('utf8').on('data', (text: string) => this.#take(text))
    output.once('close', () => {
      this.#ended = true
      this.#onLine()
    })
  }

  /** The first line that matches, now or later. */
  async line(pattern: RegExp): Promise<Line> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(this.#failure('did not print', pattern)), PATIENCE_MS)
    try {
      for (;;) {
        const found = this.#lines.find(({ text }) => pattern.test(text))
        if (found !== undefined) return found
        if (this.#ended) throw this.#failure('ended without', pattern)
        const more = new Promise<void>((settle) => {
          this.#onLine = settle
        })
        await Promise.race([more, late])
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #failure(what: string, pattern: RegExp): Error {
    const tail = this.#lines.slice(-TAIL_LINES).map(({ text }) => text)
    const record = this.#ended ? this.#record().split('\n').slice(-TAIL_LINES) : []
    return new Error(`the guest ${what} ${pattern}; its last lines:\n${[...tail, ...record].join('\n')}`)
  }

  #take(text: string): void {
    const atMs = performance.now()
    const lines = (this.#partial + text).split('\n')
    this.#partial = lines.pop() ?? ''
    for (const line of lines) {
      const isMarker = /^(@|xt: )|\] Linux version /.test(line)
      this.#lines.push({ text: line.trimEnd(), atMs, cpu: isMarker ? this.#cpu() : Number.NaN })
    }
    this.#onLine()
  }
}

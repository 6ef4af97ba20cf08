/**
 * One thing that is wrong, or doubtful, in a configuration: what, where, and the line it stands in.
 * Plain data; the printers here are pure.
 */
import { configErrors } from './errors.ts'
import type { Source } from './xl/source.ts'

type Rows = typeof configErrors.rows
export type ProblemCode = keyof Rows

export interface ConfigProblem {
  /** A note says that a key has no effect; it is never more than a note. */
  readonly severity: 'error' | 'warning' | 'note'
  readonly code: ProblemCode
  readonly message: string
  readonly hint?: string
  /** The file name as given, or `command line`. */
  readonly source: string
  /** Both count from 1. */
  readonly line: number
  readonly column: number
  /** The piece of text that is the matter, as xl's messages quote it; may be empty (the end of the text). */
  readonly near: string
  /** The line, cut to a readable length, and where in it (in characters from 0) the matter starts. */
  readonly excerpt: string
  readonly caret: number
  /** Offset in the parsed text, for sorting. */
  readonly at: number
}

/** Collects the problems of one text. */
export class Problems {
  readonly list: ConfigProblem[] = []
  readonly #source: Source
  readonly #strict: boolean
  #errors = 0

  /** With `strict` every warning is an error. Only the first problems are kept (a hostile file has millions), and always the first error. */
  constructor(source: Source, options: { readonly strict?: boolean } = {}) {
    this.#source = source
    this.#strict = options.strict ?? false
  }

  /** No more problems are kept: what takes time to say need not be said. */
  get isFull(): boolean {
    return this.list.length >= MOST_PROBLEMS
  }

  get hasErrors(): boolean {
    return this.#errors > 0
  }

  error<C extends ProblemCode>(
    at: number,
    end: number,
    code: C,
    ...args: Parameters<Rows[C]['message']>
  ): void {
    this.#add('error', at, end, code, args)
  }

  warn<C extends ProblemCode>(
    at: number,
    end: number,
    code: C,
    ...args: Parameters<Rows[C]['message']>
  ): void {
    this.#add(this.#strict ? 'error' : 'warning', at, end, code, args)
  }

  note<C extends ProblemCode>(
    at: number,
    end: number,
    code: C,
    ...args: Parameters<Rows[C]['message']>
  ): void {
    this.#add('note', at, end, code, args)
  }

  /** Everything found, in the order of the text. */
  sorted(): readonly ConfigProblem[] {
    return this.list.toSorted((a, b) => a.at - b.at)
  }

  #add(
    severity: ConfigProblem['severity'],
    at: number,
    end: number,
    code: ProblemCode,
    args: readonly unknown[],
  ) {
    if (severity === 'error') this.#errors++
    if (this.isFull && (severity !== 'error' || this.#errors > 1)) return
    const row = configErrors.rows[code] as {
      message: (...args: readonly unknown[]) => string
      hint?: string | ((...args: readonly unknown[]) => string | undefined)
    }
    const hint = typeof row.hint === 'function' ? row.hint(...args) : row.hint
    const { text, caret } = this.#source.excerpt(at)
    this.list.push({
      severity,
      code,
      message: printable(row.message(...args)),
      ...(hint ? { hint } : {}),
      ...this.#source.locate(at),
      near: this.#source.text.slice(at, Math.min(end, at + LONGEST_NEAR)),
      excerpt: text,
      caret,
      at,
    })
  }
}

const MOST_PROBLEMS = 100
const LONGEST_NEAR = 200

/** Control characters and undecodable bytes as escapes, so that a message cannot write to a terminal at will. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\udc80-\udcff\ufeff]/g, (character) => {
    const code = character.charCodeAt(0)
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

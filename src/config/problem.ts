/** Collects what is wrong, or doubtful, in a configuration, each thing with its place and the line it stands in. Pure. */
import { type ConfigProblem, configErrors, type ProblemCode } from './errors.ts'
import type { Source } from './xl/source.ts'

export type { ConfigProblem, ProblemCode } from './errors.ts'

type Rows = typeof configErrors.rows

/** Collects the problems of one text. */
export class Problems {
  readonly list: ConfigProblem[] = []
  readonly #source: Source
  readonly #strict: boolean
  #errors = 0
  #faults = 0

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

  /** Errors other than warnings taken for errors: those leave something that can be read on. */
  get hasFaults(): boolean {
    return this.#faults > 0
  }

  error<C extends ProblemCode>(
    at: number,
    end: number,
    code: C,
    ...args: Parameters<Rows[C]['message']>
  ): void {
    this.#faults++
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
    const shown = args.map((arg) => (typeof arg === 'string' ? readable(arg) : arg))
    const hint = typeof row.hint === 'function' ? row.hint(...shown) : row.hint
    const { text, caret } = this.#source.excerpt(at)
    this.list.push({
      severity,
      code,
      message: printable(row.message(...shown)),
      ...(hint ? { hint } : {}),
      ...this.#source.locate(at),
      near: this.#source.text.slice(at, Math.min(end, at + LONGEST_NEAR)),
      excerpt: text,
      caret,
      at,
    })
  }
}

/** Text as a message quotes it: a hostile file has words of megabytes. */
const readable = (text: string): string =>
  text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}...` : text

const MOST_PROBLEMS = 100
const LONGEST_QUOTE = 200
/** What programs are told of the place; more than any honest word has, and still not a hostile file's megabytes. */
const LONGEST_NEAR = 4096

/** Control characters and undecodable bytes as escapes, so that a message cannot write to a terminal at will. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\udc80-\udcff\ufeff]/g, (character) => {
    const code = character.charCodeAt(0)
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

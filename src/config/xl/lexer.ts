/**
 * The lexer of xl's configuration language: the tokens, longest-match rules and error words of libxlutil
 * (Xen 4.13 to 4.22; the text is the same in all of them).
 *
 * Kinder than xl in two places, each with a warning: CR before a newline is a blank, and a last comment needs
 * no newline. Time is linear in the text.
 */
import type { Problems } from '../problem.ts'
import { decodeEscapes } from './escapes.ts'

export type TokenType = 'name' | 'number' | 'string' | ',' | '[' | ']' | '=' | '+=' | ';' | 'newline' | 'end'

export interface Token {
  readonly type: TokenType
  readonly at: number
  readonly end: number
  /** The text of a name, a number or a string (escapes done); empty for all others. */
  readonly text: string
  /** See Atom.textAt. */
  readonly textAt: number
}

const NAME = /[a-z][._0-9a-z]*/y
const NUMBER = /[0-9][0-9a-fx]*/y
const WORD = /[^ \t\n]*/y
const SINGLE: ReadonlySet<string> = new Set([',', '[', ']', '=', ';'])

export class Lexer {
  readonly #text: string
  readonly #problems: Problems
  #at = 0
  #warnedCrlf = false
  /** Where a character stands that was dropped at the very end. */
  #endAt: number | undefined
  /** End of the line of the last lexical error: one line, one report. */
  #failedUntil = -1

  constructor(text: string, problems: Problems) {
    this.#text = text
    this.#problems = problems
  }

  /** The next token; text that is none is reported and skipped. After the last one always `end`. */
  next(): Token {
    for (;;) {
      const at = this.#at
      const character = this.#text[at]
      if (character === undefined)
        return { type: 'end', at: this.#endAt ?? at, end: at, text: '', textAt: -1 }
      if (character === ' ' || character === '\t') this.#at++
      else if (character === '\n') return this.#token('newline', at + 1)
      else if (character === '\r' && this.#text[at + 1] === '\n') this.#carriageReturn()
      else if (SINGLE.has(character)) return this.#token(character as TokenType, at + 1)
      else if (character === '+' && this.#text[at + 1] === '=') return this.#token('+=', at + 2)
      else {
        const token = this.#word(character)
        if (token !== undefined) return token
        this.#stray()
      }
    }
  }

  /** Whether text before the token on its line was refused: what follows it there says nothing. */
  failedOnLineOf(token: Token): boolean {
    return token.at <= this.#failedUntil
  }

  #word(first: string): Token | undefined {
    const at = this.#at
    if (first >= 'a' && first <= 'z') return this.#token('name', this.#match(NAME), at)
    if (first >= '0' && first <= '9') return this.#token('number', this.#match(NUMBER), at)
    if (first === '"' || first === "'") return this.#string(first)
    if (first === '#') return this.#comment()
    return undefined
  }

  #match(pattern: RegExp, from = this.#at): number {
    pattern.lastIndex = from
    pattern.test(this.#text)
    return pattern.lastIndex
  }

  #token(
    type: TokenType,
    end: number,
    textAt = -1,
    text = textAt < 0 ? '' : this.#text.slice(textAt, end),
  ): Token {
    const token = { type, at: this.#at, end, text, textAt }
    this.#at = end
    return token
  }

  #carriageReturn(): void {
    if (!this.#warnedCrlf) this.#problems.warn(this.#at, this.#at + 1, 'XT_CONFIG_CRLF')
    this.#warnedCrlf = true
    this.#at++
  }

  /** A comment is a newline token; a lone `#` as the last byte is dropped by xl too. */
  #comment(): Token {
    const newline = this.#text.indexOf('\n', this.#at)
    if (newline >= 0) return this.#token('newline', newline + 1)
    const end = this.#text.length
    if (end === this.#at + 1) {
      this.#endAt = this.#at
      this.#at = end
      return this.next()
    }
    this.#problems.warn(this.#at, end, 'XT_CONFIG_OPEN_COMMENT')
    return this.#token('newline', end)
  }

  /** A quoted string, or undefined if it does not end on its line. */
  #string(quote: string): Token | undefined {
    const text = this.#text
    let plain = true
    for (let at = this.#at + 1; ; at++) {
      const character = text[at]
      if (character === undefined || character === '\n') return undefined
      if (character === quote) return this.#finishString(at, plain)
      if (character === '\\') {
        plain = false
        at++
        if (text[at] === '\n') return undefined
      } else if (character === '\0') plain = false
    }
  }

  #finishString(closing: number, plain: boolean): Token {
    const from = this.#at + 1
    if (plain) return this.#token('string', closing + 1, from, this.#text.slice(from, closing))
    const { text, dropped, fault } = decodeEscapes(this.#text.slice(from, closing))
    for (const [start, end] of dropped) {
      const nothing = this.#text.slice(from + start, from + end)
      this.#problems.warn(from + start, from + end, 'XT_CONFIG_NUMERIC_ESCAPE', nothing)
    }
    if (fault !== undefined) {
      const sequence = this.#text.slice(from + fault.from, from + fault.to)
      this.#fail(() =>
        fault.kind === 'nul'
          ? this.#problems.error(this.#at, closing + 1, 'XT_CONFIG_NUL')
          : this.#problems.error(this.#at, closing + 1, 'XT_CONFIG_ESCAPE', sequence),
      )
    }
    return this.#token('string', closing + 1, -1, text)
  }

  /** One line, one report: later faults of a line mostly follow from its first. */
  #fail(report: () => void): void {
    if (this.#at < this.#failedUntil) return
    report()
    const newline = this.#text.indexOf('\n', this.#at)
    this.#failedUntil = newline < 0 ? this.#text.length : newline
  }

  /**
   * A character that starts no token takes the rest of its word with it. XEN: as the very last byte of the
   * text xl drops it unsaid (its scanner never gets to report it); here it is dropped with a warning.
   */
  #stray(): void {
    const at = this.#at
    const end = this.#match(WORD, at + 1)
    const code = this.#text.charCodeAt(at)
    const oneByte = code < 0x80 || (code >= 0xdc80 && code <= 0xdcff)
    if (at + 1 === this.#text.length && oneByte) {
      this.#problems.warn(at, end, 'XT_CONFIG_STRAY_END', this.#text.slice(at))
      this.#endAt = at
    } else {
      this.#fail(() => this.#problems.error(at, end, 'XT_CONFIG_LEXICAL', this.#text.slice(at, end)))
    }
    this.#at = end
  }
}

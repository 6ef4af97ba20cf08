/**
 * The grammar of xl's configuration language, read as libxlutil's LALR parser reads it: what is accepted, which
 * line a value has, and how it goes on after an error (at the next newline; quiet for three tokens).
 *
 *   file       = { statement } [ assignment ]
 *   statement  = assignment end | end | <error> newline          end  = newline | ";"
 *   assignment = name ( "=" | "+=" ) value                       value = string | number | list
 *   list       = "[" newlines [ items [ "," newlines ] ] "]"     items = value newlines { "," newlines value newlines }
 *
 * No recursion: hostile nesting costs memory in proportion to the text, and more than MOST_NESTED is refused.
 */
import type { Problems } from '../problem.ts'
import type { Atom, List, Setting, Value } from './ast.ts'
import { Lexer, type Token, type TokenType } from './lexer.ts'

/** libxlutil's own limit depends on its parser's stack and lies near 2500. */
const MOST_NESTED = 2000
/** After an error, errors are not reported until this many tokens were taken (Bison's rule). */
const QUIET_TOKENS = 3

/**
 * Parses a text. Problems are added to `problems`; settings hold what could be read, in the order of the names'
 * last assignments. Never throws, whatever the text.
 */
export function parseSettings(text: string, problems: Problems): ReadonlyMap<string, Setting> {
  return new Parser(text, problems).parse()
}

type OpenList = { readonly at: number; readonly items: Value[] }
type Mutable = { kind: 'list'; items: Value[]; at: number; end: number }

class Parser {
  readonly #lexer: Lexer
  readonly #problems: Problems
  readonly #settings = new Map<string, Setting>()
  #token: Token
  #quiet = 0
  /** End of the last token taken; of a newline, its start. */
  #takenUntil = 0

  constructor(text: string, problems: Problems) {
    this.#problems = problems
    this.#lexer = new Lexer(text, problems)
    this.#token = this.#lexer.next()
  }

  #is(type: TokenType): boolean {
    return this.#token.type === type
  }

  parse(): ReadonlyMap<string, Setting> {
    while (!this.#is('end')) if (!this.#statement()) this.#recover()
    return this.#settings
  }

  #take(): Token {
    const token = this.#token
    if (this.#quiet > 0) this.#quiet--
    this.#takenUntil = token.type === 'newline' ? token.at : token.end
    this.#token = this.#lexer.next()
    return token
  }

  #statement(): boolean {
    if (this.#is('newline') || this.#is(';')) {
      this.#take()
      return true
    }
    if (!this.#is('name')) return this.#unexpected('the name of a setting')
    const name = this.#take()
    if (!this.#is('=') && !this.#is('+=')) return this.#unexpected('= or +=')
    const appended = this.#take().type === '+='
    const value = this.#value()
    if (value === undefined) return false
    this.#store(name, appended, value)
    const after = this.#token.type
    if (after === 'end') return true
    if (after !== 'newline' && after !== ';') return this.#unexpected('the end of the line or ;')
    this.#take()
    return true
  }

  #value(): Value | undefined {
    const open: OpenList[] = []
    for (;;) {
      let value: Value
      if (this.#is('string') || this.#is('number')) value = atom(this.#take())
      else if (this.#is('[')) {
        if (!this.#openList(open)) return undefined
        if (!this.#is(']')) continue
        value = this.#closeList(open)
      } else {
        this.#unexpected(open.length === 0 ? 'a string, a number or [' : 'a value or ]')
        return undefined
      }
      // A finished value closes as many lists as there are brackets behind it.
      for (;;) {
        const list = open.at(-1)
        if (list === undefined) return value
        list.items.push(value)
        this.#newlines()
        if (this.#is(',')) {
          this.#take()
          this.#newlines()
          if (!this.#is(']')) break
        } else if (!this.#is(']')) {
          this.#unexpected(', or ]')
          return undefined
        }
        value = this.#closeList(open)
      }
    }
  }

  #openList(open: OpenList[]): boolean {
    const bracket = this.#take()
    if (open.length === MOST_NESTED) {
      this.#report(() => this.#problems.error(bracket.at, bracket.end, 'XT_CONFIG_TOO_DEEP', MOST_NESTED))
      return false
    }
    open.push({ at: bracket.at, items: [] })
    this.#newlines()
    return true
  }

  #closeList(open: OpenList[]): List {
    const { at, items } = open.pop()!
    return { kind: 'list', items, at, end: this.#take().end }
  }

  #newlines(): void {
    while (this.#is('newline')) this.#take()
  }

  #store(name: Token, appended: boolean, value: Value): void {
    const before = this.#settings.get(name.text)
    const joined = appended && before !== undefined ? this.#join(before, value) : value
    if (joined === undefined) return
    this.#settings.delete(name.text)
    this.#settings.set(name.text, { name: name.text, nameAt: name.at, value: joined, appended })
  }

  #join({ name, value: before }: Setting, added: Value): Value | undefined {
    if (before.kind === 'atom' && added.kind === 'atom') {
      return { ...added, text: before.text + added.text, textAt: -1 }
    }
    if (before.kind === 'list' && added.kind === 'list') {
      // The earlier list is reachable from nowhere else; growing it in place keeps many += linear.
      const items = (before as Mutable).items
      for (const item of added.items) items.push(item)
      return { ...added, items }
    }
    // xl quotes the last token of the value.
    const quoted = added.kind === 'list' ? added.end - 1 : added.at
    this.#problems.error(
      quoted,
      added.end,
      'XT_CONFIG_MIXED_APPEND',
      name,
      words[before.kind],
      words[added.kind],
    )
    return undefined
  }

  #unexpected(expected: string): false {
    const { type, at, end } = this.#token
    // A comment's text is quoted without its newline; the end of the file is a matter of the last line that holds something.
    const atEnd = type === 'end' && at === end
    const place = atEnd ? this.#takenUntil : at
    const shown = atEnd ? place : type === 'newline' ? Math.max(at, end - 1) : end
    this.#report(() => this.#problems.error(place, shown, 'XT_CONFIG_SYNTAX', spell(this.#token), expected))
    return false
  }

  #report(add: () => void): void {
    if (this.#quiet === 0 && !this.#lexer.failedOnLineOf(this.#token)) add()
    this.#quiet = QUIET_TOKENS
  }

  /** Goes on behind the next newline. */
  #recover(): void {
    while (!this.#is('newline') && !this.#is('end')) this.#token = this.#lexer.next()
    if (this.#is('newline')) this.#take()
  }
}

const words = { atom: 'string', list: 'list' } as const

function atom(token: Token): Atom {
  return { kind: 'atom', text: token.text, at: token.at, end: token.end, textAt: token.textAt }
}

function spell(token: Token): string {
  switch (token.type) {
    case 'end':
      return 'end of the file'
    case 'newline':
      return 'end of the line'
    case 'name':
    case 'number':
      return `\`${token.text}'`
    case 'string':
      return 'string'
    default:
      return `\`${token.type}'`
  }
}

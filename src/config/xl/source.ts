/**
 * The text that was parsed and where its parts come from: the file, then the settings of the command line,
 * which xl puts behind the file's text with a newline before them (so that they win).
 */

export interface Place {
  /** The file name as given, or `command line`. */
  readonly source: string
  /** Both count from 1; the column counts characters. */
  readonly line: number
  readonly column: number
}

/** How much of a line an excerpt shows. */
const EXCERPT_LENGTH = 200
const LONG_LINE = 10_000

export class Source {
  readonly text: string
  readonly name: string
  /** Offset at which the command line's settings start. */
  readonly #overridesAt: number
  #lineStarts: readonly number[] | undefined

  constructor(text: string, name: string, overrides: readonly string[] = []) {
    this.name = name
    this.#overridesAt = text.length + 1
    this.text =
      overrides.length === 0 ? text : `${text}\n${overrides.map((setting) => `${setting}\n`).join('')}`
  }

  locate(at: number): Place {
    const index = this.#lineIndex(at)
    const column = characters(this.text.slice(this.#starts()[index]!, at)) + 1
    if (at < this.#overridesAt) return { source: this.name, line: index + 1, column }
    return { source: 'command line', line: index - this.#lineIndex(this.#overridesAt) + 1, column }
  }

  /** The line around `at` without its end, cut to a readable length, and the caret's place in it (in characters). */
  excerpt(at: number): { readonly text: string; readonly caret: number } {
    const start = this.#starts()[this.#lineIndex(at)]!
    const newline = this.text.indexOf('\n', start)
    let end = newline < 0 ? this.text.length : newline
    if (this.text[end - 1] === '\r' && end - 1 >= at) end--
    const from = Math.max(start, Math.min(at - EXCERPT_LENGTH / 2, end - EXCERPT_LENGTH))
    const text = this.text.slice(from, Math.min(end, from + EXCERPT_LENGTH))
    return { text, caret: characters(this.text.slice(from, at)) }
  }

  #starts(): readonly number[] {
    if (this.#lineStarts === undefined) {
      const starts = [0]
      for (let at = this.text.indexOf('\n'); at >= 0; at = this.text.indexOf('\n', at + 1))
        starts.push(at + 1)
      this.#lineStarts = starts
    }
    return this.#lineStarts
  }

  #lineIndex(at: number): number {
    const starts = this.#starts()
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= at) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** How many characters a text has; of a line too long to be read by anyone, how many code units. */
function characters(text: string): number {
  return text.length > LONG_LINE ? text.length : [...text].length
}

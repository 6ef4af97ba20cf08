/**
 * What a text in xl's configuration language says: settings whose values are atoms and nested lists
 * (xl.cfg(5); Xen's libxlutil). The language has no numbers: an atom is text that a key may later read as one.
 *
 * Places are offsets into the parsed text; `Source` turns them into file, line and column.
 */

/** A string or a number: both are text. */
export interface Atom {
  readonly kind: 'atom'
  readonly text: string
  /** Offset of the first character, the opening quote included. */
  readonly at: number
  readonly end: number
  /** Offset of `text[0]` if the text stands in the source as it is (no escapes, no joining by `+=`), else -1. */
  readonly textAt: number
}

export interface List {
  readonly kind: 'list'
  readonly items: readonly Value[]
  readonly at: number
  readonly end: number
}

export type Value = Atom | List

/** The assignment in force for a name: the last one, joined to the earlier ones if it was made with `+=`. */
export interface Setting {
  readonly name: string
  readonly nameAt: number
  readonly value: Value
  /** Made with `+=`: such a value cannot be read as a number. */
  readonly appended: boolean
}

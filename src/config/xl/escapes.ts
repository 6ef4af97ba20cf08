/**
 * Backslash escapes in strings, as libxlutil's xlu__cfgl_dequote takes them.
 *
 * XEN: escapes by number are broken there: `\x..` is always refused; an octal digit must be followed by two or
 * three characters that C's strtoul takes as decimal, and then all of it yields nothing. Kept as it is, so that a
 * file means here what it means there; the lexer warns where something is dropped.
 */

export interface Decoded {
  readonly text: string
  /** Ranges of the body that yielded nothing. */
  readonly dropped: readonly (readonly [from: number, to: number])[]
  /** The first thing that no string may hold; `text` is then worthless. */
  readonly fault?: { readonly kind: 'nul' | 'escape'; readonly from: number; readonly to: number }
}

const CHARACTERS: ReadonlyMap<string, string> = new Map([
  ['\\', '\\'],
  ['"', '"'],
  ["'", "'"],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
])

/** Decodes what stands between the quotes. A backslash always has a character behind it (the lexer saw to that). */
export function decodeEscapes(body: string): Decoded {
  const dropped: [number, number][] = []
  const fail = (kind: 'nul' | 'escape', from: number, to: number): Decoded => ({
    text: '',
    dropped,
    fault: { kind, from, to },
  })
  let text = ''
  for (let at = 0; at < body.length; at++) {
    const character = body[at]!
    if (character === '\0') return fail('nul', at, at + 1)
    if (character !== '\\') {
      text += character
      continue
    }
    const from = at++
    const next = body[at]!
    const known = CHARACTERS.get(next)
    if (known !== undefined) {
      text += known
      continue
    }
    const taken = next >= '0' && next <= '7' ? decimalPrefix(body.slice(at + 1, at + 4)) : 0
    if (taken < 2) return fail('escape', from, at + 1)
    at += taken
    dropped.push([from, at + 1])
  }
  return { text, dropped }
}

/** How many characters strtoul with base 10 takes. */
function decimalPrefix(text: string): number {
  return /^[ \t\n\v\f\r]*[+-]?[0-9]+/.exec(text)?.[0].length ?? 0
}

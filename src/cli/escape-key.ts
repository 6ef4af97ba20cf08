/** The key that leaves a console. Pure. */
import { cliErrors } from './errors.ts'

export interface EscapeKey {
  readonly byte: number
  /** As people write it: Ctrl-]. */
  readonly label: string
}

export const DEFAULT_ESCAPE: EscapeKey = { byte: 0x1d, label: 'Ctrl-]' }

/** Reads what `-e` takes, as xenconsole does: one character, or ^X for a control character. Throws XT_ESCAPE_KEY. */
export function parseEscapeKey(text: string): EscapeKey {
  const [first, second] = text
  if (text.length === 2 && first === '^' && second !== undefined && /[@-_a-z?]/.test(second)) {
    const upper = second.toUpperCase()
    return { byte: upper.charCodeAt(0) ^ 0x40, label: `Ctrl-${upper}` }
  }
  if (text.length === 1 && text.charCodeAt(0) < 0x80) return { byte: text.charCodeAt(0), label: text }
  throw cliErrors.XT_ESCAPE_KEY(text)
}

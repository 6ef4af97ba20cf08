/**
 * Values of the store, which are bytes, as text and back. What is no printable UTF-8 is escaped, so that a guest
 * cannot write to a terminal at will; `readValue(showValue(bytes))` gives the same bytes.
 */
import { decodeText } from '../config/load.ts'
import { cliErrors } from './errors.ts'

const NAMED: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

export function showValue(bytes: Uint8Array): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point
  return decodeText(bytes).replace(/[\\\u0000-\u001f\u007f-\u009f\udc80-\udcff]/gu, (character) => {
    const code = character.charCodeAt(0)
    const raw = code >= 0xdc80 ? [code - 0xdc00] : [...Buffer.from(character)]
    return NAMED[character] ?? raw.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
  })
}

/** Throws XT_XENSTORE_ESCAPE. */
export function readValue(text: string): Uint8Array {
  const parts = text.split(/(\\(?:x[0-9a-fA-F]{2}|.|$))/su)
  return Buffer.concat(parts.map((part) => (part.startsWith('\\') ? unescaped(part) : Buffer.from(part))))
}

function unescaped(sequence: string): Uint8Array {
  if (/^\\x../.test(sequence)) return Buffer.of(Number.parseInt(sequence.slice(2), 16))
  const named = Object.entries(NAMED).find(([, escaped]) => escaped === sequence)
  if (named === undefined) throw cliErrors.XT_XENSTORE_ESCAPE(sequence)
  return Buffer.from(named[0])
}

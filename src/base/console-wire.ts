/**
 * The words spoken on a domain's console socket, shared by the domain process and the client.
 *
 * The client sends one line of JSON (a greeting), the domain answers one line of JSON; from then on both
 * directions carry the raw bytes of the guest's console until either side closes. Nothing else is framed, so
 * that any program that can open a UNIX socket can be a console.
 */

/** `write`: sees and types (one at a time); `read`: only watches (any number). */
export type ConsoleMode = 'write' | 'read'

export interface ConsoleGreeting {
  readonly mode: ConsoleMode
  /** Begin with what the guest printed before now, as far as it is kept. */
  readonly replay: boolean
}

/** `busy`: another client types already. `protocol`: the greeting was not understood. */
export type ConsoleAnswer = { readonly ok: true } | { readonly ok: false; readonly code: 'busy' | 'protocol' }

/** Longest line of either side, in bytes with its newline. */
export const CONSOLE_LINE_MAX = 1024

export const consoleLine = (message: ConsoleGreeting | ConsoleAnswer): string =>
  `${JSON.stringify(message)}\n`

/** undefined: not a greeting. */
export function parseConsoleGreeting(line: string): ConsoleGreeting | undefined {
  const value = parseObject(line)
  if (value === undefined) return undefined
  const { mode, replay } = value
  if (mode !== 'write' && mode !== 'read') return undefined
  return { mode, replay: replay === true }
}

/** undefined: not an answer of a console. */
export function parseConsoleAnswer(line: string): ConsoleAnswer | undefined {
  const value = parseObject(line)
  if (value?.['ok'] === true) return { ok: true }
  if (value?.['ok'] === false) return { ok: false, code: value['code'] === 'busy' ? 'busy' : 'protocol' }
  return undefined
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

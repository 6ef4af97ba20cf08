/** A console session of a command: the words around it on standard error, and how it ended. */
import type { ConsoleMode } from '../base/console-wire.ts'
import { consoleSocket } from '../engine/paths.ts'
import { attachConsole, type ConsoleEnd } from './console-client.ts'
import { DEFAULT_ESCAPE, type EscapeKey } from './escape-key.ts'

export interface SessionDomain {
  readonly domid: number
  readonly name: string
  readonly dir: string
}

export interface SessionOptions {
  readonly mode?: ConsoleMode
  readonly escapeKey?: EscapeKey
  readonly replay?: boolean
  /** Called once we are in: nothing that the guest prints from now on is missed. */
  readonly onAttached?: () => Promise<void>
}

/** Attaches to the domain's primary console. On a terminal it is said how to leave, and afterwards why it ended. */
export async function runConsole(domain: SessionDomain, options: SessionOptions = {}): Promise<ConsoleEnd> {
  const { mode = 'write', escapeKey = DEFAULT_ESCAPE, replay = true, onAttached } = options
  const note = (text: string): void => {
    if (process.stdin.isTTY) process.stderr.write(`${text}\n`)
  }
  const end = await attachConsole(consoleSocket(domain.dir), {
    name: domain.name,
    mode,
    escapeKey,
    replay,
    onAttached: async () => {
      note(`Connected to ${domain.name} (domid ${domain.domid}). ${escapeKey.label} leaves.`)
      await onAttached?.()
    },
  })
  note(
    end === 'detached'
      ? `\nDetached from ${domain.name}; \`xt console ${domain.name}\` comes back.`
      : `\nThe console of ${domain.name} was closed: the guest has ended.`,
  )
  return end
}

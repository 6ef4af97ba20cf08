/** A console session of a command: the words around it on standard error, and how it ended. */
import type { ConsoleMode } from '../base/console-wire.ts'
import { XtError } from '../base/errors.ts'
import { connectDomain, type DomainEntry } from '../engine/domains.ts'
import { consoleSocket } from '../engine/paths.ts'
import { attachConsole, type ConsoleEnd } from './console-client.ts'
import { DEFAULT_ESCAPE, type EscapeKey } from './escape-key.ts'
import { watchOutputReader } from './output-reader.ts'
import { Waiting } from './waiting.ts'

export type SessionDomain = DomainEntry

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
  // A guest that stays after its end leaves its console open, and silent: it is said.
  const stays = (words: string) =>
    note(
      `\r\n${domain.name} ${words} and stays as it is (\`xt destroy\` ends that). ${escapeKey.label} leaves.\r`,
    )
  using watch = process.stdin.isTTY ? new EndWatch(domain, stays) : undefined
  await watchOutputReader()
  const attach = () =>
    attachConsole(consoleSocket(domain.dir), {
      name: domain.name,
      mode,
      escapeKey,
      replay,
      onAttached: async () => {
        note(`Connected to ${domain.name} (domid ${domain.domid}). ${escapeKey.label} leaves.`)
        await onAttached?.()
      },
    })
  const end = await attach().catch(async (error: unknown) => {
    if (!(error instanceof XtError) || error.code !== 'XT_NO_CONSOLE') throw error
    // A domain is listed, by a name that has just been given again after a restart, before it has its devices.
    await whenBuilt(domain)
    return attach()
  })
  if (end !== 'detached') await watch?.heard()
  note(
    end === 'detached'
      ? `\nDetached from ${domain.name}; \`xt console ${domain.name}\` comes back.`
      : `\nThe console of ${domain.name} was closed: ${watch?.words ?? HAS_ENDED}`,
  )
  return end
}

/** Settles when the domain is no longer being built: it may also have ended. */
async function whenBuilt(domain: SessionDomain): Promise<void> {
  using client = await connectDomain(domain)
  const built = Promise.withResolvers<void>()
  await client.subscribe((event) => {
    if (event.type === 'state') built.resolve()
  })
  if ((await client.info()).state !== 'building') return
  using _ = new Waiting(process.stderr).for(`${domain.name} to be built`)
  await Promise.race([built.promise, client.closed])
}

const HAS_ENDED = 'the guest has ended.'
const CRASH = 3
const PATIENCE_MS = 1000

/** Learns how a guest ends while its console is open. Never waited for: without it the words are fewer. */
class EndWatch implements Disposable {
  readonly #name: string
  readonly #over = new AbortController()
  readonly #heard = Promise.withResolvers<void>()
  #last: { readonly reason: number; readonly action: string } | undefined

  constructor(domain: SessionDomain, stays: (words: string) => void) {
    this.#name = domain.name
    this.#follow(domain, stays).catch(() => this.#heard.resolve())
  }

  async #follow(domain: SessionDomain, stays: (words: string) => void): Promise<void> {
    const client = await connectDomain(domain)
    const { signal } = this.#over
    if (signal.aborted) return client[Symbol.dispose]()
    signal.addEventListener('abort', () => client[Symbol.dispose]())
    client.closed.then(() => this.#heard.resolve())
    await client.subscribe((event) => {
      if (event.type !== 'shutdown') return
      this.#last = event
      this.#heard.resolve()
      if (event.action === 'preserve') stays(event.reason === CRASH ? 'has crashed' : 'has ended')
    })
  }

  /** The end of the console may be here before the word of why, which comes another way. */
  async heard(): Promise<void> {
    const late = setTimeout(() => this.#heard.resolve(), PATIENCE_MS)
    await this.#heard.promise
    clearTimeout(late)
  }

  get words(): string {
    const { reason, action } = this.#last ?? { reason: 0, action: 'destroy' }
    if (/restart|reset/.test(action))
      return `the guest starts again as a new domain; \`xt console ${this.#name}\` attaches to it.`
    return reason === CRASH ? 'the guest has crashed.' : HAS_ENDED
  }

  [Symbol.dispose](): void {
    this.#over.abort()
  }
}

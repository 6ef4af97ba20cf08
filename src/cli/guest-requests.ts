/**
 * `xt shutdown` and `xt reboot`: asks guests to go down through the Xen control interface, and waits if wanted.
 *
 * What is asked for and waited for is told on standard error in xl's words; on a terminal also, while it lasts, whose
 * turn it is.
 */
import type { ControlClient } from '../engine/control.ts'
import { connectDomain, type DomainEntry } from '../engine/domains.ts'
import type { Waiting } from './waiting.ts'

export type GuestRequest = 'shutdown' | 'reboot'

/** none: returns when the guest has taken the request up; ended: when it has shut down; gone: when the domain is gone. */
export type WaitFor = 'none' | 'ended' | 'gone'

export interface Asked {
  readonly domid: number
  readonly name: string
  /** Why the guest could not be asked. */
  readonly error?: unknown
  /** sched.h SHUTDOWN_*, if it was waited for and seen. */
  readonly shutdownReason?: number
}

const SAYING = { shutdown: 'Shutting down', reboot: 'Rebooting' } as const

/** Asks every domain, then waits for those that took it up. */
export async function askGuests(
  entries: readonly DomainEntry[],
  request: GuestRequest,
  wait: WaitFor,
  waiting: Waiting,
): Promise<readonly Asked[]> {
  const { note } = waiting
  const asked = await Promise.all(
    entries.map((entry) => {
      note(`${SAYING[request]} domain ${entry.domid}`)
      return ask(entry, request, wait, waiting)
    }),
  )
  const watched = asked.filter(({ watch }) => watch !== undefined).length
  if (watched > 0) note(`Waiting for ${watched} domains`)
  return await Promise.all(
    asked.map(async ({ result, watch }) => ({ ...result, ...(await watch?.finish(result.name, waiting)) })),
  )
}

async function ask(
  entry: DomainEntry,
  request: GuestRequest,
  wait: WaitFor,
  waiting: Waiting,
): Promise<{ readonly result: Asked; readonly watch?: Watch }> {
  const { domid, name } = entry
  using _ = waiting.for(`${name} to take the request up`)
  let client: ControlClient | undefined
  try {
    client = await connectDomain(entry)
    // Before the request: a guest can be down before the answer is here.
    const watch = wait === 'none' ? undefined : await Watch.start(client, domid, wait)
    await client[request]()
    if (watch === undefined) client[Symbol.dispose]()
    return { result: { domid, name }, ...(watch === undefined ? {} : { watch }) }
  } catch (error) {
    client?.[Symbol.dispose]()
    return { result: { domid, name, error } }
  }
}

/** Sees a domain end. */
class Watch {
  readonly #client: ControlClient
  readonly #domid: number
  readonly #wait: WaitFor
  readonly #shutdown = Promise.withResolvers<void>()
  #reason: number | undefined

  private constructor(client: ControlClient, domid: number, wait: WaitFor) {
    this.#client = client
    this.#domid = domid
    this.#wait = wait
  }

  /** Once it has resolved, nothing that happens to the domain is missed. */
  static async start(client: ControlClient, domid: number, wait: WaitFor): Promise<Watch> {
    const watch = new Watch(client, domid, wait)
    await client.subscribe((event) => {
      if (event.type !== 'shutdown') return
      watch.#reason = event.reason
      watch.#shutdown.resolve()
    })
    return watch
  }

  async finish(name: string, waiting: Waiting): Promise<Partial<Asked>> {
    using client = this.#client
    using _ = waiting.for(`${name} to ${this.#wait === 'gone' ? 'be gone' : 'go down'}`)
    const { note } = waiting
    await Promise.race([this.#shutdown.promise, client.closed])
    const reason = this.#reason
    if (reason !== undefined) note(`Domain ${this.#domid} has been shut down, reason code ${reason}`)
    if (reason === undefined || this.#wait === 'gone') {
      await client.closed
      note(`Domain ${this.#domid} has been destroyed`)
    }
    return reason === undefined ? {} : { shutdownReason: reason }
  }
}

/**
 * `xt shutdown` and `xt reboot`: asks guests to go down through the Xen control interface, and waits if wanted.
 *
 * What is asked for and waited for is told on standard error in xl's words.
 */
import type { ControlClient, DomainEvent } from '../engine/control.ts'
import { connectDomain, type DomainEntry } from '../engine/domains.ts'

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
  note: (line: string) => void,
): Promise<readonly Asked[]> {
  const asked = await Promise.all(entries.map((entry) => ask(entry, request, wait, note)))
  const waiting = asked.filter(({ settled }) => settled !== undefined).length
  if (waiting > 0) note(`Waiting for ${waiting} domains`)
  return await Promise.all(asked.map(async ({ result, settled }) => ({ ...result, ...(await settled) })))
}

interface Pending {
  readonly result: Asked
  readonly settled?: Promise<Partial<Asked>>
}

async function ask(
  entry: DomainEntry,
  request: GuestRequest,
  wait: WaitFor,
  note: (line: string) => void,
): Promise<Pending> {
  const { domid, name } = entry
  note(`${SAYING[request]} domain ${domid}`)
  let client: ControlClient | undefined
  try {
    client = await connectDomain(entry)
    // Before the request: a guest can be down before its answer is here.
    const watched = wait === 'none' ? undefined : await watch(client, domid, wait, note)
    await client[request]()
    if (watched === undefined) client[Symbol.dispose]()
    return { result: { domid, name }, ...watched }
  } catch (error) {
    client?.[Symbol.dispose]()
    return { result: { domid, name, error } }
  }
}

/** From the answer on, nothing that happens to the domain is missed. */
async function watch(
  client: ControlClient,
  domid: number,
  wait: 'ended' | 'gone',
  note: (line: string) => void,
): Promise<{ readonly settled: Promise<Partial<Asked>> }> {
  let reason: number | undefined
  let onShutdown: () => void = () => {}
  const shutdown = new Promise<void>((settle) => {
    onShutdown = settle
  })
  await client.subscribe((event: DomainEvent) => {
    if (event.type !== 'shutdown') return
    reason = event.reason
    note(`Domain ${domid} has been shut down, reason code ${reason}`)
    if (wait === 'ended') onShutdown()
  })
  const settled = Promise.race([shutdown, client.closed]).then(() => {
    if (reason === undefined || wait === 'gone') note(`Domain ${domid} has been destroyed`)
    client[Symbol.dispose]()
    return reason === undefined ? {} : { shutdownReason: reason }
  })
  return { settled }
}

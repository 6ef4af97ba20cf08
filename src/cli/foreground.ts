/** `xt create -F`: stays until the domain is gone and prints what xl's monitor prints. */
import type { ControlClient, DomainEvent } from '../engine/control.ts'
import { connectDomain, type DomainEntry, findDomain } from '../engine/domains.ts'
import type { XtPaths } from '../engine/paths.ts'

/** Follows a domain through its restarts until nothing is left of it. Call it as soon as the domain exists. */
export async function followDomain(
  paths: XtPaths,
  first: DomainEntry,
  note: (line: string) => void,
): Promise<void> {
  let entry: DomainEntry | undefined = first
  while (entry !== undefined) {
    using client = await connectDomain(entry)
    const next = await followOne(client, entry, note)
    entry = next === undefined ? undefined : await findDomain(paths, String(next))
  }
}

/** Resolves with the number under which the guest starts again, if it does. */
async function followOne(
  client: ControlClient,
  { name, domid }: DomainEntry,
  note: (line: string) => void,
): Promise<number | undefined> {
  const { pid } = await client.info()
  note(`Waiting for domain ${name} (domid ${domid}) to die [pid ${pid}]`)
  let restarted: number | undefined
  let hasEnded = false
  await client.subscribe((event: DomainEvent) => {
    if (event.type === 'restarted') restarted = event.domid
    if (event.type !== 'shutdown') return
    hasEnded = true
    const { reason, action, detail } = event
    note(`Domain ${domid} has shut down, reason code ${reason} 0x${reason.toString(16)}`)
    if (detail !== undefined) note(detail)
    note(`Action for shutdown reason code ${reason} is ${action}`)
    if (action !== 'preserve') note(`Domain ${domid} needs to be cleaned up: destroying the domain`)
  })
  await client.closed
  if (!hasEnded) note(`Domain ${domid} has been destroyed.`)
  note(restarted === undefined ? 'Done. Exiting now' : 'Done. Rebooting now')
  return restarted
}

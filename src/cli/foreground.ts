/** `xt create -F`: stays until the domain is gone and prints what xl's monitor prints. */
import type { ControlClient } from '../engine/control.ts'
import { connectDomain, type DomainEntry, findDomain } from '../engine/domains.ts'
import type { XtPaths } from '../engine/paths.ts'

export interface Following {
  /** Settles when the domain is gone and does not start again. */
  readonly gone: Promise<void>
}

/** Follows a domain through its restarts. From the answer on, nothing that happens to it is missed. */
export async function followDomain(
  paths: XtPaths,
  first: DomainEntry,
  note: (line: string) => void,
): Promise<Following> {
  const watched = await watchOne(first, note)
  const follow = async (): Promise<void> => {
    let next = await watched.gone
    while (next !== undefined) {
      const { gone } = await watchOne(await findDomain(paths, String(next)), note)
      next = await gone
    }
  }
  return { gone: follow() }
}

/** `gone` resolves with the number under which the guest starts again, if it does. */
async function watchOne(
  entry: DomainEntry,
  note: (line: string) => void,
): Promise<{ readonly gone: Promise<number | undefined> }> {
  const { name, domid } = entry
  const client = await connectDomain(entry)
  let restarted: number | undefined
  let hasEnded = false
  await client.subscribe((event) => {
    if (event.type === 'restarted') restarted = event.domid
    if (event.type !== 'shutdown') return
    hasEnded = true
    const { reason, action, detail } = event
    note(`Domain ${domid} has shut down, reason code ${reason} 0x${reason.toString(16)}`)
    if (detail !== undefined) note(detail)
    note(`Action for shutdown reason code ${reason} is ${action}`)
    if (action !== 'preserve') note(`Domain ${domid} needs to be cleaned up: destroying the domain`)
  })
  const { pid } = await client.info()
  note(`Waiting for domain ${name} (domid ${domid}) to die [pid ${pid}]`)
  const gone = async (connection: ControlClient): Promise<number | undefined> => {
    using open = connection
    await open.closed
    if (!hasEnded) note(`Domain ${domid} has been destroyed.`)
    note(restarted === undefined ? 'Done. Exiting now' : 'Done. Rebooting now')
    return restarted
  }
  return { gone: gone(client) }
}

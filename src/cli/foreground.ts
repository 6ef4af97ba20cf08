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
    for (let { client, gone } = watched; ; ) {
      // The old domain lets the new one run when we have left it: we are there first.
      using _left = client
      const next = await gone
      if (next === undefined) return
      ;({ client, gone } = await watchOne(await findDomain(paths, String(next)), note))
    }
  }
  return { gone: follow() }
}

interface Watched {
  readonly client: ControlClient
  /** Resolves when the domain is gone; with the number under which the guest starts again, if it does. */
  readonly gone: Promise<number | undefined>
}

async function watchOne(entry: DomainEntry, note: (line: string) => void): Promise<Watched> {
  const { name, domid } = entry
  const client = await connectDomain(entry)
  // Before the subscription, so that this line is the first.
  const { pid } = await client.info()
  note(`Waiting for domain ${name} (domid ${domid}) to die [pid ${pid}]`)
  const over = Promise.withResolvers<number | undefined>()
  let hasEnded = false
  await client.subscribe(
    (event) => {
      if (event.type === 'shutdown') hasEnded = true
      if (event.type === 'restarted') over.resolve(event.domid)
      if (event.type !== 'monitor') return
      note(event.line)
      if (event.stays) over.resolve(undefined)
    },
    { follows: true },
  )
  const end = async (): Promise<number | undefined> => {
    await Promise.race([over.promise, client.closed])
    if (!hasEnded) {
      note(`Domain ${domid} has been destroyed.`)
      note('Done. Exiting now')
    }
    over.resolve(undefined)
    return over.promise
  }
  return { client, gone: end() }
}

/** `xt destroy`: asks the domain's process to end, and kills one that does not answer any more. */
import { setTimeout } from 'node:timers/promises'
import { connectDomain, type DomainEntry, listDomains, processOf } from '../engine/domains.ts'
import type { XtPaths } from '../engine/paths.ts'
import { askDomain } from './domain-answers.ts'

/** After so long without an end the process is asked whether it lives; a long way down is fine. */
const PATIENCE_MS = 8000

/** Settles when nothing is left of the domain. `note` gets what is unusual. */
export async function destroyDomain(
  paths: XtPaths,
  entry: DomainEntry,
  note: (line: string) => void,
): Promise<void> {
  using client = await connectDomain(entry)
  const destroyed = client.destroy().then(() => true as const)
  for (;;) {
    const patience = new AbortController()
    const late = setTimeout(PATIENCE_MS, false as const, { signal: patience.signal }).catch(
      () => false as const,
    )
    const isDestroyed = await Promise.race([destroyed, late])
    patience.abort()
    if (isDestroyed) return
    const answer = await askDomain(entry)
    if (answer !== 'silent') {
      note(`Waiting for domain ${entry.domid} to be destroyed`)
      continue
    }
    const pid = processOf(entry)
    if (pid === undefined) continue
    process.kill(pid, 'SIGKILL')
    note(`Domain ${entry.domid} (${entry.name}) did not answer: its process ${pid} was killed.`)
    await client.closed
    // What it left behind goes with the next look at the registry.
    await listDomains(paths)
    return
  }
}

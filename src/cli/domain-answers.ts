/** Asks domain processes about themselves, without waiting for one that does not answer. */
import { setTimeout } from 'node:timers/promises'
import type { DomainInfo } from '../engine/control.ts'
import { connectDomain, type DomainEntry, findDomain, listDomains } from '../engine/domains.ts'
import type { XtPaths } from '../engine/paths.ts'
import { onlineVcpus } from '../engine/vm-state.ts'

/** How long a domain process may take to answer. */
const PATIENCE_MS = 3000

/** `gone`: it ended while it was asked. `silent`: its process lives but does not answer. */
export type Answer = DomainInfo | 'gone' | 'silent'

export async function askDomain(entry: DomainEntry): Promise<Answer> {
  const patience = new AbortController()
  try {
    using client = await connectDomain(entry)
    return await Promise.race([
      client.info().then(withFirstVcpu),
      setTimeout(PATIENCE_MS, 'silent' as const, { signal: patience.signal }),
    ])
  } catch {
    return 'gone'
  } finally {
    patience.abort()
  }
}

/** XEN: the first vCPU of a domain that was made and not started yet (create -p) counts as online. */
function withFirstVcpu(info: DomainInfo): DomainInfo {
  const [first, ...others] = info.vcpus
  if (info.state !== 'paused' || first === undefined || onlineVcpus(info) > 0) return info
  return { ...info, vcpus: [{ ...first, state: 'parked' }, ...others] }
}

/** The domains with these names or numbers, in their order; all of them if none is named. Rejects with XT_NO_SUCH_DOMAIN. */
export async function chooseDomains(
  paths: XtPaths,
  names: readonly string[],
): Promise<readonly DomainEntry[]> {
  if (names.length === 0) return await listDomains(paths)
  return await Promise.all(names.map((name) => findDomain(paths, name)))
}

/** What these domains say of themselves; one that does not answer is named by `note` and left out. */
export async function askDomains(
  entries: readonly DomainEntry[],
  note: (line: string) => void,
): Promise<readonly DomainInfo[]> {
  const answers = await Promise.all(entries.map(askDomain))
  noteSilent(entries, answers, note)
  return answers.filter((answer) => typeof answer === 'object')
}

/** Names those that did not answer. */
export function noteSilent(
  entries: readonly DomainEntry[],
  answers: readonly Answer[],
  note: (line: string) => void,
): void {
  for (const [i, { name, domid }] of entries.entries()) {
    if (answers[i] === 'silent') note(`Domain ${domid} (${name}) does not answer.`)
  }
}

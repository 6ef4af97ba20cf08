/** Asks domain processes about themselves, without waiting for one that does not answer. */
import { setTimeout } from 'node:timers/promises'
import type { DomainInfo } from '../engine/control.ts'
import { connectDomain, type DomainEntry, findDomain, listDomains } from '../engine/domains.ts'
import type { XtPaths } from '../engine/paths.ts'
import { onlineVcpus } from '../engine/vm-state.ts'
import { HOST_NAME, hostDomain, namesHost } from './host-domain.ts'

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

export interface Chosen {
  readonly infos: readonly DomainInfo[]
  /** XT_NO_SUCH_DOMAIN for the first name that no domain has; what stands behind it was not looked at. */
  readonly unknown?: unknown
}

/**
 * What the domains with these names or numbers say of themselves, in their order; all of them if none is named, with
 * the host in front if it is listed. One that does not answer is named by `note` and left out.
 */
export async function askChosen(
  paths: XtPaths,
  names: readonly string[],
  options: { readonly listsHost: boolean; readonly note: (line: string) => void },
): Promise<Chosen> {
  const everyone = await listDomains(paths)
  const isHost = (name: string) =>
    options.listsHost && namesHost(name) && !everyone.some(({ domid }) => domid === 0)
  const chosen: (DomainEntry | typeof HOST_NAME)[] = names.length === 0 ? [...everyone] : []
  if (names.length === 0 && isHost(HOST_NAME)) chosen.unshift(HOST_NAME)
  let unknown: unknown
  for (const name of names) {
    try {
      chosen.push(isHost(name) ? HOST_NAME : await findDomain(paths, name))
    } catch (error) {
      unknown = error
      break
    }
  }
  const asked = chosen.includes(HOST_NAME) ? everyone : chosen.filter((entry) => entry !== HOST_NAME)
  const answers = new Map(
    await Promise.all(asked.map(async (entry) => [entry.domid, await askDomain(entry)] as const)),
  )
  const named = chosen.filter((entry) => entry !== HOST_NAME)
  noteSilent(
    named,
    named.map(({ domid }) => answers.get(domid)!),
    options.note,
  )
  const infos = chosen.flatMap((entry) => {
    const answer =
      entry === HOST_NAME ? hostDomain(memoryOf([...answers.values()])) : answers.get(entry.domid)!
    return typeof answer === 'object' ? [answer] : []
  })
  return { infos, ...(unknown === undefined ? {} : { unknown }) }
}

/** MiB that these domains have together. */
export const memoryOf = (answers: readonly Answer[]): number =>
  answers.reduce((sum, answer) => sum + (typeof answer === 'object' ? answer.memoryMiB : 0), 0)

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

/**
 * The registry of domains as commands see it: which are alive, who has which name, and the removal of what killed
 * ones left behind. The other side, how a domain gets in, is claim.ts.
 *
 *   run/domains/<domid>/        control.sock, domain.json, console sockets; made under another name and renamed
 *                               into place when complete, so that whoever sees it finds a live socket
 *   run/names/<name>/<domid>    an empty file; a name is taken as long as its directory holds one
 *
 * There is no lock that could outlive its holder: a directory can be renamed onto a missing or an empty one only,
 * so one rename is the claim. A domain lives as long as something listens on its socket. Domids are not used
 * again, so what is removed for a dead one is never a new one's.
 */
import { readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type Domid, domid } from '../base/brand.ts'
import type { ControlClient } from './control.ts'
import { errors } from './errors.ts'
import { controlSocket, directoryError, domainsDir, namesDir, type XtPaths } from './paths.ts'

/** A live domain, as the registry knows it; its process knows more (ControlClient.info). */
export interface DomainEntry {
  readonly domid: Domid
  readonly name: string
  readonly dir: string
}

/** Removes what a killed domain left in xenstore. */
export type Forget = (paths: XtPaths, domid: Domid) => Promise<void>

/** All live domains by number. What killed ones left behind is removed first. */
export async function listDomains(
  paths: XtPaths,
  forget: Forget = forgetInStore,
): Promise<readonly DomainEntry[]> {
  const alive: DomainEntry[] = []
  for (const entry of registered(paths)) {
    if (await isAlive(entry.dir)) alive.push(entry)
    else await remove(paths, entry.dir, forget)
  }
  for (const dir of leftovers(paths)) await remove(paths, dir, forget)
  return alive
}

/** The domain with this name, or with this number if it is made of digits (as xl has it). Rejects with XT_NO_SUCH_DOMAIN. */
export async function findDomain(
  paths: XtPaths,
  nameOrDomid: string,
  forget: Forget = forgetInStore,
): Promise<DomainEntry> {
  const byNumber = /^[0-9]+$/.test(nameOrDomid)
  const fits = (entry: DomainEntry) =>
    byNumber ? entry.domid === Number(nameOrDomid) : entry.name === nameOrDomid
  const found = (await listDomains(paths, forget)).find(fits)
  if (found === undefined) throw errors.XT_NO_SUCH_DOMAIN(nameOrDomid)
  return found
}

/** Opens the control connection of a domain. Rejects with XT_NO_SUCH_DOMAIN if it died meanwhile. Dispose the client when done. */
export async function connectDomain(entry: DomainEntry): Promise<ControlClient> {
  // Loaded here: what only looks who is there needs no JSON-RPC.
  const { connectControl } = await import('./control.ts')
  try {
    return await connectControl(controlSocket(entry.dir), entry.name)
  } catch {
    throw errors.XT_NO_SUCH_DOMAIN(entry.name)
  }
}

/** Whether somebody listens on the control socket in this directory. */
export function isAlive(dir: string): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect(controlSocket(dir))
    const answer = (alive: boolean) => {
      socket.destroy()
      settle(alive)
    }
    socket.once('connect', () => answer(true))
    // A full backlog (EAGAIN) is a sign of life; only these two say that nobody is there.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      answer(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}

/** What domain.json holds. */
export interface DomainRecord {
  readonly name: string
  readonly uuid: string
  /** Process id of the domain process. */
  readonly pid?: number
}

/** The process that claimed the domain, also when it answers nothing any more; undefined if nobody wrote it down. */
export function processOf({ dir }: DomainEntry): number | undefined {
  try {
    return (JSON.parse(readFileSync(join(dir, 'domain.json'), 'utf8')) as DomainRecord).pid
  } catch {
    return undefined
  }
}

/** The name in domain.json; empty while the domain is being removed. */
function nameIn(dir: string): string {
  try {
    return (JSON.parse(readFileSync(join(dir, 'domain.json'), 'utf8')) as DomainRecord).name
  } catch {
    return ''
  }
}

function registered(paths: XtPaths): DomainEntry[] {
  const entries: DomainEntry[] = []
  for (const file of names(domainsDir(paths))) {
    if (!/^[0-9]+$/.test(file)) continue
    const dir = join(domainsDir(paths), file)
    entries.push({ domid: domid(Number(file)), name: nameIn(dir), dir })
  }
  return entries.sort((a, b) => a.domid - b.domid)
}

/** Directories of a removal, or of a domain's start, whose process was killed half way. */
function leftovers(paths: XtPaths): string[] {
  return names(domainsDir(paths))
    .filter((file) => {
      const half = /^(?:removing-[0-9]+|starting)-([0-9]+)-/.exec(file)
      return half !== null && !processExists(Number(half[1]))
    })
    .map((file) => join(domainsDir(paths), file))
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Removes a dead domain. The rename makes sure that only one command does it at a time; names and nodes go before
 * the directory, so that a removal cut short is found and finished by the next command.
 */
async function remove(paths: XtPaths, dir: string, forget: Forget): Promise<void> {
  const file = dir.slice(dir.lastIndexOf('/') + 1)
  const number = /^(?:removing-)?([0-9]+)/.exec(file)?.[1]
  if (number === undefined) {
    rmSync(dir, { recursive: true, force: true })
    return
  }
  const claimed = join(domainsDir(paths), `removing-${number}-${process.pid}-${Date.now()}`)
  try {
    renameSync(dir, claimed)
  } catch {
    // Another command was faster.
    return
  }
  const { unmountBelow } = await import('./mounts.ts')
  unmountBelow(claimed)
  releaseNames(paths, domid(Number(number)))
  await forget(paths, domid(Number(number)))
  rmSync(claimed, { recursive: true, force: true })
}

/** The store is started for it if need be: it kept the nodes on file. */
async function forgetInStore(paths: XtPaths, dead: Domid): Promise<void> {
  // Loaded here: commands that find nobody dead need no store.
  const [{ ensureXenstored }, { connectXenstore }, { leaveStore }] = await Promise.all([
    import('../xenstored/ensure.ts'),
    import('../xenstored/client.ts'),
    import('./store-nodes.ts'),
  ])
  const { socketPath } = await ensureXenstored(paths.runDir)
  await using store = await connectXenstore({ socketPath })
  await leaveStore(store, dead)
}

/** Frees every name that this domain holds. */
export function releaseNames(paths: XtPaths, holder: Domid): void {
  for (const name of names(namesDir(paths))) {
    const dir = join(namesDir(paths), name)
    rmSync(join(dir, String(holder)), { force: true })
    try {
      rmdirSync(dir)
    } catch {
      // Held by another domain, or already gone.
    }
  }
}

/** The names in a directory; none if it does not exist. Throws XT_DIRECTORY_UNUSABLE: what cannot be read is not empty. */
export function names(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw directoryError(dir, error)
  }
}

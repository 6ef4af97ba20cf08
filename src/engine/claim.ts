/**
 * How a domain gets into the registry: a number, a name, a directory with its control socket (see domains.ts for
 * the layout and why no lock is needed).
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Domid, domid } from '../base/brand.ts'
import { type DomainRecord, isAlive, listDomains, names, releaseNames } from './domains.ts'
import { errors } from './errors.ts'
import {
  checkSocketPath,
  controlSocket,
  directoryError,
  domainDir,
  domainsDir,
  ensurePaths,
  fileName,
  namesDir,
  type XtPaths,
} from './paths.ts'

/** xen.h DOMID_FIRST_RESERVED: numbers from here on are no domains. */
const DOMID_END = 0x7ff0

/** A domain's place in the registry, held by its process. */
export interface Claim {
  readonly domid: Domid
  readonly dir: string
  /** Takes the new name, then gives up the old one. Throws XT_NAME_IN_USE or XT_BAD_NAME and keeps the old one. */
  rename(name: string): void
  /** Frees name, number and directory. The control socket must be closed by its owner. */
  release(): void
}

/**
 * Takes a free domid and the name. `listen` is called once, with the path on which the control socket must listen
 * before the domain becomes visible. Rejects with XT_NAME_IN_USE, XT_BAD_NAME, XT_NO_FREE_DOMID or a directory's error;
 * nothing is left then.
 */
export async function claimDomain(
  paths: XtPaths,
  identity: Pick<DomainRecord, 'name' | 'uuid'>,
  listen: (socketPath: string) => Promise<void>,
): Promise<Claim> {
  const record: DomainRecord = { ...identity, pid: process.pid }
  checkName(record.name)
  ensurePaths(paths)
  // The socket outlives the renaming of its directory, but both paths must fit.
  const building = join(domainsDir(paths), `starting-${process.pid}-${randomBytes(4).toString('hex')}`)
  checkSocketPath(controlSocket(building))
  let placed: { domid: Domid; dir: string }
  try {
    mkdirSync(building, { mode: 0o700 })
    writeRecord(building, record)
    await listen(controlSocket(building))
    placed = takeDomid(paths, building)
  } catch (error) {
    rmSync(building, { recursive: true, force: true })
    throw directoryError(paths.runDir, error)
  }
  try {
    await takeName(paths, record.name, placed.domid)
  } catch (error) {
    rmSync(placed.dir, { recursive: true, force: true })
    throw directoryError(paths.runDir, error)
  }
  return claimOf(paths, placed.domid, placed.dir, record)
}

function claimOf(paths: XtPaths, number: Domid, dir: string, first: DomainRecord): Claim {
  let record = first
  return {
    domid: number,
    dir,
    rename(name) {
      if (name === record.name) return
      checkName(name)
      if (!placeName(paths, name, number)) throw errors.XT_NAME_IN_USE(name, holder(paths, name) ?? -1)
      const old = record.name
      record = { ...record, name }
      writeRecord(dir, record)
      freeName(paths, old, number)
    },
    release() {
      releaseNames(paths, number)
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

function checkName(name: string): void {
  if (name === '') throw errors.XT_BAD_NAME(name, 'it is empty')
  if (name === 'Domain-0') throw errors.XT_NAME_IN_USE(name, 0)
  if (name.includes('/')) throw errors.XT_BAD_NAME(name, 'it holds a "/"')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) throw errors.XT_BAD_NAME(name, 'it holds a control character')
}

/** Writes domain.json so that a reader sees the old or the new one, never half of it. */
function writeRecord(dir: string, record: DomainRecord): void {
  const file = join(dir, 'domain.json')
  writeFileSync(`${file}.new`, `${JSON.stringify(record)}\n`)
  renameSync(`${file}.new`, file)
}

/** Moves the finished directory to the first free number after the last one given out. */
function takeDomid(paths: XtPaths, building: string): { domid: Domid; dir: string } {
  const counter = join(paths.runDir, 'last-domid')
  const last = readNumber(counter)
  for (let step = 1; step < DOMID_END; step++) {
    const number = domid(((last + step - 1) % (DOMID_END - 1)) + 1)
    const dir = domainDir(paths, number)
    try {
      renameSync(building, dir)
    } catch (error) {
      // A directory with something in it: the number is taken (dead or alive, it is listDomains' business).
      if (!isTaken(error)) throw error
      continue
    }
    writeFileSync(`${counter}.${process.pid}`, String(number))
    renameSync(`${counter}.${process.pid}`, counter)
    return { domid: number, dir }
  }
  throw errors.XT_NO_FREE_DOMID()
}

function readNumber(file: string): number {
  try {
    const number = Number(readFileSync(file, 'utf8'))
    return Number.isInteger(number) && number > 0 && number < DOMID_END ? number : 0
  } catch {
    return 0
  }
}

const isTaken = (error: unknown): boolean =>
  ['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')

async function takeName(paths: XtPaths, name: string, number: Domid): Promise<void> {
  if (placeName(paths, name, number)) return
  const other = holder(paths, name)
  if (other !== undefined && (await isAlive(domainDir(paths, other))))
    throw errors.XT_NAME_IN_USE(name, other)
  // Its holder was killed: clear away what it left, then try once more.
  await listDomains(paths)
  if (other !== undefined) freeName(paths, name, other)
  if (!placeName(paths, name, number)) throw errors.XT_NAME_IN_USE(name, holder(paths, name) ?? -1)
}

/** Makes run/names/<name>/<domid>, unless the name is held. */
function placeName(paths: XtPaths, name: string, number: Domid): boolean {
  const making = join(namesDir(paths), `.${number}-${randomBytes(4).toString('hex')}`)
  try {
    mkdirSync(making, { mode: 0o700 })
    writeFileSync(join(making, String(number)), '')
    renameSync(making, join(namesDir(paths), fileName(name)))
    return true
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    if (isTaken(error)) return false
    throw error
  }
}

function freeName(paths: XtPaths, name: string, number: Domid): void {
  const dir = join(namesDir(paths), fileName(name))
  rmSync(join(dir, String(number)), { force: true })
  try {
    rmdirSync(dir)
  } catch {
    // Only an empty directory can go: somebody took the name in between.
  }
}

function holder(paths: XtPaths, name: string): Domid | undefined {
  const number = names(join(namesDir(paths), fileName(name)))[0]
  return number === undefined ? undefined : domid(Number(number))
}

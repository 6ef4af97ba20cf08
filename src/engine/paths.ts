/**
 * Where xt keeps things on the host.
 *
 *   run dir    what dies with the machine: sockets, locks, the registry (/run/xt, $XDG_RUNTIME_DIR/xt)
 *   state dir  what stays: logs, core dumps (/var/lib/xt, $XDG_STATE_HOME/xt)
 *
 * XT_HOME moves both: $XT_HOME/run and $XT_HOME/state. All directories are the user's alone (0700).
 */
import { existsSync, lstatSync, mkdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { getSystemErrorMessage } from 'node:util'
import type { Domid } from '../base/brand.ts'
import { errors } from './errors.ts'

export interface XtPaths {
  readonly runDir: string
  readonly stateDir: string
}

/** The directories for this user; makes nothing. */
export function xtPaths(
  env: Readonly<Record<string, string | undefined>> = process.env,
  uid: number = process.getuid?.() ?? 0,
): XtPaths {
  // XDG's rule for its own variables: a relative path counts as unset.
  const absolute = (path: string | undefined) => (path !== undefined && isAbsolute(path) ? path : undefined)
  const home = env['XT_HOME']
  if (home) return { runDir: resolve(home, 'run'), stateDir: resolve(home, 'state') }
  if (uid === 0) return { runDir: '/run/xt', stateDir: '/var/lib/xt' }
  const runtime = absolute(env['XDG_RUNTIME_DIR'])
  const state = absolute(env['XDG_STATE_HOME']) ?? join(homedir(), '.local', 'state')
  return {
    runDir: runtime === undefined ? join(tmpdir(), `xt-${uid}`) : join(runtime, 'xt'),
    stateDir: join(state, 'xt'),
  }
}

/** Where `xt plugins install` puts packages: $XT_HOME/plugins, /var/lib/xt/plugins, $XDG_DATA_HOME/xt/plugins. */
export function pluginsDir(
  env: Readonly<Record<string, string | undefined>> = process.env,
  uid: number = process.getuid?.() ?? 0,
): string {
  const { XT_HOME: home, XDG_DATA_HOME: data } = env
  if (home) return resolve(home, 'plugins')
  if (uid === 0) return '/var/lib/xt/plugins'
  return join(
    data !== undefined && isAbsolute(data) ? data : join(homedir(), '.local', 'share'),
    'xt',
    'plugins',
  )
}

/** Makes all directories. Throws XT_DIRECTORY_UNUSABLE or, where others could interfere, XT_DIRECTORY_UNSAFE. */
export function ensurePaths(paths: XtPaths): void {
  ensurePrivate(paths.runDir)
  ensurePrivate(paths.stateDir)
  for (const path of [domainsDir(paths), namesDir(paths), logDir(paths), dumpDir(paths)])
    ensureDirectory(path)
}

function ensureDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw errors.XT_DIRECTORY_UNUSABLE(path, hostWords(reasonAgainst(path) ?? cause))
  }
}

/** Node says ENOENT of a directory that cannot be made on a read-only file system; the step that fails says why. */
function reasonAgainst(path: string): unknown {
  let step = path
  while (!existsSync(dirname(step))) step = dirname(step)
  try {
    mkdirSync(step, { mode: 0o700 })
    return undefined
  } catch (error) {
    return error
  }
}

/** What the operating system has against it, without the names of its calls: `no space left on device`. */
export function hostWords(cause: unknown): string {
  const { errno, code } = (cause ?? {}) as NodeJS.ErrnoException
  if (code === 'EEXIST' || code === 'ENOTDIR') return 'something that is no directory is in its place'
  if (typeof errno === 'number') return getSystemErrorMessage(errno)
  return cause instanceof Error ? cause.message : String(cause)
}

/** An error of the operating system about something in our directories, for a user; any other as it is. */
export function directoryError(path: string, cause: unknown): unknown {
  const isSystems = cause instanceof Error && typeof (cause as NodeJS.ErrnoException).syscall === 'string'
  return isSystems ? errors.XT_DIRECTORY_UNUSABLE(path, hostWords(cause)) : cause
}

function ensurePrivate(path: string): void {
  ensureDirectory(path)
  // Under /tmp somebody else may have made it first, as a link or with open doors.
  const found = lstatSync(path)
  const uid = process.getuid?.()
  const ours = uid === undefined || found.uid === uid
  if (!found.isDirectory() || !ours || (found.mode & 0o077) !== 0) throw errors.XT_DIRECTORY_UNSAFE(path)
}

/** One directory per domain, see domains.ts. */
export const domainsDir = (paths: XtPaths): string => join(paths.runDir, 'domains')
/** One directory per name in use, see domains.ts. */
export const namesDir = (paths: XtPaths): string => join(paths.runDir, 'names')
export const logDir = (paths: XtPaths): string => join(paths.stateDir, 'log')
/** Core dumps of on_crash="coredump-..." go here. */
export const dumpDir = (paths: XtPaths): string => join(paths.stateDir, 'dump')

export const domainDir = (paths: XtPaths, domid: Domid): string => join(domainsDir(paths), String(domid))
/** The control socket in a domain's directory (control.ts). */
export const controlSocket = (directory: string): string => join(directory, 'control.sock')
/** The socket of console `number` in a domain's directory: plain bytes both ways. */
export const consoleSocket = (directory: string, number = 0): string =>
  join(directory, `console-${number}.sock`)
export const domainLog = (paths: XtPaths, name: string): string =>
  join(logDir(paths), `${fileName(name)}.log`)

/** A name of a domain as one path component: readable where possible, never `.`, `..` or too long. */
export function fileName(name: string): string {
  const encoded = encodeURIComponent(name.toWellFormed()).replace(/^\./, '%2E')
  if (encoded.length <= 200) return encoded
  // Loaded here: it is large, and every command comes by.
  const { hash } = process.getBuiltinModule('node:crypto')
  return hash('sha256', name)
}

/** Throws XT_SOCKET_PATH_TOO_LONG where the system would cut the path short in silence. */
export function checkSocketPath(path: string): string {
  const bytes = Buffer.byteLength(path)
  if (bytes > 107) throw errors.XT_SOCKET_PATH_TOO_LONG(path, bytes)
  return path
}

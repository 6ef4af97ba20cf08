/**
 * Starts a domain process and waits until the guest runs (or, paused, is complete): the work of `xt create`.
 *
 * The process is plain Node on domain-process.ts, in a session of its own, with its output in the domain's log.
 * The configuration goes through Node's IPC channel and answers come back through it; the channel is closed once
 * the guest runs. A launcher that goes away before leaves nothing: the process ends when the channel breaks.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Domid, domid } from '../base/brand.ts'
import { XtError } from '../base/errors.ts'
import type { DomainConfig } from '../config/schema.ts'
import { errors } from './errors.ts'
import { domainDir, domainLog, ensurePaths, type XtPaths, xtPaths } from './paths.ts'

export interface LaunchOptions {
  readonly paths?: XtPaths
  /** `-p`: the guest is built and stays paused. */
  readonly paused?: boolean
  /** `-e` is false: nobody carries out on_*; a guest that ended stays listed. */
  readonly monitor?: boolean
  /** Settings of engine plugins by plugin name (from xt's own configuration); a plugin not named here gets `{}`. */
  readonly pluginSettings?: Readonly<Record<string, unknown>>
  /** One line of progress at a time: "waiting for vbd attach (xvda)". */
  readonly onProgress?: (line: string) => void
  /** The program of the domain process, if another than domain-process.ts beside this file. */
  readonly entry?: URL
  /** Ends the domain that is being made. */
  readonly signal?: AbortSignal
}

export interface LaunchedDomain {
  readonly domid: Domid
  readonly name: string
  readonly pid: number
  /** The domain's directory: see paths.ts for the sockets in it. */
  readonly dir: string
  readonly log: string
}

/** What the domain process gets first. */
export interface StartMessage {
  readonly config: DomainConfig
  readonly paths: XtPaths
  readonly paused: boolean
  readonly monitor: boolean
  readonly pluginSettings: Readonly<Record<string, unknown>>
}
/** What it answers, before the channel closes. */
export type StartAnswer =
  | { readonly type: 'progress'; readonly line: string }
  | { readonly type: 'ready'; readonly domid: number }
  | {
      readonly type: 'failed'
      readonly code: string
      readonly message: string
      readonly hint?: string | undefined
      readonly exit: number
    }

/** It ends as this file does: .ts in a checkout, .js when built. */
const ENTRY = new URL(`./domain-process${extname(import.meta.url)}`, import.meta.url)
/** A log longer than this becomes NAME.log.1 when its domain starts. */
const LOG_BYTES = 1 << 20
/** How long a failed domain process may take to release everything. */
const CLEANUP_MS = 10_000

/**
 * Creates a domain. Rejects with the XtError of what went wrong; no process is left then, and no file but a log that says
 * more than the error does.
 */
export async function launchDomain(
  config: DomainConfig,
  options: LaunchOptions = {},
): Promise<LaunchedDomain> {
  const paths = options.paths ?? xtPaths()
  ensurePaths(paths)
  const log = domainLog(paths, config.name)
  const isNewLog = !existsSync(log)
  const child = spawnDomainProcess(options.entry ?? ENTRY, log)
  const abort = () => child.disconnect()
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    const message: StartMessage = {
      config,
      paths,
      paused: options.paused ?? false,
      monitor: options.monitor ?? true,
      pluginSettings: options.pluginSettings ?? {},
    }
    child.send(message, () => {
      // A process that died at once shows as 'exit'.
    })
    const number = domid(await answer(child, config.name, log, options.onProgress))
    return { domid: number, name: config.name, pid: child.pid ?? 0, dir: domainDir(paths, number), log }
  } catch (error) {
    await ended(child)
    if (isNewLog && saysNoMore(log)) rmSync(log, { force: true })
    throw error
  } finally {
    options.signal?.removeEventListener('abort', abort)
    if (child.connected) child.disconnect()
    child.unref()
  }
}

/** Waits until a process that reported failure is gone, so that the command leaves nothing running. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise((settle) => child.once('exit', settle))
  const kill = setTimeout(() => child.kill('SIGKILL'), CLEANUP_MS)
  if (child.connected) child.disconnect()
  await exit
  clearTimeout(kill)
}

/** Whether a log holds only what its domain process says of every order that is refused. */
function saysNoMore(log: string): boolean {
  if ((statSync(log, { throwIfNoEntry: false })?.size ?? Number.POSITIVE_INFINITY) > LONGEST_REFUSAL)
    return false
  const lines = readFileSync(log, 'utf8').split('\n')
  return lines.every((line) => line === '' || REFUSAL.test(line))
}
const LONGEST_REFUSAL = 4096
const REFUSAL = /^\S+ (?:error the domain was not made: |info {2}domain .* is gone$)/

/**
 * A domain process stays for long and has little garbage: its memory should be the guest's. One megabyte of young
 * generation instead of 16, and one malloc arena that gives back what compiling took, save 50 MB.
 */
const SMALL_HEAP = ['--max-semi-space-size=1']
const SMALL_MALLOC = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '65536' }

function spawnDomainProcess(entry: URL, log: string): ChildProcess {
  if ((statSync(log, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES) renameSync(log, `${log}.1`)
  const output = openSync(log, 'a', 0o600)
  // Node reads these certificates at every start; a domain process speaks no TLS.
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
  try {
    return spawn(process.execPath, [...SMALL_HEAP, fileURLToPath(entry)], {
      detached: true,
      stdio: ['ignore', output, output, 'ipc'],
      env: { ...SMALL_MALLOC, ...env },
    })
  } finally {
    closeSync(output)
  }
}

function answer(
  child: ChildProcess,
  name: string,
  log: string,
  onProgress: LaunchOptions['onProgress'],
): Promise<number> {
  return new Promise((settle, reject) => {
    child.on('message', (message) => {
      const told = message as StartAnswer
      if (told.type === 'progress') onProgress?.(told.line)
      else if (told.type === 'ready') settle(told.domid)
      else reject(new XtError(told.code, told.message, { hint: told.hint, exit: told.exit }))
    })
    child.once('error', (error) => reject(errors.XT_DOMAIN_PROCESS_FAILED(name, error.message, log)))
    child.once('exit', (code, signal) => {
      const why = signal === null ? `exit status ${code}` : `killed by ${signal}`
      // ORDER: a last message may still be on its way when 'exit' arrives.
      setImmediate(() => reject(errors.XT_DOMAIN_PROCESS_FAILED(name, why, log)))
    })
  })
}

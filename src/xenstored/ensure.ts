/** Makes sure that the store of a run directory is there: starts its process if nobody answers. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { encodePacket, stringsPayload, XS } from '../xen/xenstore/wire.ts'
import { errors } from './errors.ts'
import { type StorePlaces, storePlaces } from './places.ts'

const MAX_SOCKET_PATH_BYTES = 107
const START_LIMIT_MS = 15_000
const POLL_MS = 10
const RETRY_MS = 500
const MAX_LOG_BYTES = 1 << 20

export interface EnsureOptions {
  /** A store started by this call ends after so long without connections and domains. */
  readonly idleSeconds?: number
}

/**
 * Resolves when the store answers. Any number of processes may call this at once: one store comes up.
 * Rejects with XT_XENSTORED_NOT_STARTED or XT_XENSTORED_SOCKET_PATH_TOO_LONG.
 */
export async function ensureXenstored(
  runDir: string,
  options: EnsureOptions = {},
): Promise<{ readonly socketPath: string; readonly guestSocketPath: string }> {
  const places = storePlaces(runDir)
  const { socketPath, guestSocketPath } = places
  if (Buffer.byteLength(guestSocketPath) > MAX_SOCKET_PATH_BYTES) {
    throw errors.XT_XENSTORED_SOCKET_PATH_TOO_LONG(guestSocketPath)
  }
  const deadline = performance.now() + START_LIMIT_MS
  let child: ChildProcess | undefined
  let startedAt = 0
  while (!(await answers(socketPath))) {
    if (performance.now() > deadline) throw errors.XT_XENSTORED_NOT_STARTED('it does not answer', places.log)
    const status = child?.exitCode ?? 0
    if (status !== 0) throw errors.XT_XENSTORED_NOT_STARTED(`it ended with status ${status}`, places.log)
    // Ours ends at once if there is another one: which may be just starting, or just ending.
    const isOver = child === undefined || (child.exitCode === 0 && performance.now() - startedAt > RETRY_MS)
    if (isOver) {
      child = start(runDir, places, options)
      startedAt = performance.now()
    }
    await sleep(POLL_MS)
  }
  return { socketPath, guestSocketPath }
}

/** Asks something: the kernel takes connections to a dying store too. */
function answers(path: string): Promise<boolean> {
  const question = { type: XS.GET_DOMAIN_PATH, reqId: 1, txId: 0, payload: stringsPayload(['0']) }
  return new Promise((resolve) => {
    const socket = connect(path)
    const settle = (answered: boolean) => {
      resolve(answered)
      socket.destroy()
    }
    socket.on('connect', () => socket.write(encodePacket(question)))
    socket.on('data', () => settle(true))
    socket.on('error', () => settle(false))
    socket.on('close', () => settle(false))
  })
}

function start(runDir: string, places: StorePlaces, options: EnsureOptions): ChildProcess {
  mkdirSync(places.directory, { recursive: true, mode: 0o700 })
  const logFd = openLog(places.log)
  // This very file's ending: sources run as they are, a built package runs the built one.
  const main = new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url)
  const { NODE_OPTIONS: _, ...env } = process.env
  const idle = options.idleSeconds === undefined ? [] : [`${options.idleSeconds}`]
  const child = spawn(process.execPath, [fileURLToPath(main), runDir, ...idle], {
    detached: true,
    stdio: ['ignore', logFd, logFd],
    cwd: '/',
    env,
  })
  closeSync(logFd)
  child.on('error', () => {})
  child.unref()
  return child
}

function openLog(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > MAX_LOG_BYTES) renameSync(path, `${path}.old`)
  return openSync(path, 'a', 0o600)
}

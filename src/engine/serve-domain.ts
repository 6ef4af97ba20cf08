/**
 * The life of a domain process: takes its order from the launcher (launch.ts), runs the domain, reports, and ends
 * when nothing is left of it. Signals that ask to end destroy the domain; a fault of ours stops it with a report.
 */
import { writeSync } from 'node:fs'
import { XtError } from '../base/errors.ts'
import { createLog, type LogLevel } from '../base/log.ts'
import { connectXenstore } from '../xenstored/client.ts'
import { ensureXenstored } from '../xenstored/ensure.ts'
import { Domain, type DomainHost } from './domain.ts'
import { connectDomain } from './domains.ts'
import { errors } from './errors.ts'
import { launchDomain, type StartAnswer, type StartMessage } from './launch.ts'
import { hostWords } from './paths.ts'

/** What a domain is made of: the entry says it, so that tests can run other things in a real process. */
export interface DomainParts extends Pick<DomainHost, 'loadPlugins' | 'showDisk' | 'buildGuest'> {
  /** The program that restarts: this very one. */
  readonly entry: URL
}

/** Runs until the process ends. */
export async function serveDomain(parts: DomainParts): Promise<never> {
  const order = await receiveOrder()
  process.title = `xt-domain ${order.config.name}`
  const log = createLog((level, line) => {
    writeLine(level, line)
    domain.tellLog(level, line)
  })
  const domain: Domain = new Domain(order.config, order, {
    ...parts,
    paths: order.paths,
    log,
    clock: { after: setAlarm },
    now: Date.now,
    openStore: () => openStore(order.paths.runDir),
    progress: (line) => void answer({ type: 'progress', line }),
    restart: (config, paused) => {
      const { paths, monitor, pluginSettings } = order
      return launchDomain(config, { paths, paused, monitor, pluginSettings, entry: parts.entry })
    },
    unpause: async (other) => {
      using client = await connectDomain(other)
      await client.unpause()
    },
  })
  endOnSignals(domain)
  process.on('uncaughtException', (error) => void domain.fail(error))
  process.on('beforeExit', () => {
    log.error(`nothing is left to wait for, but open are: ${domain.openCalls().join(', ')}`)
  })
  // Until the answer is out, a launcher that goes away takes the domain with it.
  const abandoned = () => void domain.destroy()
  process.once('disconnect', abandoned)
  // With its number: after a restart the next domain of this name writes into the same log.
  let self = `domain ${order.config.name}`
  try {
    const domid = await domain.create()
    process.off('disconnect', abandoned)
    log.info(`domain ${order.config.name} has number ${domid}`)
    self = `domain ${domid}`
    await answer({ type: 'ready', domid })
  } catch (error) {
    log.error(`the domain was not made: ${error instanceof XtError ? error.message : stackOf(error)}`)
    await answer(failure(error))
  }
  const clean = await domain.finished
  log.info(`${self} is gone`)
  process.exit(clean ? 0 : 1)
}

function receiveOrder(): Promise<StartMessage> {
  if (process.send === undefined) {
    process.stderr.write('A domain process is started by `xt create`.\n')
    process.exit(2)
  }
  return new Promise((settle) => {
    const lost = () => process.exit(1)
    process.once('disconnect', lost)
    process.once('message', (message) => {
      process.off('disconnect', lost)
      settle(message as StartMessage)
    })
  })
}

/** Settles when the message is written, or nobody is there to read it. */
function answer(message: StartAnswer): Promise<void> {
  return new Promise((settle) => {
    if (!process.connected) settle()
    else process.send!(message, undefined, {}, () => settle())
  })
}

/** A creation that fails after the configuration was read is libxl's ERROR_FAIL, with which xl ends. */
const CREATE_FAILED = 3

function failure(error: unknown): StartAnswer {
  if (error instanceof XtError) {
    const { code, message, hint, exit } = error
    return { type: 'failed', code, message, hint, exit: exit === 1 ? CREATE_FAILED : exit }
  }
  // What the host refused (a full disk, too many open files) is nobody's fault here.
  if (error instanceof Error && 'syscall' in error) {
    const { message, hint } = errors.XT_HOST_REFUSED(
      hostWords(error),
      String((error as NodeJS.ErrnoException).syscall),
    )
    return { type: 'failed', code: 'XT_HOST_REFUSED', message, hint, exit: CREATE_FAILED }
  }
  return { type: 'failed', code: 'XT_VM_FAILED', message: String(error), exit: CREATE_FAILED }
}

function endOnSignals(domain: Domain): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => void domain.destroy())
}

function setAlarm(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}

async function openStore(runDir: string) {
  const { socketPath } = await ensureXenstored(runDir)
  return connectXenstore({ socketPath, revive: () => ensureXenstored(runDir) })
}

/** What a domain may write into its log. GUEST: some lines are made of what the guest says, as often as it likes. */
const LOG_LIMIT_BYTES = 16 << 20
let logRoom = LOG_LIMIT_BYTES

/** Standard error is the domain's log file. Written at once, so that a crash loses nothing; errors always. */
function writeLine(level: LogLevel, line: string): void {
  if (logRoom <= 0 && level !== 'error') return
  const text = `${new Date().toISOString()} ${level.padEnd(5)} ${line}\n`
  logRoom -= Buffer.byteLength(text)
  try {
    writeSync(2, text)
    if (logRoom <= 0 && level !== 'error') writeSync(2, 'the log is full: from here on it has errors only\n')
  } catch {
    // A full disk must not end the guest.
  }
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

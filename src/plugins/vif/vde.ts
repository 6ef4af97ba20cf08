/**
 * A switch between guests that needs no privilege: Virtual Distributed Ethernet. `bridge=vde:NAME` is a switch of xt's
 * own of that name, started with its first interface and ended with its last; `bridge=vde:/DIRECTORY` is one that
 * somebody else runs. Each interface has a vde_plug, which ends with the domain process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { vifErrors } from './errors.ts'
import { StreamPort } from './stream-port.ts'

/** An Ethernet frame with a VLAN tag: a switch takes no larger ones. */
const MAX_FRAME = 1518
const POLL_MS = 20
const PATIENCE_MS = 10_000

export interface VdeOptions {
  /** For messages. */
  readonly name: string
  /** What stands behind `vde:`. */
  readonly place: string
  readonly hostRunDir: string
  /** Unique among the interfaces of this process. */
  readonly devid: number
}

/** @throws XtError XT_VIF_NO_VDE, XT_VIF_VDE, XT_VIF_SWITCH_NAME */
export async function openVde({ name, place, hostRunDir, devid }: VdeOptions): Promise<StreamPort> {
  const isOwn = !place.startsWith('/')
  if (isOwn && !/^[\w.-]{1,40}$/.test(place)) throw vifErrors.XT_VIF_SWITCH_NAME(name, place)
  const leave = isOwn
    ? await joinSwitch(name, join(hostRunDir, 'vde', place), `${process.pid}.${devid}`)
    : undefined
  const directory = isOwn ? join(hostRunDir, 'vde', place, 'ctl') : place
  try {
    if (!(await answers(directory))) throw vifErrors.XT_VIF_VDE(name, `no switch answers in ${directory}`)
    const child = spawn('vde_plug', [`vde://${directory}`], { stdio: ['pipe', 'pipe', 'ignore'] })
    await started(child, name)
    return new StreamPort({
      from: child.stdout!,
      to: child.stdin!,
      lengthBytes: 2,
      maxFrameBytes: MAX_FRAME,
      isVerified: false,
      description: `switch ${place} (VDE)`,
      async end() {
        const isOver = child.exitCode !== null || child.signalCode !== null
        const over = isOver ? undefined : new Promise<void>((settle) => child.once('exit', () => settle()))
        child.kill('SIGTERM')
        await over
        await leave?.()
      },
    })
  } catch (error) {
    await leave?.()
    throw error
  }
}

/**
 * Sees to it that the switch of a directory runs as long as it has users, which are files named after processes.
 * Answers how to leave it.
 */
async function joinSwitch(name: string, directory: string, user: string): Promise<() => Promise<void>> {
  const users = join(directory, 'users')
  await mkdir(users, { recursive: true, mode: 0o700 })
  await writeFile(join(users, user), '')
  const pidFile = join(directory, 'pid')
  const leave = async () => {
    await rm(join(users, user), { force: true })
    const left = await readdir(users)
    if (left.some((other) => isAlive(Number.parseInt(other, 10)))) return
    const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''))
    if (pid > 0 && (await answers(join(directory, 'ctl')))) endProcess(pid)
    await rm(directory, { recursive: true, force: true })
  }
  try {
    if (await answers(join(directory, 'ctl'))) return leave
    const options = ['--daemon', '--sock', join(directory, 'ctl'), '--mode', '600', '--pidfile', pidFile]
    const child = spawn('vde_switch', options, { stdio: 'ignore' })
    await started(child, name)
    // Where two start it, one of them fails, and finds that it runs.
    for (let waited = 0; !(await answers(join(directory, 'ctl'))); waited += POLL_MS) {
      if (waited > PATIENCE_MS) throw vifErrors.XT_VIF_VDE(name, 'vde_switch does not start')
      await sleep(POLL_MS)
    }
    return leave
  } catch (error) {
    await leave()
    throw error
  }
}

/** Whether a switch listens in a directory. */
function answers(directory: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(join(directory, 'ctl'))
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => settle(true)).once('error', () => settle(false))
  })
}

function started(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT' ? vifErrors.XT_VIF_NO_VDE(name) : vifErrors.XT_VIF_VDE(name, error.message),
      ),
    )
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // It has ended by itself.
  }
}

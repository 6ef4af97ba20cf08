/**
 * Runs a domain's bootloader on its first disk, which the vbd plugin shows as a file whatever its format is. What it
 * writes goes to a directory in the domain's own, which is gone when the files have been read (readGuestFiles) or
 * something failed. A bootloader that hangs is said after a while, ended after a longer one, and ends with its domain.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Log } from '../base/log.ts'
import type { DomainConfig } from '../config/schema.ts'
import { type BootloaderAnswer, bootloaderArguments, readBootloaderAnswer } from './boot/bootloader.ts'
import type { DriverClock } from './driver.ts'
import { errors } from './errors.ts'

/** Where Debian's Xen has its own programs; libxl looks into that directory before PATH. */
const XEN_PROGRAMS = '/usr/lib/xen-*/bin'
/** What is told of a bootloader that fails. */
const LAST_WORDS = 2000
const NOTICE_MS = 3000
/** pygrub takes a second or two; a remote image on a busy host may need more. */
const LIMIT_MS = 120_000

type Disk = DomainConfig['disks'][number]

/** Shows a disk's bytes as a file that can be read. It is gone when disposed. */
export type ShowDisk = (
  disk: Disk,
  options: { readonly directory: string; readonly log: Log; readonly signal: AbortSignal },
) => Promise<AsyncDisposable & { readonly path: string }>

export interface BootloaderHost {
  /** The domain's own directory. */
  readonly directory: string
  readonly showDisk: ShowDisk
  readonly clock: DriverClock
  readonly log: Log
  /** A line for who waits: "waiting for pygrub (/srv/web.qcow2)". */
  readonly notice: (line: string) => void
  /** Aborted when the domain is to be no more. */
  readonly signal: AbortSignal
}

/** Rejects with XT_BOOTLOADER_*, XT_BROKEN_OFF, or the reason why the disk cannot be shown. */
export async function withBootloader<T>(
  config: DomainConfig & { readonly bootloader: string },
  host: BootloaderHost,
  use: (answer: BootloaderAnswer) => Promise<T>,
): Promise<T> {
  const { bootloader: name, kernel, ramdisk, cmdline, bootloaderArgs: args } = config
  const { log, signal } = host
  const program = findBootloader(name)
  const first = diskOf(config)
  const cancelNotice = host.clock.after(NOTICE_MS, () => host.notice(`waiting for ${name} (${first.target})`))
  const directory = join(host.directory, 'bootloader')
  const output = join(directory, 'answer')
  await mkdir(directory, { mode: 0o700 })
  try {
    await using shown = await host.showDisk(first, { directory: host.directory, log, signal })
    await writeFile(output, '')
    const request = { kernel, ramdisk, cmdline, args, disk: shown.path, output, directory }
    await new Run(name, first.target, program, bootloaderArguments(program, request)).ended(host)
    const answer = readBootloaderAnswer(await readFile(output, 'utf8'))
    if (answer === undefined) throw errors.XT_BOOTLOADER_FAILED(name, first.target, 'it named no kernel')
    return await use(answer)
  } catch (error) {
    throw signal.aborted ? errors.XT_BROKEN_OFF(config.name) : error
  } finally {
    cancelNotice()
    await rm(directory, { recursive: true, force: true })
  }
}

function findBootloader(name: string): string {
  const directories = [...globSync(XEN_PROGRAMS), ...(process.env['PATH'] ?? '').split(delimiter)]
  const found = name.includes('/') ? [name] : directories.map((directory) => join(directory, name))
  const program = found.find((path) => existsSync(path))
  if (program === undefined) throw errors.XT_BOOTLOADER_MISSING(name)
  return program
}

function diskOf({ bootloader, disks: [first] }: DomainConfig): Disk & { readonly target: string } {
  if (first?.target === undefined) throw errors.XT_BOOTLOADER_DISK(bootloader!, 'the guest has no disk')
  const { target, script } = first
  // The script wants the guest's number and nodes, which are not there yet.
  if (script !== undefined)
    throw errors.XT_BOOTLOADER_DISK(bootloader!, `the first disk, ${target}, is made by script=${script}`)
  return { ...first, target }
}

/** One run of a program that a person wrote for something else: it may print, fork, fail, or never end. */
class Run {
  readonly #name: string
  readonly #target: string
  readonly #words: readonly string[]
  readonly #child: ChildProcess
  #said = ''

  constructor(name: string, target: string, program: string, words: readonly string[]) {
    this.#name = name
    this.#target = target
    this.#words = words
    // A group of its own, so that what it started ends with it; and its end if this process is killed.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#said = (this.#said + text).slice(-LAST_WORDS)
      })
    }
  }

  /** Rejects if it fails, takes too long or is no longer wanted; it has ended then. */
  async ended({ clock, signal }: BootloaderHost): Promise<void> {
    let isLate = false
    const cancelLimit = clock.after(LIMIT_MS, () => {
      isLate = true
      this.#kill()
    })
    const kill = () => this.#kill()
    signal.addEventListener('abort', kill)
    if (signal.aborted) kill()
    try {
      const why = await this.#failure()
      if (isLate) throw errors.XT_BOOTLOADER_STUCK(this.#name, this.#target, LIMIT_MS / 1000, this.#command())
      if (why !== undefined) throw errors.XT_BOOTLOADER_FAILED(this.#name, this.#target, why)
    } finally {
      cancelLimit()
      signal.removeEventListener('abort', kill)
    }
  }

  /** Undefined if it has done what it should. */
  #failure(): Promise<string | undefined> {
    return new Promise((settle) => {
      this.#child.once('error', (error) => settle(error.message))
      this.#child.once('close', (code, signal) => {
        const lastLine = this.#said.trim().split('\n').at(-1)
        settle(code === 0 ? undefined : lastLine || (signal ?? `exit status ${code}`))
      })
    })
  }

  #command(): string {
    return [this.#name, ...this.#words.slice(0, -1), this.#target].join(' ')
  }

  #kill(): void {
    const { pid } = this.#child
    if (pid === undefined) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // All of it has ended.
    }
  }
}

/**
 * Guests for system tests: booted by the command line as users do, from source, with all of xt's files in a directory
 * of the test's own, and looked at from outside only.
 *
 * Every wait is bounded and says what the guest printed last; no test judges time. A lab ends with its test: domains
 * are destroyed, and then it is a failure if a process, file, socket or xenstore node of a domain is left.
 */
import type { ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { assetCache } from '../../scripts/assets/cache.ts'
import type { KernelFlavour } from '../../scripts/assets/fetch-debian-kernel.ts'
import type { DomainInfo } from '../../src/engine/control.ts'
import { connectDomain, findDomain } from '../../src/engine/domains.ts'
import { domainsDir, namesDir, type XtPaths, xtPaths } from '../../src/engine/paths.ts'
import { connectXenstore } from '../../src/xenstored/client.ts'
import { ensureXenstored } from '../../src/xenstored/ensure.ts'
import { storePlaces } from '../../src/xenstored/places.ts'
import { finished, type Result, root, startXt, xt, xtHome } from '../commands/fake-domain.ts'
import { isRunning } from '../engine/fixtures/launch-fake.ts'

/** Far more than anything takes: a machine with other work to do must not fail a test. */
const PATIENCE_MS = 300_000
const POLL_MS = 100
const LEAVE_MS = 10_000
const TAIL_LINES = 30

/** A home of xt for one test and the domains in it. */
export class GuestLab {
  readonly home: string
  readonly paths: XtPaths
  readonly #children = new Set<ChildProcess>()

  constructor(t: Test) {
    this.home = xtHome(t)
    this.paths = xtPaths({ XT_HOME: this.home })
    t.teardown(() => this.#end())
  }

  /** Runs one command to its end. */
  xt(...args: readonly string[]): Promise<Result> {
    return xt(this.home, ...args)
  }

  /** The same for a command that must succeed. Resolves with its standard output. */
  async must(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.xt(...args)
    if (status !== 0) throw new Error(`xt ${args.join(' ')} ended with status ${status}: ${stderr}`)
    return stdout
  }

  /** A command that goes on; it ends with the test at the latest. */
  start(...args: readonly string[]): ChildProcess {
    const child = startXt(this.home, args, 'pipe')
    this.#children.add(child)
    return child
  }

  /** Joins the console of a domain, from its first byte on. */
  console(name: string): GuestConsole {
    return new GuestConsole(this.start('console', name))
  }

  /** What the domain's own process says of it. */
  async info(name: string): Promise<DomainInfo> {
    using client = await connectDomain(await findDomain(this.paths, name))
    return await client.info()
  }

  /** The row of `xt list` split at blanks, or undefined if the domain is not listed. */
  async row(name: string): Promise<readonly string[] | undefined> {
    const rows = (await this.must('list')).split('\n').map((line) => line.split(/\s+/))
    return rows.find(([first]) => first === name)
  }

  /** Waits until the domain is no longer registered. */
  async gone(domid: number): Promise<void> {
    await until(`domain ${domid} is gone`, () => !existsSync(join(domainsDir(this.paths), `${domid}`)))
  }

  /**
   * Processes, files, sockets and xenstore nodes of domains: empty as soon as there are none, else what is there after ten
   * seconds. The store may go on.
   */
  async leftovers(): Promise<readonly string[]> {
    const until = Date.now() + LEAVE_MS
    for (;;) {
      const left = await this.left()
      // A domain process answers, and takes itself off the list, before its last thread has ended.
      if (left.length === 0 || Date.now() > until) return left
      await sleep(POLL_MS)
    }
  }

  /** The same as it is at this moment. */
  async left(): Promise<readonly string[]> {
    const entries = [domainsDir, namesDir].flatMap((dir) => {
      const path = dir(this.paths)
      return existsSync(path) ? readdirSync(path).map((file) => join(path, file)) : []
    })
    const isStores = (path: string) => path.startsWith(join(this.paths.runDir, 'xenstored'))
    const sockets = readdirSync(this.home, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isSocket())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !isStores(path))
    return [...entries, ...sockets, ...this.#processes(), ...(await this.#nodes())]
  }

  /** Those that were started with our home, here or by what we started; but the store, and consoles of the test. */
  #processes(): readonly string[] {
    const ours = new Set([...this.#children].map(({ pid }) => pid))
    return processesOf(this.home)
      .filter(({ pid, command }) => !ours.has(pid) && !command.includes('xenstored'))
      .map(({ pid, command }) => `process ${pid}: ${command}`)
  }

  async #nodes(): Promise<readonly string[]> {
    if (!existsSync(storePlaces(this.paths.runDir).directory)) return []
    const { socketPath } = await ensureXenstored(this.paths.runDir)
    await using store = await connectXenstore({ socketPath })
    const found: string[] = []
    for (const path of ['/local/domain', '/vm', '/libxl', '/local/domain/0/backend/console']) {
      for (const node of await store.directory(path).catch(() => [])) found.push(`${path}/${node}`)
    }
    return found.filter((path) => path !== '/local/domain/0')
  }

  async #end(): Promise<void> {
    for (const child of this.#children) if (child.exitCode === null) child.kill('SIGKILL')
    for (const [name] of await this.#listed()) await this.xt('destroy', name!)
    const left = await this.leftovers()
    for (const { pid } of processesOf(this.home)) endProcess(pid)
    await until('no process is left', () => processesOf(this.home).length === 0)
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
  }

  async #listed(): Promise<readonly (readonly string[])[]> {
    const rows = (await this.xt('list')).stdout.split('\n').slice(1)
    return rows.filter((line) => line !== '').map((line) => line.split(/\s+/))
  }
}

/** What a guest prints, as a client of its console sees it; and a keyboard. */
export class GuestConsole {
  output = ''
  readonly ended: Promise<Result>
  readonly #child: ChildProcess
  #isOver = false
  #asked = 0

  constructor(child: ChildProcess) {
    this.#child = child
    this.ended = finished(child)
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
    })
    void this.ended.then(() => {
      this.#isOver = true
    })
  }

  /** Waits until the output matches, from `from` on. */
  async sees(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    for (const start = performance.now(); ; await sleep(POLL_MS)) {
      const over = this.#isOver
      const found = pattern.exec(this.output.slice(from))
      if (found !== null) return found
      if (!over && performance.now() - start < PATIENCE_MS) continue
      const tail = this.output.split('\n').slice(-TAIL_LINES).join('\n')
      throw new Error(
        `the console ${over ? 'ended' : 'went on'} without ${pattern}; its last lines:\n${tail}`,
      )
    }
  }

  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  /**
   * Runs a command in the guest's shell. Resolves with what it printed, trimmed; where the kernel prints at the same
   * time, that is among it (`dmesg -n 1` makes it silent).
   */
  async ask(command: string): Promise<string> {
    this.#asked++
    const from = this.output.length
    // What is typed is echoed: the quotes make it differ from what the command prints. It may begin in the middle of a
    // line: the kernel's messages go out a few characters at a time.
    this.type(`echo '<'${this.#asked}; ${command}; echo ${this.#asked}'>'\n`)
    const [, answer] = await this.sees(new RegExp(`<${this.#asked}\r\n(.*?)${this.#asked}>\r\n`, 's'), from)
    return answer!.replaceAll('\r\n', '\n').trim()
  }

  /** Leaves; the guest goes on. */
  async leave(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.ended
  }
}

/** Asks until the answer is yes; throws if that never happens. */
export async function until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
  const start = performance.now()
  while (!(await ask())) {
    if (performance.now() - start > PATIENCE_MS) throw new Error(`never happened: ${what}`)
    await sleep(POLL_MS)
  }
}

/** The arguments of `xt create` for Debian's kernel with examples/debian.cfg, without any message. */
export function debianArguments(
  files: { readonly vmlinuz: string; readonly ramdisk: string },
  settings: Readonly<Record<string, string | number>>,
): readonly string[] {
  const all = { kernel: files.vmlinuz, ramdisk: files.ramdisk, ...settings }
  const words = Object.entries(all).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return ['create', '-q', join(root, 'examples', 'debian.cfg'), ...words]
}

const RELEASES: Readonly<Record<KernelFlavour, RegExp>> = {
  cloud: /^6\.1\.\S*-cloud-amd64_/,
  generic: /^6\.1\.[\d.-]*-amd64_/,
  'cloud-6.12': /^6\.12\.\S*-cloud-amd64_/,
  'generic-6.12': /^6\.12\.\S*(?<!cloud)-amd64_/,
}

/** Whether this kernel was fetched before: a test of a further kernel downloads nothing. */
export function isCached(flavour: KernelFlavour): boolean {
  const kernels = join(assetCache(), 'kernels')
  return existsSync(kernels) && readdirSync(kernels).some((name) => RELEASES[flavour].test(name))
}

/** Live processes whose environment names this home. */
function processesOf(home: string): readonly { readonly pid: number; readonly command: string }[] {
  const numbers = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return numbers
    .map((name) => ({ pid: Number(name), command: readProc(name, 'cmdline').trim() }))
    .filter(({ pid }) => pid !== process.pid && readProc(`${pid}`, 'environ').includes(`XT_HOME=${home}`))
    .filter(({ pid }) => isRunning(pid))
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // It ended by itself.
  }
}

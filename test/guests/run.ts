/** Runs a micro-guest as a user would: its file, a configuration, `xt create -c`; and takes the verdict from its console. */
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MicroGuest } from '../../src/testkit/micro-guests/guest.ts'

const XT = join(import.meta.dirname, '../../bin/dev.js')
const PATIENCE_MS = 60_000

export interface GuestRun {
  /** The last line of the console: PASS, FAIL or SKIP; `none` if the guest never said. */
  readonly verdict: string
  /** What the console showed before. */
  readonly lines: readonly string[]
  /** What xt said, for a report. */
  readonly errors: string
}

export interface RunOptions {
  /** More for `xt create`. */
  readonly words?: readonly string[]
  /** Where it is started. */
  readonly cwd?: string
}

/** Everything of this run lies in `home`, a private directory with a short path (sockets). */
export async function runGuest(
  guest: MicroGuest,
  home: string,
  { words = [], cwd = process.cwd() }: RunOptions = {},
): Promise<GuestRun> {
  const kernel = join(home, `${guest.name}.elf`)
  const cfg = join(home, `${guest.name}.cfg`)
  writeFileSync(kernel, guest.build())
  writeFileSync(
    cfg,
    `name = "${guest.name}"\ntype = "pvh"\nmemory = 64\nvcpus = ${guest.vcpus}\nkernel = "${kernel}"\n`,
  )
  const env = { ...process.env, XT_HOME: home }
  const child = spawn(process.execPath, [XT, 'create', '-q', '-c', ...words, cfg], {
    env,
    cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let console = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    console += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  const impatience = setTimeout(() => {
    errors += `no end after ${PATIENCE_MS / 1000} s`
    spawnSync(process.execPath, [XT, 'destroy', guest.name], { env })
    child.kill()
  }, PATIENCE_MS)
  await new Promise((resolve) => child.on('close', resolve))
  clearTimeout(impatience)
  const lines = console.split(/\r?\n/).filter((line) => line !== '')
  const last = lines.pop() ?? 'none'
  return { verdict: /^(PASS|FAIL|SKIP)$/.test(last) ? last : 'none', lines, errors }
}

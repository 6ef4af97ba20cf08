/**
 * `npm test [-- FILE...]`: runs the tests, a line per file as it ends; then what failed, what was skipped and why, and
 * as the last line the numbers of test cases. --quick takes only those that need nothing but their own process.
 *
 * Each file runs as it would by hand, `node FILE`: tap's own runner hooks a loader into every process that a test
 * starts, which costs a command of xt several times its own start. Two files at a time, and of those that boot guests
 * one as long as there are others: a guest with its threads takes more than a processor.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FileResult, readResult } from './test-results.ts'

const root = join(import.meta.dirname, '..')

const ALL = ['test/**/*.test.ts']
const QUICK = ['test/{base,config,xen}/**/*.test.ts']
const BOOTING = ['test/{system,guests}/**', 'test/engine/boot/qemu.test.ts']
/** Where Node keeps what it made of sources: most processes that tests start load the same ones. */
const COMPILE_CACHE = join(root, 'node_modules', '.cache', 'node')
/** For a file that does not set its own, and for any file. */
const TIMEOUT_S = 300
const LAST_TIMEOUT_MS = 20 * 60_000
const STDERR_BYTES = 8000
const DRAIN_MS = 5000

export interface TestTotals {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Runs the files and reports on standard output, all but the totals. */
export async function runTests(files: readonly string[]): Promise<TestTotals> {
  const boots = (file: string) => BOOTING.some((glob) => matchesGlob(file, glob))
  const booting = files.filter(boots)
  const others = files.filter((file) => !boots(file))
  const results: FileResult[] = []
  const work = async (first: string[], then: string[]) => {
    for (;;) {
      const file = first.shift() ?? then.shift()
      if (file === undefined) return
      const result = await runFile(file)
      results.push(result)
      say(fileLine(result))
    }
  }
  await Promise.all([work(booting, others), work(others, booting)])
  return report(results)
}

/** The last line of every run. */
export function totalsLine({ passed, failed, skipped }: TestTotals): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

/** The tests of this checkout, by path from its root. */
export function testFiles({ quick = false } = {}): readonly string[] {
  return globSync(quick ? QUICK : ALL, { cwd: root })
    .filter((file) => !file.includes('/fixtures/'))
    .sort()
}

async function runFile(file: string): Promise<FileResult> {
  const start = performance.now()
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, TAP_TIMEOUT: String(TIMEOUT_S) },
    timeout: LAST_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_BYTES)
  })
  const closed = once(child, 'close')
  const [status, signal] = await once(child, 'exit')
  // What a failed test left running may hold the pipes open.
  await Promise.race([closed, sleep(DRAIN_MS, undefined, { ref: false })])
  child.stdout.destroy()
  child.stderr.destroy()
  return readResult(file, stdout, { seconds: (performance.now() - start) / 1000, status, signal, stderr })
}

const say = (text: string) => process.stdout.write(`${text}\n`)

function fileLine({ file, seconds, passed, failed, skipped }: FileResult): string {
  const counts = [`${passed} passed`]
  if (failed.length > 0) counts.push(`${failed.length} FAILED`)
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`)
  return `  ${failed.length > 0 ? 'not ok' : 'ok    '} ${file} (${counts.join(', ')}; ${seconds.toFixed(1)} s)`
}

function report(results: readonly FileResult[]): TestTotals {
  for (const { file, failed, report } of results) {
    if (failed.length > 0) say(`\nFailed in ${file}:\n${report}`)
  }
  const skipped = results.flatMap((result) => result.skipped.map((skip) => ({ ...skip, file: result.file })))
  if (skipped.length > 0) say('\nSkipped:')
  for (const { file, name, reason } of skipped)
    say(`  ${file === name ? file : `${file}: ${name}`}: ${reason}`)
  const sum = (count: (result: FileResult) => number) =>
    results.reduce((all, result) => all + count(result), 0)
  return {
    passed: sum((result) => result.passed),
    failed: sum((result) => result.failed.length),
    skipped: skipped.length,
  }
}

if (import.meta.main) {
  const words = process.argv.slice(2)
  const named = words.filter((word) => !word.startsWith('--'))
  const totals = await runTests(named.length > 0 ? named : testFiles({ quick: words.includes('--quick') }))
  say(`\n${totalsLine(totals)}`)
  process.exitCode = totals.failed > 0 ? 1 : 0
}

/**
 * `npm test [-- FILE...]`: runs the tests with tap, a line per file as it ends; then what failed, what was skipped and
 * why, and as the last line the numbers of test cases. --quick takes only those that need nothing but their own process.
 *
 * Two files at a time; those that boot guests afterwards and one by one: a guest wants the processors for itself.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, statSync, utimesSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { createInterface } from 'node:readline'
import { type FileResult, TestResults } from './test-results.ts'

const root = join(import.meta.dirname, '..')
const tap = join(root, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs')

const ALL = ['test/**/*.test.ts']
const QUICK = ['test/{base,config,xen}/**/*.test.ts']
const BOOTING = ['test/{system,guests}/**', 'test/engine/boot/qemu.test.ts']
const STDERR_LINES = 60

export interface TestTotals {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Runs the files and reports on standard output, all but the totals. */
export async function runTests(files: readonly string[]): Promise<TestTotals> {
  const boots = (file: string) => BOOTING.some((glob) => matchesGlob(file, glob))
  const results: FileResult[] = []
  await prepareTap()
  await runTap(
    files.filter((file) => !boots(file)),
    2,
    results,
  )
  await runTap(files.filter(boots), 1, results)
  return report(files, results)
}

/** The last line of every run. */
export function totalsLine({ passed, failed, skipped }: TestTotals): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped\n`
}

/** The tests of this checkout, by path from its root. */
export function testFiles({ quick = false } = {}): readonly string[] {
  return globSync(quick ? QUICK : ALL, { cwd: root })
    .filter((file) => !file.includes('/fixtures/'))
    .sort()
}

/** tap makes itself anew from the plugins that .taprc names; a run that must first do so uses the old ones. */
async function prepareTap(): Promise<void> {
  const made = join(root, '.tap', 'plugins', 'package.json')
  const newest = Math.max(
    ...['.taprc', 'package-lock.json'].map((file) => statSync(join(root, file)).mtimeMs),
  )
  if (existsSync(made) && statSync(made).mtimeMs >= newest) return
  process.stdout.write('preparing tap\n')
  await tapProcess(['build'], () => {})
  if (existsSync(made)) utimesSync(made, new Date(), new Date())
}

async function runTap(files: readonly string[], jobs: number, results: FileResult[]): Promise<void> {
  if (files.length === 0) return
  const reader = new TestResults((result) => {
    results.push(result)
    process.stdout.write(`${fileLine(result)}\n`)
  })
  const stderr = await tapProcess(['run', '--reporter=tap', `--jobs=${jobs}`, ...files], (line) =>
    reader.line(line),
  )
  reader.end()
  if (results.some(({ failed }) => failed.length > 0) && stderr.length > 0) {
    process.stdout.write(`\nStandard error of these tests (its end):\n${stderr.join('\n')}\n\n`)
  }
}

/** Runs tap to its end; gives each line of its output away and returns the last lines of its standard error. */
async function tapProcess(
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<readonly string[]> {
  const child = spawn(process.execPath, [tap, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const stderr: string[] = []
  const lines = createInterface(child.stdout).on('line', onLine)
  createInterface(child.stderr).on('line', (line) => {
    stderr.push(line)
    if (stderr.length > STDERR_LINES) stderr.shift()
  })
  await Promise.all([once(child, 'close'), once(lines, 'close')])
  return stderr
}

function fileLine({ file, seconds, passed, failed, skipped }: FileResult): string {
  const counts = [`${passed} passed`]
  if (failed.length > 0) counts.push(`${failed.length} FAILED`)
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`)
  return `  ${failed.length > 0 ? 'not ok' : 'ok    '} ${file} (${counts.join(', ')}; ${seconds.toFixed(1)} s)`
}

function report(files: readonly string[], results: readonly FileResult[]): TestTotals {
  const say = (text: string) => process.stdout.write(`${text}\n`)
  for (const { file, failed, report } of results) {
    if (failed.length > 0) say(`\nFailed in ${file}:\n${report}`)
  }
  // A file that tap said nothing about did not pass.
  const missing = files.filter((file) => !results.some((result) => result.file === file))
  for (const file of missing) say(`\nFailed: ${file} did not run`)
  const skipped = results.flatMap((result) => result.skipped.map((skip) => ({ ...skip, file: result.file })))
  if (skipped.length > 0) say('\nSkipped:')
  for (const { file, name, reason } of skipped)
    say(`  ${file === name ? file : `${file}: ${name}`}: ${reason}`)
  const sum = (count: (result: FileResult) => number) =>
    results.reduce((all, result) => all + count(result), 0)
  return {
    passed: sum((result) => result.passed),
    failed: missing.length + sum((result) => result.failed.length),
    skipped: skipped.length,
  }
}

if (import.meta.main) {
  const words = process.argv.slice(2)
  const named = words.filter((word) => !word.startsWith('--'))
  const totals = await runTests(named.length > 0 ? named : testFiles({ quick: words.includes('--quick') }))
  process.stdout.write(`\n${totalsLine(totals)}`)
  process.exitCode = totals.failed > 0 ? 1 : 0
}

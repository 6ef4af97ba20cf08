/**
 * `npm run check`: all that must hold before a change goes in. Generated files, build, types, lint, tests; each step
 * with its time, the output of those that failed, and the numbers of test cases as the last line. Later steps run even
 * if an earlier one failed, so that one run shows everything.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { runTests, testFiles, totalsLine } from './test.ts'

const root = join(import.meta.dirname, '..')

/** Generated files come before the build, which would write one of them anew. */
const STEPS: readonly (readonly [name: string, program: string, ...args: string[]])[] = [
  ['generated files', 'scripts/generate.ts', '--check'],
  ['build', 'scripts/build.ts'],
  ['types', 'node_modules/typescript/bin/tsc', '-p', '.', '--pretty', 'false'],
  ['lint', 'node_modules/@biomejs/biome/bin/biome', 'ci', '--colors=off', '--max-diagnostics=50'],
]

type Step = (typeof STEPS)[number]

/** What the tests boot. Without it (no apt, no network) they are skipped, each with its reason. */
const KERNELS: Step = [
  "Debian's kernels",
  'scripts/assets/fetch-debian-kernel.ts',
  'cloud',
  'generic',
  'cloud-6.12',
]

/** Runs one step; true if its status was 0. `failed`: the word for one that was not. */
async function step([name, program, ...args]: Step, failed = 'not ok'): Promise<boolean> {
  const start = performance.now()
  const child = spawn(process.execPath, [join(root, program), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [status] = await once(child, 'close')
  say(`${status === 0 ? 'ok    ' : failed} ${name} (${since(start)})`)
  if (status !== 0) say(output)
  return status === 0
}

const since = (start: number) => `${((performance.now() - start) / 1000).toFixed(1)} s`
const say = (text: string) => process.stdout.write(`${text}\n`)

const start = performance.now()
const failed: string[] = []
for (const each of STEPS) if (!(await step(each))) failed.push(each[0])
await step(KERNELS, 'none  ')
const files = testFiles()
say(`tests (${files.length} files)`)
const testsStart = performance.now()
const totals = await runTests(files)
say(`\ntests: ${since(testsStart)}; everything: ${since(start)}`)
say(failed.length > 0 ? `Steps that failed: ${failed.join(', ')}` : 'All steps before the tests passed.')
say(totalsLine(totals))
process.exitCode = totals.failed + failed.length > 0 ? 1 : 0

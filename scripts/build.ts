/**
 * `npm run build`: src to dist, oclif.manifest.json, the guest of examples/hello.cfg, the CPU's interpreter.
 *
 *     node scripts/build.ts [--if-stale]
 *
 * The compiler works incrementally and never deletes: output whose source is gone is taken away here. dist/.built is
 * written last; --if-stale does nothing while it is newer than everything the build reads.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const stamp = join(root, 'dist', '.built')
const BUILDERS = [
  'scripts/build.ts',
  'scripts/build-hello.ts',
  'scripts/build-interpreter.ts',
  'scripts/manifest.ts',
]
const READS = ['src', ...BUILDERS, 'package.json', 'tsconfig.json', 'tsconfig.build.json']
const OUTPUT = /\.(js|js\.map|d\.ts)$/

/** True if something that the build reads changed, came or went since the last one. */
export function isStale(): boolean {
  const built = modified(stamp)
  return built === 0 || READS.some((path) => newest(join(root, path)) > built)
}

/** Runs the whole build; the exit status of the first program that failed. */
export function build(): number {
  const started = new Date()
  rmSync(stamp, { force: true })
  if (existsSync(join(root, 'dist'))) removeOrphans('')
  const steps = [
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
    ['scripts/manifest.ts'],
    ['scripts/build-hello.ts', 'dist/hello.elf'],
    ['scripts/build-interpreter.ts', 'dist/plugins/cpu-software'],
  ] as const
  for (const [program, ...args] of steps) {
    const result = spawnSync(process.execPath, [join(root, program), ...args], {
      cwd: root,
      encoding: 'utf8',
    })
    if (result.status !== 0) {
      process.stderr.write(`${result.stdout}${result.stderr}${program} failed\n`)
      return result.status ?? 1
    }
  }
  writeFileSync(stamp, '')
  // What is edited while the compiler runs is not in this build.
  utimesSync(stamp, started, started)
  return 0
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** A folder changes when a file in it comes or goes. */
function newest(path: string): number {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}

function removeOrphans(folder: string): void {
  for (const entry of readdirSync(join(root, 'dist', folder), { withFileTypes: true })) {
    const path = join(folder, entry.name)
    const source = join(root, 'src', entry.isDirectory() ? path : path.replace(OUTPUT, '.ts'))
    const isOutput = entry.isDirectory() || OUTPUT.test(entry.name)
    if (isOutput && modified(source) === 0) rmSync(join(root, 'dist', path), { recursive: true })
    else if (entry.isDirectory()) removeOrphans(path)
  }
}

if (import.meta.main && !(process.argv.includes('--if-stale') && !isStale())) {
  const start = performance.now()
  process.stderr.write('building ...\n')
  process.exitCode = build()
  if (process.exitCode === 0)
    process.stderr.write(`built in ${((performance.now() - start) / 1000).toFixed(1)} s\n`)
}

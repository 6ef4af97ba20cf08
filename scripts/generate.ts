/**
 * `npm run generate`: writes every file that is derived from the sources (schemas, tables of the documents, oclif's
 * manifest). With --check nothing is written; the status is 1 and each stale file is named.
 *
 * Each generator is a program of its own, scripts/generate-*.ts and manifest.ts, which knows --check.
 */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'

for (const program of ['manifest.ts', ...globSync('generate-*.ts', { cwd: import.meta.dirname }).sort()]) {
  const words = [join(import.meta.dirname, program), ...process.argv.slice(2)]
  const { status } = spawnSync(process.execPath, words, { stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}

/**
 * `npm run conformance -- DIR [GROUP...]`: runs the case files of a folder (what the real xl and its libraries make of an
 * input) against xt's own code. Prints one line per kind, each failing case with both results, and the totals;
 * the status is 1 if any failed.
 *
 * Where xt differs from Xen on purpose, test/config/deviations.json says so, by the code of the problem that xt
 * reports, by the case's name or by a pattern for its input; such cases are counted apart.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Case, Outcome } from './conformance/case.ts'
import { compare } from './conformance/compare.ts'
import { runCase } from './conformance/run-case.ts'

interface Deviation {
  readonly kind: string
  /** The problem by which xt shows that it knows better, the case's name, or a pattern that its input fits. */
  readonly code?: string
  readonly name?: string
  readonly input?: string
  readonly reason: string
}

export interface Result {
  readonly group: string
  readonly test: Case
  readonly outcome: Outcome
  readonly verdict: 'passed' | 'failed' | 'different'
}

const AT_ONCE = navigator.hardwareConcurrency

async function judge(group: string, test: Case): Promise<Result> {
  const outcome = await runCase(test)
  const verdict = compare(test, outcome)
  const deliberate = verdict === 'failed' && isDeliberate(test, outcome)
  return { group, test, outcome, verdict: deliberate ? 'different' : verdict }
}

/** Runs all cases of a folder, or those of some groups. */
export async function runFolder(dir: string, groups: readonly string[] = []): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const file of readdirSync(dir)
    .filter((name) => name.endsWith('.json'))
    .sort()) {
    const group = basename(file, '.json')
    if (groups.length > 0 && !groups.includes(group)) continue
    const cases = JSON.parse(readFileSync(join(dir, file), 'utf8')) as Case[]
    // Commands are processes of their own: as many at once as there are processors.
    for (let at = 0; at < cases.length; at += AT_ONCE) {
      const some = cases.slice(at, at + AT_ONCE)
      results.push(...(await Promise.all(some.map((test) => judge(group, test)))))
    }
  }
  return results
}

const DEVIATIONS = JSON.parse(
  readFileSync(new URL('../test/config/deviations.json', import.meta.url), 'utf8'),
) as readonly Deviation[]

function isDeliberate({ kind, name, input }: Case, { codes }: Outcome): boolean {
  return DEVIATIONS.some(
    (known) =>
      known.kind === kind &&
      (known.name === name ||
        (known.code !== undefined && codes.includes(known.code)) ||
        (known.input !== undefined && new RegExp(known.input, 's').test(plainInput(input)))),
  )
}

const plainInput = (input: unknown): string => (typeof input === 'string' ? input : JSON.stringify(input))

/** The report, a line each. */
export function report(results: readonly Result[]): readonly string[] {
  const lines: string[] = []
  for (const kind of new Set(results.map(({ test }) => test.kind))) {
    const some = results.filter(({ test }) => test.kind === kind)
    lines.push(`${kind}: ${count(some, 'passed')} passed, ${count(some, 'failed')} failed`)
    for (const result of some) if (result.verdict === 'failed') lines.push(...describe(result))
  }
  const different = count(results, 'different')
  if (different > 0) lines.push(`${different} different on purpose (test/config/deviations.json)`)
  lines.push(`${count(results, 'passed')} passed, ${count(results, 'failed')} failed`)
  return lines
}

const count = (results: readonly Result[], verdict: Result['verdict']) =>
  results.filter((result) => result.verdict === verdict).length

function describe({ group, test, outcome }: Result): readonly string[] {
  const { ok, parsed, error, exit, crash } = test
  return [
    `  ${group}: ${test.name}`,
    `    Xen: ${show({ ok, exit, crash, ...(ok ? { parsed } : { error }) })}`,
    `    xt:  ${show({ ok: outcome.ok, exit: outcome.exit, fault: outcome.fault, ...(outcome.ok ? { parsed: outcome.parsed } : { error: outcome.error }) })}`,
  ]
}

const show = (value: unknown) =>
  JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item))

if (import.meta.main) {
  const [dir, ...groups] = process.argv.slice(2)
  if (dir === undefined) {
    process.stderr.write('usage: npm run conformance -- DIR [GROUP...]\n')
    process.exitCode = 2
  } else {
    const results = await runFolder(dir, groups)
    for (const line of report(results)) process.stdout.write(`${line}\n`)
    process.exitCode = count(results, 'failed') > 0 ? 1 : 0
  }
}

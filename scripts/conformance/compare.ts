/** Whether an outcome agrees with what Xen did, by the rules that the case files state for themselves. */
import { isDeepStrictEqual } from 'node:util'
import type { Case, Outcome } from './case.ts'

export type Verdict = 'passed' | 'failed'

export function compare(test: Case, outcome: Outcome): Verdict {
  if (test.crash !== undefined) return outcome.ok ? 'failed' : 'passed'
  if (test.ok !== outcome.ok) return 'failed'
  if (test.kind === 'xl') return agreeXl(test, outcome) ? 'passed' : 'failed'
  if (!test.ok) return agreeFault(test, outcome) ? 'passed' : 'failed'
  return isDeepStrictEqual(normal(outcome.parsed, test), normal(test.parsed, test)) ? 'passed' : 'failed'
}

/** As JSON, with what xl made up or words in its own way taken out. */
function normal(parsed: unknown, { parsed: expected, kind }: Case): unknown {
  const value = JSON.parse(
    JSON.stringify(parsed, (_, item) => (typeof item === 'bigint' ? Number(item) : item)),
  )
  const generated = (expected as { c_info?: { uuid?: string } }).c_info?.uuid === '<generated>'
  if (kind === 'domain' && generated) value.c_info.uuid = '<generated>'
  if (kind === 'cfg')
    for (const number of Object.values<Record<string, unknown>>(value.numbers)) delete number['message']
  return value
}

const FAULT =
  /^test\.cfg:(\d+): config parsing error near (?:(<newline>)|`([\s\S]*?)')(?=: (?:lexical|syntax|invalid|can't))/

/** The line of the first fault and the text after `near`. Xen's line is one too small at a newline or comment. */
function agreeFault({ kind, error }: Case, { fault }: Outcome): boolean {
  const match = kind === 'cfg' ? FAULT.exec(error ?? '') : null
  if (match === null || fault === undefined) return true
  const [, line, newline, text = ''] = match
  const late = newline !== undefined || text.startsWith('#') ? 1 : 0
  const near = fault.near.split('\0')[0]!.replace(/[ \t]+$/, '')
  return fault.line === Number(line) + late && near === text
}

/** Standard output exactly, where it is kept, and the status. */
function agreeXl({ parsed, exit }: Case, outcome: Outcome): boolean {
  const stdout = (parsed as { stdout: string | null }).stdout
  return exit === outcome.exit && (stdout === null || stdout === outcome.parsed)
}

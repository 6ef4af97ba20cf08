/** A problem of a configuration for people: FILE:LINE:COLUMN first so that editors find it, the line, a caret. Pure. */
import type { ConfigProblem } from '../config/problem.ts'

export function problemText(problem: ConfigProblem): string {
  const { source, line, column, severity, message, excerpt, caret, hint } = problem
  const lines = [`${source}:${line}:${column}: ${severity === 'warning' ? 'warning: ' : ''}${message}`]
  if (excerpt.trim() !== '') lines.push(`    ${excerpt}`, `    ${under(excerpt, caret)}^`)
  if (hint !== undefined) lines.push(hint)
  return lines.map((text) => `${text}\n`).join('')
}

/** Blanks as wide as the first `count` characters; tabs stay tabs. */
const under = (text: string, count: number) => text.slice(0, count).replace(/[^\t]/g, ' ')

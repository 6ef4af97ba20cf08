/** Problems of a configuration for people: FILE:LINE:COLUMN first so that editors find it, the line, a caret. Pure. */
import { type ConfigProblem, printable } from '../config/problem.ts'

/** A file that is no configuration at all has a problem on every line; a few of them say enough. */
const SHOWN = 10

export function problemsText(problems: readonly ConfigProblem[]): string {
  const errors = problems.filter(({ severity }) => severity === 'error')
  const shown = (errors.length > SHOWN ? errors : problems).slice(0, SHOWN)
  const more = problems.length - shown.length
  return shown.map(problemText).join('') + (more > 0 ? `... and ${more} more\n` : '')
}

function problemText({
  source,
  line,
  column,
  severity,
  message,
  excerpt,
  caret,
  hint,
}: ConfigProblem): string {
  const lines = [`${source}:${line}:${column}: ${severity === 'error' ? '' : `${severity}: `}${message}`]
  if (excerpt.trim() !== '') {
    const before = printable(excerpt.slice(0, caret))
    lines.push(`    ${before}${printable(excerpt.slice(caret))}`, `    ${before.replace(/[^\t]/g, ' ')}^`)
  }
  if (hint !== undefined) lines.push(hint)
  return lines.map((text) => `${text}\n`).join('')
}

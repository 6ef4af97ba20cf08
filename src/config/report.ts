/**
 * Problems for people: FILE:LINE:COLUMN first so that editors find it, then the
 * line of the file with the matter underlined, then what to do. Pure.
 *
 *   web.cfg:3:10: error: `memory' takes a number, not `512M'; ignored
 *       memory = "512M"
 *                ^~~~~~
 *     Sizes are plain numbers, in MiB unless the key says otherwise.
 */
import { type ConfigProblem, printable } from './problem.ts'

export interface ReportOptions {
  /** Colours for a terminal. */
  readonly colour?: boolean
}

const COLOURS: Readonly<Record<ConfigProblem['severity'], string>> = {
  error: '31',
  warning: '33',
  note: '36',
}

/** One problem, each line ended by a newline. */
export function printProblem(problem: ConfigProblem, { colour = false }: ReportOptions = {}): string {
  const { source, line, column, severity, message, hint, excerpt } = problem
  const paint = (code: string, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  const lines = [`${source}:${line}:${column}: ${paint(COLOURS[severity], `${severity}:`)} ${message}`]
  if (excerpt.trim() !== '') {
    lines.push(`    ${printable(excerpt)}`, `    ${paint(COLOURS[severity], underline(problem))}`)
  }
  if (hint !== undefined) lines.push(`  ${hint}`)
  return lines.map((text) => `${text}\n`).join('')
}

/** All problems, and how many there are of each kind. */
export function printProblems(problems: readonly ConfigProblem[], options: ReportOptions = {}): string {
  const kinds = (['error', 'warning', 'note'] as const).flatMap((severity) => {
    const count = problems.filter((problem) => problem.severity === severity).length
    return count === 0 ? [] : [`${count} ${severity}${count === 1 ? '' : 's'}`]
  })
  if (kinds.length === 0) return ''
  return `${problems.map((problem) => printProblem(problem, options)).join('\n')}\n${kinds.join(', ')}\n`
}

/** Blanks as wide as what stands before (tabs stay tabs), a caret, and waves under the rest of the matter on its line. */
function underline({ excerpt, caret, near }: ConfigProblem): string {
  const before = [...excerpt].slice(0, caret).join('')
  const blanks = printable(before).replace(/[^\t]/g, ' ')
  const rest = [...excerpt].length - caret
  const matter = [...(near.split('\n')[0] ?? '')].length
  return `${blanks}^${'~'.repeat(Math.max(0, Math.min(matter, rest) - 1))}`
}

/** The problems of a configuration as a command that stumbles over them says them: the first few, in colour on a terminal. */
import type { ConfigProblem } from '../config/problem.ts'
import { printProblem } from '../config/report.ts'

/** A file that is no configuration at all has a problem on every line; a few of them say enough. */
const SHOWN = 10

export function writeProblems(problems: readonly ConfigProblem[]): void {
  const errors = problems.filter(({ severity }) => severity === 'error')
  const shown = (errors.length > SHOWN ? errors : problems).slice(0, SHOWN)
  const more = problems.length - shown.length
  const colour = process.stderr.isTTY === true && process.env['NO_COLOR'] === undefined
  process.stderr.write(shown.map((problem) => printProblem(problem, { colour })).join(''))
  if (more > 0) process.stderr.write(`... and ${more} more\n`)
}

/**
 * How a command that failed says so: one sentence on standard error, a hint below it, xl's exit status; with
 * --json the same as an object on standard output. Never a stack, unless XT_DEBUG is set.
 */

import { XtError } from '../base/errors.ts'
import type { ConfigError } from '../config/errors.ts'
import { cliErrors } from './errors.ts'
import { writeProblems } from './write-problems.ts'

export interface FailedCommand {
  /** Id of the command, if one was found. */
  readonly command: string | undefined
  readonly json: boolean
}

/** Prints the error and answers the exit status. */
export function reportError(thrown: unknown, { command, json }: FailedCommand): number {
  const status = exitStatus(thrown)
  if (status !== undefined) return status
  const error = toXtError(thrown, command ?? '')
  if ('problems' in error) writeProblems((error as ConfigError).problems)
  else process.stderr.write(errorText(error))
  if (process.env['XT_DEBUG']) process.stderr.write(`${thrown instanceof Error ? thrown.stack : thrown}\n`)
  if (json) {
    const { code, message, hint } = error
    process.stdout.write(`${JSON.stringify({ error: { code, message, hint } }, null, 2)}\n`)
  }
  return error.exit
}

const errorText = ({ message, hint }: XtError): string =>
  `${message}\n${hint === undefined ? '' : `${hint}\n`}`

/** oclif ends some paths by throwing the status (--help). */
function exitStatus(thrown: unknown): number | undefined {
  const { code, oclif } = (thrown ?? {}) as { code?: unknown; oclif?: { exit?: unknown } }
  return code === 'EEXIT' && typeof oclif?.exit === 'number' ? oclif.exit : undefined
}

const isOclifs = (thrown: unknown): boolean =>
  thrown instanceof Error && typeof (thrown as { oclif?: unknown }).oclif === 'object'

/** oclif's words in one line, without its advice and with the option in front. */
function usageSentence(message: string): string {
  const [, option, what = ''] = /^Parsing (--\S+)\s+(.*)/.exec(message) ?? []
  if (option !== undefined) return `${option}: ${what.charAt(0).toLowerCase()}${what.slice(1)}`
  return (message.split('\n')[0] ?? message).replace(/^Flag (?=--)/, 'option ')
}

/** The words for which oclif's parser saw no use; none if something else was wrong. */
export function extraWords(thrown: unknown): readonly string[] {
  const isExtra = thrown instanceof Error && thrown.constructor.name === 'UnexpectedArgsError'
  return isExtra ? (thrown as unknown as { args: readonly string[] }).args : []
}

/** oclif's parser errors in xl's words; anything else that is no XtError is a fault of ours. */
export function toXtError(thrown: unknown, command: string): XtError {
  if (thrown instanceof XtError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const parse = thrown as {
    args?: unknown
    flags?: unknown
    parse?: { input: { args: Readonly<Record<string, { required?: boolean }>> } }
  }
  const kind = thrown instanceof Error ? thrown.constructor.name : ''
  if (kind === 'RequiredArgsError' && parse.args !== undefined) {
    // oclif names those that are missing.
    const required = Object.values(parse.parse?.input.args ?? {}).filter((arg) => arg.required)
    return cliErrors.XT_TOO_FEW_ARGUMENTS(command, required.length)
  }
  const extra = extraWords(thrown)
  if (extra.length > 0) return cliErrors.XT_TOO_MANY_ARGUMENTS(command, extra)
  if (kind === 'NonExistentFlagsError') {
    const [first = ''] = parse.flags as string[]
    return cliErrors.XT_UNKNOWN_OPTION(command, first.replace(/^-+/, ''))
  }
  // What oclif says of the value of an option is an error of another class, which does not name the parser.
  if (isOclifs(thrown)) return cliErrors.XT_USAGE(command, usageSentence(message))
  return cliErrors.XT_INTERNAL(message)
}

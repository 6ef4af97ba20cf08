/** The words after `xt config check` and `xt config show`: one file, and settings as `create` takes them. Pure. */
import { type CreateArguments, readCreateArguments } from './create-arguments.ts'
import { cliErrors } from './errors.ts'

/** Throws XT_TOO_FEW_ARGUMENTS or XT_TOO_MANY_ARGUMENTS. */
export function readConfigArguments(command: string, words: readonly string[]): CreateArguments {
  const files = words.filter((word) => !word.includes('='))
  if (files.length === 0) throw cliErrors.XT_TOO_FEW_ARGUMENTS(command, 1)
  if (files.length > 1) throw cliErrors.XT_TOO_MANY_ARGUMENTS(command, files.slice(1))
  return readCreateArguments(words)
}

/** The words after `xt create`: a file and settings, in the order in which xl allows them. Pure. */
import { cliErrors } from './errors.ts'

export interface CreateArguments {
  readonly file: string
  /** A file that is named but not read, as -f names another. */
  readonly passedOver?: string
  /** `key=value`, one a word. */
  readonly settings: readonly string[]
}

/** Words with "=" are settings, one other word is the file, unless -f (`defconfig`) names it. Throws XT_NO_CONFIG_FILE or XT_TOO_MANY_ARGUMENTS. */
export function readCreateArguments(words: readonly string[], defconfig?: string): CreateArguments {
  const settings = words.filter((word) => word.includes('='))
  const files = words.filter((word) => !word.includes('='))
  const [named, ...more] = files
  const file = defconfig ?? named
  if (more.length > 0) throw cliErrors.XT_TOO_MANY_ARGUMENTS('create', more)
  if (file === undefined) throw cliErrors.XT_NO_CONFIG_FILE()
  return { file, settings, ...(named !== undefined && named !== file ? { passedOver: named } : {}) }
}

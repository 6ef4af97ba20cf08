/**
 * What stands before and at the place of the command: xl's global options, and commands shortened to a prefix
 * that fits one of them only. Pure.
 */
import { cliErrors } from './errors.ts'

export interface CommandLine {
  /** Id of the command, undefined for bare `xt`. */
  readonly command: string | undefined
  readonly args: readonly string[]
}

/**
 * Takes the command line apart. `xt help X` and `xt X --help` are the same. Throws XT_NO_SUCH_COMMAND,
 * XT_AMBIGUOUS_COMMAND, XT_GLOBAL_OPTION or XT_NO_DRY_RUN.
 *
 * Of xl's global options only -N has a meaning here; -v, -f, -t and -T are accepted so that xl's users and
 * scripts need not change their habits.
 */
export function readCommandLine(argv: readonly string[], commands: readonly string[]): CommandLine {
  let dryRun = false
  let at = 0
  for (; argv[at]?.startsWith('-') === true; at++) {
    const option = argv[at]!
    if (option === '-h' || option === '--help') return { command: undefined, args: ['--help'] }
    if (!/^-[vfNtT]+$/.test(option)) throw cliErrors.XT_GLOBAL_OPTION(option)
    dryRun ||= option.includes('N')
  }
  const word = argv[at]
  const args = argv.slice(at + 1)
  if (word === undefined) return { command: undefined, args: [] }
  if (word === 'help') {
    const [topic] = args
    if (topic === undefined) return { command: undefined, args: ['--help'] }
    return { command: resolveVerb(topic, commands), args: ['--help'] }
  }
  const command = resolveVerb(word, commands)
  if (!dryRun) return { command, args }
  if (command !== 'create') throw cliErrors.XT_NO_DRY_RUN(command)
  return { command, args: [...args, '--dryrun'] }
}

/** The command with this name or, alone among all, with this beginning. */
function resolveVerb(word: string, commands: readonly string[]): string {
  if (commands.includes(word)) return word
  const fits = commands.filter((command) => command.startsWith(word))
  if (fits.length === 1) return fits[0]!
  if (fits.length > 1) throw cliErrors.XT_AMBIGUOUS_COMMAND(word, fits)
  throw cliErrors.XT_NO_SUCH_COMMAND(word, nearest(word, commands))
}

/** Commands at most two slips of the finger away, the nearest first. */
function nearest(word: string, commands: readonly string[]): string[] {
  const most = Math.min(2, Math.ceil(word.length / 3))
  return commands
    .map((command) => ({ command, slips: editDistance(word, command) }))
    .filter(({ slips }) => slips <= most)
    .sort((a, b) => a.slips - b.slips)
    .map(({ command }) => command)
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

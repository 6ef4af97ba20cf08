/**
 * What stands before and at the place of the command: xl's global options, and commands shortened to a prefix
 * that fits one of them only. Pure.
 *
 * A command's id is its verb (`list`), or a topic and a verb (`config:check`, written `xt config check`).
 */
import { xlCommands } from './as-xl.ts'
import { cliErrors } from './errors.ts'

export interface CommandLine {
  /** Id of the command; a topic if its verb is missing (`xt config`); undefined for bare `xt`. */
  readonly command: string | undefined
  readonly args: readonly string[]
}

/** Commands that -N tries without doing anything. */
export const DRY_RUNNERS: ReadonlySet<string> = new Set([
  'create',
  'config-update',
  'block-attach',
  'network-attach',
  'cd-insert',
  'cd-eject',
])

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
  const words = argv.slice(at)
  if (words.length === 0) return { command: undefined, args: [] }
  if (isHelp(words[0]!, commands)) {
    if (words.length === 1) return { command: undefined, args: ['--help'] }
    return { command: resolve(words.slice(1), commands).command, args: ['--help'] }
  }
  const { command, args } = resolve(words, commands)
  if (!dryRun) return { command, args }
  if (!DRY_RUNNERS.has(command)) throw cliErrors.XT_NO_DRY_RUN(command)
  return { command, args: [...args, '--dryrun'] }
}

/** `help`, which may be shortened as the others. */
const isHelp = (word: string, commands: readonly string[]): boolean =>
  word !== '' && 'help'.startsWith(word) && !commands.some((command) => command.startsWith(word))

/** True for `config` where there is a `config:check`. */
export const isTopic = (word: string, commands: readonly string[]): boolean =>
  commands.some((command) => command.startsWith(`${word}:`))

/** Takes the command from the front of the words: one, or two after a topic. */
function resolve(
  words: readonly string[],
  commands: readonly string[],
): { readonly command: string; readonly args: readonly string[] } {
  const [first, second] = words as readonly [string, ...string[]]
  const verb = resolveFirst(first, commands)
  const verbsOfTopic = commands.flatMap((command) =>
    command.startsWith(`${verb}:`) ? [command.slice(verb.length + 1)] : [],
  )
  if (verbsOfTopic.length === 0) return { command: verb, args: words.slice(1) }
  if (second === undefined || second.startsWith('-')) return { command: verb, args: words.slice(1) }
  return { command: `${verb}:${resolveVerb(second, verbsOfTopic, `${verb} `)}`, args: words.slice(2) }
}

/** What is ours, not xl's, takes no short form away from xl's verbs (`conf` is config-update). */
function resolveFirst(word: string, commands: readonly string[]): string {
  if (isTopic(word, commands)) return word
  const verbs = xlCommands(commands)
  if (verbs.some((verb) => verb.startsWith(word))) return resolveVerb(word, verbs)
  return resolveVerb(word, [...new Set(commands.map((command) => command.replace(/:.*/, '')))])
}

/** The verb with this name or, alone among all, with this beginning. `topic` goes before it in messages. */
function resolveVerb(word: string, verbs: readonly string[], topic = ''): string {
  if (verbs.includes(word)) return word
  const fits = verbs.filter((verb) => verb.startsWith(word))
  if (fits.length === 1) return fits[0]!
  const full = (verb: string) => `${topic}${verb}`
  if (fits.length > 1) throw cliErrors.XT_AMBIGUOUS_COMMAND(full(word), fits.map(full))
  throw cliErrors.XT_NO_SUCH_COMMAND(full(word), nearest(word, verbs).map(full))
}

/** Verbs at most two slips of the finger away, the nearest first. */
function nearest(word: string, verbs: readonly string[]): string[] {
  const most = Math.min(2, Math.ceil(word.length / 3))
  return verbs
    .map((verb) => ({ verb, slips: editDistance(word, verb) }))
    .filter(({ slips }) => slips <= most)
    .sort((a, b) => a.slips - b.slips)
    .map(({ verb }) => verb)
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

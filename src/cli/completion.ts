/**
 * The completion scripts for bash and zsh: commands, their options, names of running domains, .cfg files. Pure.
 *
 * Both shells read the same table of commands, one `case` that is written from the manifest; what differs is how
 * words come in and proposals go out. Names of domains are read from xt's run directory (domains.ts) by the shell
 * itself: no program is started while somebody types.
 */

export type Shell = 'bash' | 'zsh'

/** What oclif's manifest says of a command, as far as it matters here. */
export interface CommandFacts {
  readonly id: string
  readonly strict?: boolean
  readonly hidden?: boolean
  readonly args: Readonly<Record<string, { readonly options?: readonly string[] }>>
  readonly flags: Readonly<
    Record<
      string,
      {
        readonly name: string
        readonly char?: string
        readonly helpValue?: unknown
        readonly options?: readonly string[]
      }
    >
  >
}

/** Commands whose operands are configuration files. */
const TAKE_FILES = ['create', 'config-update', 'config:check', 'config:show']
/** Names of arguments that are names of domains. */
const DOMAIN_ARGUMENTS = ['domain', 'domid', 'name']

/** `namesDir`: the directory with one entry per name in use, unless XT_HOME says otherwise when the script runs. */
export function completionScript(shell: Shell, commands: readonly CommandFacts[], namesDir: string): string {
  const shown = commands.filter(({ hidden }) => hidden !== true).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const verbs = [...new Set(shown.map(({ id }) => id.replace(/:.*/, ''))), 'help'].sort()
  const topics = [...new Set(shown.flatMap(({ id }) => (id.includes(':') ? [id.replace(/:.*/, '')] : [])))]
  const parts = {
    VERBS: quote(verbs.join(' ')),
    NAMES: quote(namesDir),
    TOPICS: topics.map((topic) => `    ${topic}) verbs=${quote(verbsOf(topic, shown))} ;;`).join('\n'),
    COMMANDS: shown.map(commandRow).join('\n'),
    VALUES: shown.flatMap(valueRows).join('\n'),
  }
  const script = shell === 'bash' ? BASH : ZSH
  return script.replace(/@([A-Z]+)@/g, (_, name: keyof typeof parts) => parts[name])
}

const verbsOf = (topic: string, commands: readonly CommandFacts[]): string =>
  commands.flatMap(({ id }) => (id.startsWith(`${topic}:`) ? [id.slice(topic.length + 1)] : [])).join(' ')

/** `console) options='-r --read-only' operand='DOMAIN' many= ;;` */
function commandRow(command: CommandFacts): string {
  const options = Object.values(command.flags).flatMap((flag) => spellings(flag))
  const many = command.strict === false ? '1' : ''
  return `    ${quote(words(command.id))}) options=${quote([...options, '--help'].join(' '))} operand=${quote(operandOf(command))} many=${many} ;;`
}

/** What the first operand is: FILE, DOMAIN, the words themselves, or nothing that is known. */
function operandOf({ id, args, strict }: CommandFacts): string {
  if (TAKE_FILES.includes(id)) return 'FILE'
  const [first] = Object.entries(args)
  if (first === undefined) return strict === false ? 'DOMAIN' : ''
  const [name, { options }] = first
  return options?.join(' ') ?? (DOMAIN_ARGUMENTS.includes(name) ? 'DOMAIN' : '')
}

/** Options that take a file or one of some words: of `options`, or of a help value `ONE|OTHER`. */
function valueRows({ id, flags }: CommandFacts): string[] {
  return Object.values(flags).flatMap((flag) => {
    const { options, helpValue } = flag
    const help = typeof helpValue === 'string' ? helpValue : ''
    const value = options?.join(' ') ?? help.replaceAll('|', ' ')
    if (options === undefined && help !== 'FILE' && !help.includes('|')) return []
    const patterns = spellings(flag).map((option) => quote(`${words(id)} ${option}`))
    return [`    ${patterns.join('|')}) operand=${quote(value)} place=0 ;;`]
  })
}

const spellings = ({ name, char }: { readonly name: string; readonly char?: string }): string[] => [
  ...(char === undefined ? [] : [`-${char}`]),
  `--${name}`,
]
const words = (id: string): string => id.replace(':', ' ')
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** The table: from $verb (and the word before the cursor, $prev) to $options, $operand, $many. */
const TABLE = `  case $verb in
@COMMANDS@
  esac
  case "$verb $prev" in
@VALUES@
  esac`

const BASH = `# Completion of xt for bash: source <(xt completion bash)
_xt_domains() {
  local names=@NAMES@ path name
  [[ -n $XT_HOME ]] && names=$XT_HOME/run/names
  for path in "$names"/*/; do
    path=\${path%/} name=\${path##*/}
    [[ -d $path ]] || continue
    # A name is one path component there, with %XX for what cannot stand in one.
    printf -v name '%b' "\${name//%/\\\\x}"
    [[ $name == "$1"* ]] && printf -v name '%q' "$name" && COMPREPLY+=("$name")
  done
}

_xt() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local verb verbs options operand many at=1 place=0 i
  COMPREPLY=()
  while ((at < COMP_CWORD)) && [[ \${COMP_WORDS[at]} == -* ]]; do ((at++)); done
  [[ \${COMP_WORDS[at]} == help ]] && ((at++))
  if ((at >= COMP_CWORD)); then
    mapfile -t COMPREPLY < <(compgen -W @VERBS@ -- "$cur")
    return
  fi
  verb=\${COMP_WORDS[at]}
  case $verb in
@TOPICS@
  esac
  if [[ -n $verbs ]]; then
    ((at++))
    if ((at == COMP_CWORD)); then
      mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
      return
    fi
    verb+=" \${COMP_WORDS[at]}"
  fi
  for ((i = at + 1; i < COMP_CWORD; i++)); do [[ \${COMP_WORDS[i]} == -* ]] || ((place++)); done
${TABLE}
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif ((place > 0)) && [[ -z $many ]]; then
    return
  elif [[ $operand == DOMAIN ]]; then
    _xt_domains "$cur"
  elif [[ $operand == FILE ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -X '!*.cfg' -- "$cur"; compgen -d -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -W "$operand" -- "$cur")
  fi
}
complete -F _xt xt
`

const ZSH = `#compdef xt
# Completion of xt for zsh: source <(xt completion zsh), after compinit
_xt_domains() {
  local names=@NAMES@ found
  local -a all
  [[ -n $XT_HOME ]] && names=$XT_HOME/run/names
  for found in "$names"/*(N/:t); do
    # A name is one path component there, with %XX for what cannot stand in one.
    printf -v found '%b' "\${found//\\%/\\\\x}"
    all+=("$found")
  done
  compadd -- "\${all[@]}"
}

_xt() {
  local cur=\${words[CURRENT]} prev=\${words[CURRENT-1]}
  local verb verbs options operand many
  local -i at=2 place=0 i
  while ((at < CURRENT)) && [[ \${words[at]} == -* ]]; do ((at++)); done
  [[ \${words[at]} == help ]] && ((at++))
  if ((at >= CURRENT)); then
    verbs=@VERBS@
    compadd -- \${=verbs}
    return
  fi
  verb=\${words[at]}
  case $verb in
@TOPICS@
  esac
  if [[ -n $verbs ]]; then
    ((at++))
    if ((at == CURRENT)); then
      compadd -- \${=verbs}
      return
    fi
    verb+=" \${words[at]}"
  fi
  for ((i = at + 1; i < CURRENT; i++)); do [[ \${words[i]} == -* ]] || ((place++)); done
${TABLE}
  if [[ $cur == -* ]]; then
    compadd -- \${=options}
  elif ((place > 0)) && [[ -z $many ]]; then
    return 1
  elif [[ $operand == DOMAIN ]]; then
    _xt_domains
  elif [[ $operand == FILE ]]; then
    _files -g '*.cfg'
  else
    compadd -- \${=operand}
  fi
}
compdef _xt xt
`

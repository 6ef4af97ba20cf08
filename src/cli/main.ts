/**
 * From the words of a command line to the exit status: finds the command, runs it, reports errors.
 *
 * oclif parses options and prints help (from oclif.manifest.json); the choice of the command (prefixes, xl's global
 * options) and everything about errors is ours.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Options, PJSON } from '@oclif/core/interfaces'
import { settings } from '@oclif/core/settings'
import { hostWords, xtPaths } from '../engine/paths.ts'
import { ABSENT_VERBS, absentHelp, absentList, refuseAbsent } from './absent-verbs.ts'
import { isOurs, xlCommands } from './as-xl.ts'
import { type CommandFolder, commandIds, runCommand } from './commands.ts'
import { cliErrors } from './errors.ts'
import { extraWords, reportError } from './report.ts'
import { isTopic, readCommandLine } from './verbs.ts'

export interface Program {
  /** Folder of package.json. */
  readonly root: string
  /** Commands are taken from src, not from dist. */
  readonly fromSource?: boolean
  /** `xl`: has the commands of xl only. */
  readonly as?: 'xt' | 'xl'
}

/** Runs one command line; resolves with the exit status. */
export async function main(argv: readonly string[], program: Program): Promise<number> {
  settings.enableAutoTranspile = false
  process.stdout.on('error', endWithoutOutput)
  // Nobody can be told, and the status tells it all the same.
  process.stderr.on('error', () => {})
  const failed = { command: undefined as string | undefined, json: argv.includes('--json') }
  try {
    const folder = commandFolder(program)
    const known = commandIds(folder)
    const ids = [...known, ...ABSENT_VERBS.keys()]
    const { command, args } = readCommandLine(argv, program.as === 'xl' ? xlCommands(ids) : ids)
    failed.command = command?.replace(':', ' ')
    const absent = ABSENT_VERBS.get(command ?? '')
    if (absent !== undefined) {
      if (!asksForHelp(args)) await refuseAbsent(absent, args, xtPaths())
      process.stdout.write(absentHelp(absent))
      return 0
    }
    const isVerbMissing = command === undefined || isTopic(command, known)
    if (isVerbMissing || asksForHelp(args)) {
      const { Config } = await import('@oclif/core/config')
      const { Help } = await import('@oclif/core/help')
      await new Help(await Config.load(loadOptions(program))).showHelp(command === undefined ? [] : [command])
      if (command === undefined) process.stdout.write(absentList())
      // xl's status for a bare `xl`: something was forgotten.
      return isVerbMissing && !asksForHelp(args) ? 1 : 0
    }
    await run(folder, command, args, loadOptions(program))
    return typeof process.exitCode === 'number' ? process.exitCode : 0
  } catch (error) {
    return reportError(error, failed)
  }
}

/** XEN: xl's verbs pass over words that are too many; it is said here. Our own commands refuse them. */
async function run(
  folder: CommandFolder,
  command: string,
  args: readonly string[],
  options: LoadOptions,
): Promise<void> {
  try {
    await runCommand(folder, command, args, options)
  } catch (error) {
    const extra = extraWords(error)
    if (extra.length === 0 || isOurs(command)) throw error
    const rest = [...args]
    for (const word of extra.toReversed()) {
      process.stderr.write(`"${word}" is ignored: it is one word too many.\n`)
      rest.splice(rest.lastIndexOf(word), 1)
    }
    await runCommand(folder, command, rest, options)
  }
}

/**
 * Whoever read our output has gone (`xt list | head`): what is left to say has no reader, and the status is a shell's for
 * SIGPIPE. Or it cannot be written (`xt list >/full/disk`).
 */
function endWithoutOutput(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(141)
  process.exit(reportError(cliErrors.XT_OUTPUT(hostWords(error)), { command: undefined, json: false }))
}

/** -h and --help, unless they are the value of something after `--`. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end < 0 ? args : args.slice(0, end)).some((word) => word === '--help' || word === '-h')
}

const commandFolder = ({ root, fromSource }: Program): CommandFolder =>
  fromSource
    ? { path: join(root, 'src', 'commands'), extension: '.ts' }
    : { path: join(root, 'dist', 'commands'), extension: '.js' }

type LoadOptions = Options & { readonly pjson: PJSON }

/** How oclif describes the commands: by the manifest when built, by looking into src otherwise. */
export function loadOptions({ root, fromSource, as }: Program): LoadOptions {
  const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  // The name in help texts.
  if (as === 'xl') pjson.oclif.bin = 'xt-xl'
  if (!fromSource) return { root, pjson }
  const oclif = { ...pjson.oclif, commands: './src/commands' }
  return { root, pjson: { ...pjson, oclif }, ignoreManifest: true }
}

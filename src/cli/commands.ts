/**
 * The commands: a folder of modules, `list` and `config/check` (id `config:check`), each with an oclif command. One is run
 * without what oclif's Config finds out when it is loaded (the shell, the kind of Windows, all commands in the order of
 * the user's language, and that twice): it takes longer than most commands. Help and completion do load it.
 */
import { readdirSync } from 'node:fs'
import { join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Config } from '@oclif/core/config'
import type { Hook, Hooks, Options, PJSON } from '@oclif/core/interfaces'
import type { XtCommand } from './command.ts'

export interface CommandFolder {
  readonly path: string
  /** `.js`, or `.ts` in a checkout. */
  readonly extension: string
}

export function commandIds({ path, extension }: CommandFolder): readonly string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(extension) && !file.endsWith('.d.ts'))
    .map((file) => file.slice(0, -extension.length).replaceAll(sep, ':'))
    .sort()
}

/** Runs a command by its id; `options` are what a Config would be loaded with. */
export async function runCommand(
  { path, extension }: CommandFolder,
  id: string,
  args: readonly string[],
  options: Options & { readonly pjson: PJSON },
): Promise<void> {
  const file = `${join(path, ...id.split(':'))}${extension}`
  const module = (await import(pathToFileURL(file).href)) as { default: RunnableCommand }
  module.default.id = id
  await module.default.run([...args], new UnloadedConfig(options))
}

type RunnableCommand = Pick<typeof XtCommand, 'id'> & {
  run(args: string[], config: Config): Promise<unknown>
}

/** What a command and oclif's parser look at. */
class UnloadedConfig extends Config {
  constructor(options: Options & { readonly pjson: PJSON }) {
    super(options)
    const { root, pjson } = options
    this.root = root
    this.pjson = pjson
    this.name = pjson.name
    this.version = pjson.version
    this.bin = pjson.oclif.bin ?? pjson.name
  }

  /** There are none. */
  override async runHook<T extends keyof Hooks>(): Promise<Hook.Result<Hooks[T]['return']>> {
    return { successes: [], failures: [] }
  }
}

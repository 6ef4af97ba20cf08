/** What all commands share: the directories of this user, notes on standard error, JSON results. */
import { string } from '@oclif/core/args'
import { Command } from '@oclif/core/command'
import type { Config } from '@oclif/core/config'
import { xtPaths } from '../engine/paths.ts'

/** The argument of commands for one domain. (oclif would read a missing one from standard input.) */
export const domainArg = string({
  required: true,
  ignoreStdin: true,
  description: 'name or number of a domain',
})

export abstract class XtCommand extends Command {
  static override enableJsonFlag = true

  /** With the Config as it is: oclif's own would load it anew. */
  static override async run<T extends Command>(
    this: new (
      argv: string[],
      config: Config,
    ) => T,
    argv: string[],
    config: Config,
  ): Promise<ReturnType<T['run']>> {
    const command = new this(argv, config)
    return await (command as unknown as XtCommand)._run()
  }

  protected readonly paths = xtPaths()

  /** Called as `xl`: domain 0 is listed, as programs that drive xl expect. */
  protected get listsHost(): boolean {
    return this.config.bin === 'xt-xl'
  }

  /** A line for people, on standard error: results alone go to standard output. */
  protected note(line: string): void {
    process.stderr.write(`${line}\n`)
  }

  /** Errors are reported in one place (report.ts). */
  protected override async catch(error: Error): Promise<never> {
    throw error
  }
}

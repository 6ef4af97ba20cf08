/** What all commands share: the directories of this user, notes on standard error, JSON results. */
import { string } from '@oclif/core/args'
import { Command } from '@oclif/core/command'
import { xtPaths } from '../engine/paths.ts'

/** The argument of commands for one domain. (oclif would read a missing one from standard input.) */
export const domainArg = string({
  required: true,
  ignoreStdin: true,
  description: 'name or number of a domain',
})

export abstract class XtCommand extends Command {
  static override enableJsonFlag = true

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

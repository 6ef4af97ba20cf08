import { boolean, integer, string } from '@oclif/core/flags'
import { domainArg, XtCommand } from '../cli/command.ts'
import { runConsole } from '../cli/console-session.ts'
import { cliErrors } from '../cli/errors.ts'
import { parseEscapeKey } from '../cli/escape-key.ts'
import { loadXtSettings } from '../config/load.ts'
import { findDomain } from '../engine/domains.ts'

const CONSOLE_TYPES: readonly string[] = ['pv', 'serial', 'vuart']

export default class Console extends XtCommand {
  static override enableJsonFlag = false
  static override summary = "Attach to a domain's console; Ctrl-] leaves."
  static override description =
    `What the guest printed before is shown first. One console at a time can type; others may watch with -r.
Without a terminal on standard input, what is read there is typed as it is.`
  static override args = { domain: domainArg }
  static override flags = {
    'read-only': boolean({ char: 'r', summary: 'Only watch; Ctrl-C leaves, too.' }),
    escape: string({ char: 'e', helpValue: 'CHAR', summary: 'Key that leaves: one character or ^X.' }),
    'no-replay': boolean({ summary: 'Leave out what was printed before.' }),
    type: string({
      char: 't',
      // No `options`: xl's own words and status for a kind that it does not know.
      helpValue: CONSOLE_TYPES.join('|'),
      summary: 'Kind of console; a PVH guest has pv only.',
      default: 'pv',
    }),
    number: integer({
      char: 'n',
      helpValue: 'N',
      summary: 'Number of the console: there is 0 only.',
      default: 0,
    }),
  }
  static override examples = [
    '<%= config.bin %> console debian',
    '<%= config.bin %> console -r 3 | tee boot.log',
  ]

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Console)
    const escapeKey = parseEscapeKey(flags.escape ?? (await loadXtSettings()).escapeKey)
    if (!CONSOLE_TYPES.includes(flags.type)) throw cliErrors.XT_CONSOLE_TYPE(flags.type, CONSOLE_TYPES)
    const domain = await findDomain(this.paths, args.domain)
    if (flags.type !== 'pv') throw cliErrors.XT_NO_CONSOLE_OF_TYPE(domain.name, flags.type)
    if (flags.number !== 0) throw cliErrors.XT_NO_SUCH_CONSOLE(domain.name, flags.number)
    const mode = flags['read-only'] ? 'read' : 'write'
    await runConsole(domain, { mode, escapeKey, replay: !flags['no-replay'] })
  }
}

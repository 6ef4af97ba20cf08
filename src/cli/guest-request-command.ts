/** The command line that `xt shutdown` and `xt reboot` have in common. */
import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtError } from '../base/errors.ts'
import { findDomain, listDomains } from '../engine/domains.ts'
import { XtCommand } from './command.ts'
import { cliErrors } from './errors.ts'
import { type Asked, askGuests, type GuestRequest, type WaitFor } from './guest-requests.ts'
import { Waiting } from './waiting.ts'

/** oclif's parser looks at a command's own arguments only, not at inherited ones. */
export const guestArgs = {
  domain: string({ ignoreStdin: true, description: 'name or number of a domain' }),
}

export abstract class GuestRequestCommand extends XtCommand {
  static override flags = {
    all: boolean({ char: 'a', summary: 'All domains.' }),
    wait: boolean({ char: 'w', summary: 'Wait until they have; twice: until the domains are gone.' }),
    fallback: boolean({
      char: 'F',
      summary: "Accepted as xl's: a PVH guest has no ACPI button to fall back to.",
    }),
  }

  protected async ask(request: GuestRequest, domain: string | undefined, all: boolean): Promise<Asked[]> {
    if (domain === undefined && !all) throw cliErrors.XT_ALL_OR_DOMAIN()
    const entries =
      domain === undefined ? await listDomains(this.paths) : [await findDomain(this.paths, domain)]
    using waiting = new Waiting(process.stderr)
    const results = await askGuests(entries, request, waitFor(this.argv), waiting)
    const failed = results.filter(({ error }) => error !== undefined)
    const [first] = failed
    if (first !== undefined && results.length === 1) throw first.error
    for (const { name, error } of failed) {
      this.note(`${name}: ${error instanceof XtError ? error.message : String(error)}`)
    }
    if (first !== undefined) {
      throw cliErrors.XT_SOME_FAILED(
        request,
        failed.map(({ name }) => name),
      )
    }
    return [...results]
  }
}

/** How often -w was given (-w -w and -ww count twice), which oclif's parser does not tell. */
function waitFor(argv: readonly string[]): WaitFor {
  const end = argv.indexOf('--')
  const options = (end < 0 ? argv : argv.slice(0, end)).filter((word) => /^-(?:[A-Za-z]+|-wait)$/.test(word))
  const count = options.reduce((sum, word) => sum + (word === '--wait' ? 1 : word.split('w').length - 1), 0)
  return count === 0 ? 'none' : count === 1 ? 'ended' : 'gone'
}

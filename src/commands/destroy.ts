import { boolean } from '@oclif/core/flags'
import { domainArg, XtCommand } from '../cli/command.ts'
import { destroyDomain } from '../cli/destroy-domain.ts'
import { cliErrors } from '../cli/errors.ts'
import { namesHost } from '../cli/host-domain.ts'
import { findDomain } from '../engine/domains.ts'

export default class Destroy extends XtCommand {
  static override summary = 'Terminate a domain immediately, as if its power were cut.'
  static override description = 'A domain whose process does not answer is killed.'
  static override args = { domain: domainArg }
  static override flags = {
    force: boolean({ char: 'f', summary: "Accepted as xl's: there is no domain 0 to protect." }),
  }

  async run(): Promise<{ domid: number }> {
    const { args } = await this.parse(Destroy)
    if (namesHost(args.domain)) throw cliErrors.XT_HOST_DOMAIN()
    const domain = await findDomain(this.paths, args.domain)
    await destroyDomain(this.paths, domain, (line) => this.note(line))
    return { domid: domain.domid }
  }
}

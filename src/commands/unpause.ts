import { XtError } from '../base/errors.ts'
import { domainArg, XtCommand } from '../cli/command.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class Unpause extends XtCommand {
  static override summary = 'Unpause a paused domain.'
  static override args = { domain: domainArg }

  async run(): Promise<{ domid: number }> {
    const { args } = await this.parse(Unpause)
    const domain = await findDomain(this.paths, args.domain)
    using client = await connectDomain(domain)
    try {
      await client.unpause()
    } catch (error) {
      // XEN: no failure of the command.
      if (!(error instanceof XtError) || error.code !== 'XT_NOT_PAUSED') throw error
      this.note(error.message)
    }
    return { domid: domain.domid }
  }
}

import { domainArg, XtCommand } from '../cli/command.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class Unpause extends XtCommand {
  static override summary = 'Unpause a paused domain.'
  static override args = { domain: domainArg }

  async run(): Promise<{ domid: number }> {
    const { args } = await this.parse(Unpause)
    const domain = await findDomain(this.paths, args.domain)
    using client = await connectDomain(domain)
    await client.unpause()
    return { domid: domain.domid }
  }
}

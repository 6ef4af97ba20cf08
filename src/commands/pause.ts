import { domainArg, XtCommand } from '../cli/command.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class Pause extends XtCommand {
  static override summary = 'Pause execution of a domain.'
  static override args = { domain: domainArg }

  async run(): Promise<{ domid: number }> {
    const { args } = await this.parse(Pause)
    const domain = await findDomain(this.paths, args.domain)
    using client = await connectDomain(domain)
    await client.pause()
    return { domid: domain.domid }
  }
}

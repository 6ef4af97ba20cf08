import { string } from '@oclif/core/args'
import { domainArg, XtCommand } from '../cli/command.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class Rename extends XtCommand {
  static override summary = 'Rename a domain.'
  static override args = {
    domain: domainArg,
    'new-name': string({ required: true, ignoreStdin: true, description: 'its name from now on' }),
  }

  async run(): Promise<{ domid: number; name: string }> {
    const { args } = await this.parse(Rename)
    const domain = await findDomain(this.paths, args.domain)
    using client = await connectDomain(domain)
    await client.rename(args['new-name'])
    return { domid: domain.domid, name: args['new-name'] }
  }
}

import { string } from '@oclif/core/args'
import { domainArg, XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class Sysrq extends XtCommand {
  static override summary = 'Send a magic SysRq key to a domain.'
  static override args = {
    domain: domainArg,
    letter: string({ required: true, ignoreStdin: true, description: 'the key, e.g. h for help' }),
  }

  async run(): Promise<{ domid: number }> {
    const { args } = await this.parse(Sysrq)
    const domain = await findDomain(this.paths, args.domain)
    if (!/^[\x21-\x7e]$/.test(args.letter)) throw cliErrors.XT_INVALID_SYSRQ()
    using client = await connectDomain(domain)
    await client.sysrq(args.letter)
    return { domid: domain.domid }
  }
}

import { string } from '@oclif/core/args'
import { XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { HOST_NAME } from '../cli/host-domain.ts'
import { listDomains } from '../engine/domains.ts'

export default class Domid extends XtCommand {
  static override summary = 'Convert a domain name to a domain id.'
  static override args = {
    name: string({ required: true, ignoreStdin: true, description: 'name of a domain' }),
  }

  async run(): Promise<{ domid: number }> {
    const { args } = await this.parse(Domid)
    if (this.listsHost && args.name === HOST_NAME) {
      this.log('0')
      return { domid: 0 }
    }
    const found = (await listDomains(this.paths)).find(({ name }) => name === args.name)
    if (found === undefined) throw cliErrors.XT_NO_DOMID_FOR_NAME(args.name)
    this.log(String(found.domid))
    return { domid: found.domid }
  }
}

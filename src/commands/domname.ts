import { string } from '@oclif/core/args'
import { XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { HOST_NAME } from '../cli/host-domain.ts'
import { listDomains } from '../engine/domains.ts'

export default class Domname extends XtCommand {
  static override summary = 'Convert a domain id to a domain name.'
  static override args = {
    domid: string({ required: true, ignoreStdin: true, description: 'number of a domain' }),
  }

  async run(): Promise<{ name: string }> {
    const { args } = await this.parse(Domname)
    const [number, tail] = /^([0-9]+)(.*)$/s.exec(args.domid)?.slice(1) ?? []
    if (number === undefined) throw cliErrors.XT_INVALID_DOMID(args.domid)
    // XEN: what follows the number is ignored; we say so.
    if (tail !== '') this.note(`"${args.domid}" is taken for ${number}.`)
    if (this.listsHost && Number(number) === 0) {
      this.log(HOST_NAME)
      return { name: HOST_NAME }
    }
    const found = (await listDomains(this.paths)).find(({ domid }) => domid === Number(number))
    if (found === undefined) throw cliErrors.XT_NO_NAME_FOR_DOMID(args.domid)
    this.log(found.name)
    return { name: found.name }
  }
}

import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtError } from '../base/errors.ts'
import { domainArg, XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { Waiting } from '../cli/waiting.ts'
import { listDevicesOf } from '../engine/device-list.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class NetworkDetach extends XtCommand {
  static override summary = 'Take a network interface from a running domain.'
  static override description =
    `The guest is asked to let go of it. After ten seconds the command fails; the interface goes as soon as the guest lets
go of it. With --force it is taken away at once, as if a card were pulled.`
  static override args = {
    domain: domainArg,
    interface: string({
      required: true,
      ignoreStdin: true,
      description: 'number of the interface or its MAC address',
    }),
  }
  static override flags = {
    force: boolean({ char: 'f', summary: 'Do not ask the guest.' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(NetworkDetach)
    const domain = await findDomain(this.paths, args.domain)
    const present = await listDevicesOf(this.paths, domain.domid, 'vif')
    const asked = args.interface.toLowerCase()
    const device = present.find(({ id, mac }) => `${id}` === asked || mac.toLowerCase() === asked)
    if (device === undefined) throw cliErrors.XT_UNKNOWN_VIF(args.interface)
    using client = await connectDomain(domain)
    using waiting = new Waiting(process.stderr)
    using _ = waiting.for(`${domain.name} to let go of ${args.interface}`)
    try {
      await client.deviceDetach('vif', device.id, flags.force)
    } catch (error) {
      if (error instanceof XtError && error.code === 'XT_NO_SUCH_DEVICE')
        throw cliErrors.XT_UNKNOWN_VIF(args.interface)
      throw error
    }
    return { domid: domain.domid, id: device.id, mac: device.mac }
  }
}

import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { plainVif, printVif, readVif } from '../cli/vif-arguments.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class NetworkAttach extends XtCommand {
  static override summary = 'Add a network interface to a running domain.'
  static override description =
    `Options are those of vif=[...] in a configuration, each a word of its own; without a bridge the guest has user-mode
networking. Returns when the interface is offered to the guest, which takes it up in its own time.`
  static override usage = 'network-attach DOMAIN [KEY=VALUE ...]'
  static override strict = false
  static override flags = {
    dryrun: boolean({
      hidden: true,
      summary: "Only show the interface, as libxl's JSON (xt -N network-attach).",
    }),
  }
  static override examples = [
    '<%= config.bin %> network-attach web',
    '<%= config.bin %> network-attach web mac=00:16:3e:01:02:03 forward=8080:80',
  ]

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(NetworkAttach)
    const [name, ...words] = argv as string[]
    if (name === undefined) throw cliErrors.XT_TOO_FEW_ARGUMENTS('network-attach', 1)
    if (flags.dryrun) {
      const { vif, libxl } = readVif(words)
      if (!this.jsonEnabled()) process.stdout.write(printVif(libxl))
      return vif
    }
    const domain = await findDomain(this.paths, name)
    const { vif, libxl } = readVif(words)
    using client = await connectDomain(domain)
    const { id, spec } = await client.deviceAttach('vif', vif, plainVif(libxl))
    return { domid: domain.domid, id, mac: (spec as { readonly mac: string }).mac }
  }
}

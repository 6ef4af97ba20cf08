import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtError } from '../base/errors.ts'
import { domainArg, XtCommand } from '../cli/command.ts'
import { numberOf } from '../cli/disk-arguments.ts'
import { cliErrors } from '../cli/errors.ts'
import { Waiting } from '../cli/waiting.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class BlockDetach extends XtCommand {
  static override summary = 'Take a disk from a running domain.'
  static override description =
    `The guest is asked to let go of it, and does not while the disk is mounted. After ten seconds the command fails;
the disk goes as soon as the guest lets go of it. With --force it is taken away at once, as if a cable were pulled.`
  static override args = {
    domain: domainArg,
    vdev: string({ required: true, ignoreStdin: true, description: 'name of the disk (xvdb) or its number' }),
  }
  static override flags = {
    force: boolean({ char: 'f', summary: 'Do not ask the guest.' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(BlockDetach)
    const domain = await findDomain(this.paths, args.domain)
    using client = await connectDomain(domain)
    using waiting = new Waiting(process.stderr)
    using _ = waiting.for(`${domain.name} to let go of ${args.vdev}`)
    try {
      const { id, name } = await client.deviceDetach('vbd', numberOf(args.vdev), flags.force)
      return { domid: domain.domid, id, vdev: name }
    } catch (error) {
      const code = error instanceof XtError ? error.code : ''
      if (code === 'XT_NO_SUCH_DEVICE' || code === 'XT_DISK_NAME') throw cliErrors.XT_NOT_CONNECTED(args.vdev)
      throw error
    }
  }
}

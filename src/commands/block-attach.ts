import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { printDisk, readDisk } from '../cli/disk-arguments.ts'
import { cliErrors } from '../cli/errors.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class BlockAttach extends XtCommand {
  static override summary = 'Add a disk to a running domain.'
  static override description =
    `The disk is described as in disk=[...] of a configuration; several words are one description.
Returns when the disk is offered to the guest, which takes it up in its own time.`
  static override usage = 'block-attach DOMAIN DISKSPEC ...'
  static override strict = false
  static override flags = {
    dryrun: boolean({ hidden: true, summary: "Only show the disk, as libxl's JSON (xt -N block-attach)." }),
  }
  static override examples = [
    '<%= config.bin %> block-attach web /srv/data.img,raw,xvdb,w',
    '<%= config.bin %> block-attach web vdev=xvdc access=ro target=/srv/cd.iso',
  ]

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(BlockAttach)
    const [name, ...words] = argv as string[]
    if (name === undefined || words.length === 0) throw cliErrors.XT_TOO_FEW_ARGUMENTS('block-attach', 2)
    if (flags.dryrun) {
      const { disk, libxl } = readDisk(words)
      if (!this.jsonEnabled()) process.stdout.write(printDisk(libxl))
      return disk
    }
    const domain = await findDomain(this.paths, name)
    const { disk, libxl } = readDisk(words)
    using client = await connectDomain(domain)
    const { id } = await client.deviceAttach('vbd', disk, libxl)
    return { domid: domain.domid, id, vdev: disk.vdev }
  }
}

/** What `xt cd-insert` and `xt cd-eject` have in common. */
import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { diskSchema } from '../config/schema.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'
import { domainArg, XtCommand } from './command.ts'
import { numberOf, printDisk, readDisk } from './disk-arguments.ts'
import { cliErrors } from './errors.ts'

/** oclif's parser looks at a command's own arguments and flags only, not at inherited ones. */
export const driveArgs = {
  domain: domainArg,
  vdev: string({ required: true, ignoreStdin: true, description: 'name of the drive: xvdc' }),
}
export const driveFlags = {
  dryrun: boolean({ hidden: true, summary: "Only show the drive, as libxl's JSON (xt -N cd-insert)." }),
}

export abstract class DriveCommand extends XtCommand {
  /** Puts a disc into a drive; none takes out the one that is there. */
  protected async load(
    domain: string,
    vdev: string,
    target: string | undefined,
    dryrun: boolean,
  ): Promise<object> {
    // XEN: xl makes the same words of its arguments.
    const words = `vdev=${vdev},access=r,devtype=cdrom,target=${target ?? ''}`
    const { disk, libxl } = readDisk([words])
    if (dryrun) {
      if (!this.jsonEnabled()) process.stdout.write(printDisk(libxl))
      return disk
    }
    const entry = await findDomain(this.paths, domain)
    using client = await connectDomain(entry)
    const id = numberOf(vdev)
    const drive = (await client.deviceList('vbd')).find((device) => device.id === id)
    if (drive === undefined) throw cliErrors.XT_NOT_CONNECTED(vdev)
    const before = diskSchema.parse(drive.spec)
    if (!before.cdrom) throw cliErrors.XT_NO_DRIVE(vdev)
    await client.deviceChange('vbd', id, { ...disk, trusted: before.trusted }, libxl)
    return { domid: entry.domid, id, vdev: before.vdev, ...(target === undefined ? {} : { target }) }
  }
}

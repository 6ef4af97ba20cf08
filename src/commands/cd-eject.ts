import { DriveCommand, driveArgs, driveFlags } from '../cli/drive-command.ts'

export default class CdEject extends DriveCommand {
  static override summary = 'Take the CD out of a drive of a domain.'
  static override args = driveArgs
  static override flags = driveFlags

  async run(): Promise<object> {
    const { args, flags } = await this.parse(CdEject)
    return await this.load(args.domain, args.vdev, undefined, flags.dryrun)
  }
}

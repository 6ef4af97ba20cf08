import { existsSync } from 'node:fs'
import { string } from '@oclif/core/args'
import { DriveCommand, driveArgs, driveFlags } from '../cli/drive-command.ts'
import { cliErrors } from '../cli/errors.ts'

export default class CdInsert extends DriveCommand {
  static override summary = 'Put a CD into a drive of a domain.'
  static override args = {
    ...driveArgs,
    file: string({ required: true, ignoreStdin: true, description: 'image of the disc' }),
  }
  static override flags = driveFlags

  async run(): Promise<object> {
    const { args, flags } = await this.parse(CdInsert)
    const { domain, vdev, file } = args
    if (!/^[a-z0-9+]+:/.test(file) && !existsSync(file)) throw cliErrors.XT_CANNOT_STAT(file)
    return await this.load(domain, vdev, file, flags.dryrun)
  }
}

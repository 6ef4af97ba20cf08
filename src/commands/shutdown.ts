import { GuestRequestCommand, guestArgs } from '../cli/guest-request-command.ts'
import type { Asked } from '../cli/guest-requests.ts'

export default class Shutdown extends GuestRequestCommand {
  static override summary = 'Ask a guest to shut down.'
  static override args = guestArgs

  async run(): Promise<Asked[]> {
    const { args, flags } = await this.parse(Shutdown)
    return await this.ask('shutdown', args.domain, flags.all)
  }
}

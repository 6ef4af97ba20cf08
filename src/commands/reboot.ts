import { GuestRequestCommand, guestArgs } from '../cli/guest-request-command.ts'
import type { Asked } from '../cli/guest-requests.ts'

export default class Reboot extends GuestRequestCommand {
  static override summary = 'Ask a guest to reboot.'
  static override args = guestArgs

  async run(): Promise<Asked[]> {
    const { args, flags } = await this.parse(Reboot)
    return await this.ask('reboot', args.domain, flags.all)
  }
}

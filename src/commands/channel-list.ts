import { DeviceListCommand } from '../cli/device-list-command.ts'
import { channelTable } from '../cli/device-tables.ts'
import type { ListedDevice } from '../engine/device-list.ts'

export default class ChannelList extends DeviceListCommand {
  static override summary = 'List the channels of domains.'
  static override usage = 'channel-list DOMAIN ...'
  static override strict = false

  async run(): Promise<readonly ListedDevice[]> {
    const { argv } = await this.parse(ChannelList)
    return await this.show('channel-list', argv as string[], {
      // A channel is a console that says what it is connected to.
      type: 'console',
      only: ({ connection }) => connection !== '',
      table: channelTable,
      lenient: false,
    })
  }
}

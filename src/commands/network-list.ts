import { DeviceListCommand } from '../cli/device-list-command.ts'
import { networkTable } from '../cli/device-tables.ts'
import type { ListedDevice } from '../engine/device-list.ts'

export default class NetworkList extends DeviceListCommand {
  static override summary = 'List the virtual network interfaces of domains.'
  static override usage = 'network-list DOMAIN ...'
  static override strict = false

  async run(): Promise<readonly ListedDevice[]> {
    const { argv } = await this.parse(NetworkList)
    return await this.show('network-list', argv as string[], {
      type: 'vif',
      table: networkTable,
      lenient: false,
    })
  }
}

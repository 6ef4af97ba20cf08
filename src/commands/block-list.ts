import { DeviceListCommand } from '../cli/device-list-command.ts'
import { blockTable } from '../cli/device-tables.ts'
import type { ListedDevice } from '../engine/device-list.ts'

export default class BlockList extends DeviceListCommand {
  static override summary = 'List the virtual block devices of domains.'
  static override usage = 'block-list DOMAIN ...'
  static override strict = false

  async run(): Promise<readonly ListedDevice[]> {
    const { argv } = await this.parse(BlockList)
    // XEN: for this list an unknown domain is named and is no failure.
    return await this.show('block-list', argv as string[], { type: 'vbd', table: blockTable, lenient: true })
  }
}

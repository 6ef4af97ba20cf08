/** What the lists of PV devices have in common: domains as arguments, a header even where there is nothing. */
import { XtError } from '../base/errors.ts'
import { type ListedDevice, listDevicesOf } from '../engine/device-list.ts'
import { findDomain } from '../engine/domains.ts'
import { XtCommand } from './command.ts'
import { cliErrors } from './errors.ts'

interface DeviceKind {
  readonly type: string
  /** Those of the type that are listed; by default all. */
  readonly only?: (device: ListedDevice) => boolean
  readonly table: (devices: readonly ListedDevice[]) => string
  /** An unknown domain is named and passed over. */
  readonly lenient: boolean
}

export abstract class DeviceListCommand extends XtCommand {
  protected async show(
    command: string,
    domains: readonly string[],
    { type, only = () => true, table, lenient }: DeviceKind,
  ): Promise<readonly ListedDevice[]> {
    if (domains.length === 0) throw cliErrors.XT_TOO_FEW_ARGUMENTS(command, 1)
    const devices: ListedDevice[] = []
    let unknown: unknown
    for (const domain of domains) {
      try {
        const { domid } = await findDomain(this.paths, domain)
        devices.push(...(await listDevicesOf(this.paths, domid, type)).filter(only))
      } catch (error) {
        if (!(error instanceof XtError)) throw error
        if (!lenient) {
          unknown = error
          break
        }
        this.note(error.message)
      }
    }
    if (!this.jsonEnabled()) process.stdout.write(table(devices))
    if (unknown !== undefined) throw unknown
    return devices
  }
}

/** Which port an interface gets: a bridge or switch if it names one, user-mode networking if not. */
import { type Vif, vifName } from './device.ts'
import { vifErrors } from './errors.ts'
import { parseForwards } from './forward.ts'
import { openPasst } from './passt.ts'
import type { HostPort } from './port.ts'
import { openVde } from './vde.ts'

/** @throws XtError of vifErrors */
export async function openHostSide(vif: Vif, hostRunDir: string): Promise<HostPort> {
  const name = vifName(vif)
  const { bridge, script } = vif
  const unserved = (setting: string, instead: string) => vifErrors.XT_VIF_UNSUPPORTED(name, setting, instead)
  if (bridge?.startsWith('vde:'))
    return openVde({ name, place: bridge.slice(4), hostRunDir, devid: vif.devid })
  if (bridge !== undefined)
    throw unserved(`bridge=${bridge}`, 'Leave it out: the guest then has user-mode networking.')
  if (script !== undefined)
    throw unserved(`script=${script}`, 'Leave it out: the guest then has user-mode networking.')
  return openPasst({
    name,
    mac: vif.mac,
    mtu: vif.mtu,
    forwards: parseForwards(name, vif.forward ?? ''),
    hostLoopback: vif.hostLoopback,
  })
}

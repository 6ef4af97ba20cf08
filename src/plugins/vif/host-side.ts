/** Which port an interface gets: a bridge or switch if it names one, user-mode networking if not. */
import { storePlaces } from '../../xenstored/places.ts'
import { openBridged, scriptOf } from './bridge.ts'
import { type Vif, vifName } from './device.ts'
import { vifErrors } from './errors.ts'
import { parseForwards } from './forward.ts'
import { openPasst } from './passt.ts'
import type { HostPort } from './port.ts'
import { openVde } from './vde.ts'

export interface HostSideOptions {
  readonly vif: Vif
  readonly domid: number
  readonly hostRunDir: string
  /** Reads a node below the interface's backend; undefined if it is not there. */
  readonly readNode: (path: string) => Promise<string | undefined>
}

/** @throws XtError of vifErrors */
export async function openHostSide({ vif, domid, hostRunDir, readNode }: HostSideOptions): Promise<HostPort> {
  const name = vifName(vif)
  const { bridge, script, mac, mtu, devid, backend, forward, hostLoopback } = vif
  const isHere = backend === undefined || backend === '0' || backend === 'Domain-0'
  if (!isHere)
    throw vifErrors.XT_VIF_UNSUPPORTED(
      name,
      `backend=${backend}`,
      'Backends are in the domain process itself.',
    )
  const isPasst = bridge === undefined && script === undefined
  if (!isPasst && (forward !== undefined || hostLoopback))
    throw vifErrors.XT_VIF_UNSUPPORTED(
      name,
      forward === undefined ? 'hostloopback=1' : `forward=${forward}`,
      'It is for user-mode networking: leave bridge= and script= out.',
    )
  if (isPasst)
    return openPasst({ name, mac, mtu, forwards: parseForwards(name, forward ?? ''), hostLoopback })
  if (bridge?.startsWith('vde:')) return openVde({ name, place: bridge.slice(4), hostRunDir, devid })
  const storeSocket = storePlaces(hostRunDir).socketPath
  return openBridged({ name, vif, domid, script: scriptOf(vif), storeSocket, readNode })
}

/**
 * The PV devices of a domain as xenstore knows them: what `block-list`, `network-list` and `channel-list` show. libxl's own record
 * (/libxl/DOMID/device) says which there are; how far they came is in the frontend's nodes.
 */
import type { XenstoreClient } from '../xen/xenhost.ts'
import { absentIs, XenstoreError } from '../xen/xenstore/xenstore-error.ts'
import { connectXenstore } from '../xenstored/client.ts'
import { storePlaces } from '../xenstored/places.ts'
import type { XtPaths } from './paths.ts'

/** Numbers that are not there are -1, as in xl's tables. */
export interface ListedDevice {
  readonly id: number
  readonly backendDomid: number
  readonly frontendDomid: number
  /** XenbusState. */
  readonly state: number
  readonly eventChannel: number
  /** Of devices with one ring. */
  readonly ringRef: number
  /** Of network devices. */
  readonly txRingRef: number
  readonly rxRingRef: number
  readonly handle: number
  readonly mac: string
  /** Of channels: `pty` or `socket`, and the terminal. */
  readonly connection: string
  readonly tty: string
  readonly backendPath: string
}

/** The devices of one type (`vbd`, `vif`, `console`) by number. */
export async function listDevices(
  store: XenstoreClient,
  domid: number,
  type: string,
): Promise<readonly ListedDevice[]> {
  const root = `/libxl/${domid}/device/${type}`
  const ids = await store.directory(root).catch(absentIs<string[]>([]))
  const devices = ids.map(async (id): Promise<ListedDevice | undefined> => {
    const text = (path: string) => store.read(path).catch(absentIs(''))
    const backendPath = await text(`${root}/${id}/backend`)
    const frontend = await text(`${root}/${id}/frontend`)
    // Removed meanwhile.
    if (backendPath === '' || frontend === '') return undefined
    // GUEST: what stands in its nodes is its own affair; what is no number is shown as if absent.
    const number = async (path: string) => {
      const value = await text(path)
      return /^[0-9]{1,10}$/.test(value) ? Number(value) : -1
    }
    const port = type === 'console' ? 'port' : 'event-channel'
    const [backendDomid, state, eventChannel, ringRef, txRingRef, rxRingRef] = await Promise.all(
      ['backend-id', 'state', port, 'ring-ref', 'tx-ring-ref', 'rx-ring-ref'].map((name) =>
        number(`${frontend}/${name}`),
      ),
    )
    return {
      id: Number(id),
      backendDomid: backendDomid!,
      frontendDomid: domid,
      state: state!,
      eventChannel: eventChannel!,
      ringRef: ringRef!,
      txRingRef: txRingRef!,
      rxRingRef: rxRingRef!,
      handle: await number(`${backendPath}/handle`),
      mac: await text(`${backendPath}/mac`),
      connection: await text(`${backendPath}/connection`),
      tty: await text(`${frontend}/tty`),
      backendPath,
    }
  })
  return (await Promise.all(devices)).filter((device) => device !== undefined).sort((a, b) => a.id - b.id)
}

/** The same over a connection of its own; none where there is no store. */
export async function listDevicesOf(
  paths: XtPaths,
  domid: number,
  type: string,
): Promise<readonly ListedDevice[]> {
  try {
    const { socketPath } = storePlaces(paths.runDir)
    await using store = await connectXenstore({ socketPath })
    return await listDevices(store, domid, type)
  } catch (error) {
    if (error instanceof XenstoreError && error.code === 'ENOTCONN') return []
    throw error
  }
}

/** The tables of `xt block-list`, `network-list` and `channel-list`, byte for byte as xl prints them. Pure. */
import type { ListedDevice } from '../engine/device-list.ts'

const left = (value: number | string, width: number) => String(value).padEnd(width)
const right = (value: number | string, width: number) => String(value).padStart(width)
const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')

export function blockTable(devices: readonly ListedDevice[]): string {
  const header = `Vdev  BE  handle state evt-ch ring-ref ${left('BE-path', 30)}`
  // XEN: the column called handle holds the number of the domain.
  const row = ({
    id,
    backendDomid,
    frontendDomid,
    state,
    eventChannel,
    ringRef,
    backendPath,
  }: ListedDevice) =>
    [
      left(id, 5),
      left(backendDomid, 3),
      left(frontendDomid, 6),
      left(state, 5),
      left(eventChannel, 6),
      left(ringRef, 8),
      left(backendPath, 30),
    ].join(' ')
  return text([header, ...devices.map(row)])
}

export function networkTable(devices: readonly ListedDevice[]): string {
  const header = `Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref ${left('BE-path', 30)}`
  const row = (device: ListedDevice) =>
    // XEN: no blank between address and handle.
    `${left(device.id, 3)} ${left(device.backendDomid, 2)} ${left(device.mac, 17)}${right(device.handle, 6)} ${[
      right(device.state, 5),
      right(device.eventChannel, 6),
      `${right(device.txRingRef, 5)}/${left(device.rxRingRef, 11)}`,
      left(device.backendPath, 30),
    ].join(' ')}`
  return text([header, ...devices.map(row)])
}

export function channelTable(devices: readonly ListedDevice[]): string {
  const header = `Idx BE state evt-ch ring-ref connection ${' '.repeat(30)}`
  const row = (device: ListedDevice, index: number) =>
    [
      // XEN: not the number of the device, but its place in the list.
      left(index, 3),
      left(device.backendDomid, 2),
      left(device.state, 5),
      left(device.eventChannel, 6),
      left(device.ringRef, 8),
      left(device.connection, 10),
      device.connection === 'pty' ? `${left(device.tty, 30)} ` : '',
    ].join(' ')
  return text([header, ...devices.map(row)])
}

/** What a backend's author gives to the contract and the fuzzer, and one device of it on a memory host. */
import type { BackendDriver } from '../engine/plugin.ts'
import type { FrontendScript } from './frontends/frontend.ts'
import { type DevicePlace, GuestDevice } from './guest-device.ts'
import type { MemoryHost } from './memory-host.ts'
import { turns, until } from './wait.ts'

export interface BackendUnderTest<D> {
  readonly driver: BackendDriver<D>
  /** Parsed settings of the device. */
  readonly device: D
  readonly place: DevicePlace
  /** The other end. */
  readonly script: FrontendScript
  /** What the plugin does in its lifecycle call `pause`: settles when nothing moves any more. */
  pause?(): Promise<void>
  resume?(): Promise<void>
  /** Sentences about what the host side saw and must not have seen, e.g. a write outside the disk. */
  violations?(): readonly string[]
  /** Ends what belongs to the host side. */
  dispose?(): Promise<void>
}

/** Called for each memory host; what it makes is used by that host alone. */
export type MakeBackend<D> = (host: MemoryHost) => BackendUnderTest<D> | Promise<BackendUnderTest<D>>

/** Puts the device on the bus. */
export async function addDevice<D>(host: MemoryHost, backend: BackendUnderTest<D>): Promise<GuestDevice> {
  const { driver, device, place, script } = backend
  const { backendNodes = {} } = script
  const handle = await host.add(driver, device, place, { backendNodes })
  return new GuestDevice(host, handle, script, driver.connectOn)
}

/** Findings that are told in full; of more, only the number. */
const TOLD = 5

/** Everything that is wrong at this moment: faults, guest memory, the host side. Each is told once. */
export function findings(host: MemoryHost, backend: BackendUnderTest<unknown>): string[] {
  const all = [...host.faults.splice(0), ...host.guest.violations(), ...(backend.violations?.() ?? [])]
  const more = all.length > TOLD ? [`and ${all.length - TOLD} more`] : []
  return [...all.slice(0, TOLD), ...more]
}

/** What is still held after everything should have been given back; waits a while for it. */
export async function leaks(host: MemoryHost): Promise<string[]> {
  const isFree = () => {
    const { grants, ports, watches } = host.held()
    return grants === 0 && ports === 0 && watches === 0 && host.guest.pinnedRefs().length === 0
  }
  try {
    await until('everything is given back', isFree, host.limitMs)
    return []
  } catch {
    return [...host.xen.leftovers(), ...host.guest.pinnedRefs().map((ref) => `grant ${ref} is still pinned`)]
  }
}

/** After the last call of a backend nothing of the guest's memory may change. */
export async function touchedAfterwards(host: MemoryHost): Promise<string[]> {
  host.guest.sealAll()
  await turns(3)
  return host.guest.violations()
}

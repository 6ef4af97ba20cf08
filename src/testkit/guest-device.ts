/** A device as the guest's driver sees it: the nodes of both ends, the states, and connections of a script. */
import type { DevicePlace } from '../engine/plugin.ts'
import type { BusDeviceHandle } from '../xen/xenbus/backend-bus.ts'
import { parseXenbusState, type XenbusState, xenbusStateText } from '../xen/xenbus/state.ts'
import type { FrontendScript, ScriptedFrontend } from './frontends/frontend.ts'
import type { MemoryHost } from './memory-host.ts'
import { until } from './wait.ts'

export type ConnectOn = 'Initialised' | 'Connected'
export type { DevicePlace }

export class GuestDevice {
  readonly host: MemoryHost
  readonly handle: BusDeviceHandle
  readonly #script: FrontendScript
  readonly #readyState: ConnectOn

  constructor(host: MemoryHost, handle: BusDeviceHandle, script: FrontendScript, connectOn: ConnectOn) {
    this.host = host
    this.handle = handle
    this.#script = script
    this.#readyState = connectOn
  }

  /** Writes below the frontend's path with the guest's rights. */
  async write(nodes: Readonly<Record<string, string>>): Promise<void> {
    for (const [key, value] of Object.entries(nodes))
      await this.host.guest.xenstore.write(`${this.handle.frontendPath}/${key}`, value)
  }

  async setState(state: XenbusState): Promise<void> {
    await this.write({ state: xenbusStateText(state) })
  }

  async backendState(): Promise<XenbusState> {
    try {
      return parseXenbusState(await this.host.guest.xenstore.read(`${this.handle.backendPath}/state`))
    } catch {
      return 'Unknown'
    }
  }

  /** Waits until the backend is in one of these states; answers which. */
  async reached(...states: readonly XenbusState[]): Promise<XenbusState> {
    let state: XenbusState = 'Unknown'
    const isThere = async () => {
      state = await this.backendState()
      return states.includes(state)
    }
    await until(`${this.handle.backendPath} is ${states.join(' or ')}`, isThere, this.host.limitMs)
    return state
  }

  /** The backend's nodes, by key. */
  async backendNodes(): Promise<Record<string, string>> {
    const { xenstore } = this.host.guest
    const nodes: Record<string, string> = {}
    for (const key of await xenstore.directory(this.handle.backendPath))
      nodes[key] = await xenstore.read(`${this.handle.backendPath}/${key}`)
    return nodes
  }

  /** Rings and ports of a new connection; nothing is published. */
  open(): ScriptedFrontend {
    return this.#script.open(this.host.guest)
  }

  /** As a driver that is bound: from Initialising to Connected. Throws if the backend does not follow. */
  async connect(): Promise<ScriptedFrontend> {
    await this.setState('Initialising')
    await this.reached('InitWait')
    const frontend = this.open()
    await this.write(frontend.nodes)
    await this.setState(this.#readyState)
    const state = await this.reached('Connected', 'Closing', 'Closed')
    if (state !== 'Connected') throw new Error(`the backend went to ${state}: ${this.host.lines.at(-1)}`)
    await this.setState('Connected')
    await frontend.connected?.(await this.backendNodes())
    return frontend
  }

  /** As a driver that is unbound. */
  async close(): Promise<void> {
    await this.setState('Closing')
    await this.reached('Closing', 'Closed', 'Unknown')
    await this.setState('Closed')
    await this.reached('Closed', 'Unknown')
  }
}

/**
 * The bus on which PV backends sit: it writes the nodes every backend has, owns `state`, watches the frontend and
 * calls connect and disconnect. A backend never writes `state` (design: ARCHITECTURE.md, "The bus owns XenbusState").
 * libxl's own record of a device, under /libxl, is what its backend's nodes were at the start.
 *
 * A device's events are handled one after the other. Time-outs of removal are the caller's: `force` ends the wait.
 */
import type { Domid } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import type { XenHost, XenstoreClient, XenstoreTx, XenstoreWatch } from '../xenhost.ts'
import { busAction, parseXenbusState, type XenbusState, xenbusStateText } from './state.ts'

/** What the bus needs of a backend; plugins know it as `Backend`. */
export interface BusBackend extends AsyncDisposable {
  nodes?(): Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>
  connect(): Promise<void>
  disconnect(): Promise<void>
}

/** One device to be added. */
export interface BusDeviceSetup {
  /** xenstore type: 'vbd', 'vif', '9pfs'. */
  readonly type: string
  readonly id: number
  readonly connectOn: 'Initialised' | 'Connected'
  /** Nodes the toolstack writes for either end. */
  readonly frontend?: Readonly<Record<string, string>>
  readonly backend?: Readonly<Record<string, string>>
  create(xenhost: XenHost, frontendPath: string): BusBackend
}

export interface BackendBusOptions {
  readonly domid: Domid
  /** dom0's own connection. */
  readonly xenstore: XenstoreClient
  /** Makes the handle of one device. */
  readonly xenhost: (backendPath: string) => XenHost
  readonly log: Log
}

export interface BusDeviceHandle {
  readonly backendPath: string
  readonly frontendPath: string
  readonly state: XenbusState
  /** Writes nodes and the state anew, as it is: a connected frontend then reads the nodes again. */
  announce(nodes: Readonly<Record<string, string>>): Promise<void>
  /** Asks the frontend to close and removes both ends; `force` does not wait for it. */
  remove(options?: { force?: boolean }): Promise<void>
}

export class BackendBus {
  readonly #options: BackendBusOptions
  readonly #devices = new Map<string, BusDevice>()

  constructor(options: BackendBusOptions) {
    this.#options = options
  }

  /** Publishes a device and drives it from then on. */
  async add(setup: BusDeviceSetup): Promise<BusDeviceHandle> {
    const { domid } = this.#options
    const backendPath = `/local/domain/0/backend/${setup.type}/${domid}/${setup.id}`
    if (this.#devices.has(backendPath)) throw new RangeError(`${backendPath} is there already`)
    const device = new BusDevice(setup, backendPath, this.#options, () => this.#devices.delete(backendPath))
    this.#devices.set(backendPath, device)
    try {
      await device.publish()
    } catch (error) {
      await device.remove({ force: true }).catch(() => undefined)
      throw error
    }
    return device
  }

  /** The guest starts again from nothing: every device is as it was when it was added. */
  async reset(): Promise<void> {
    for (const device of this.#devices.values()) await device.reset()
  }

  /** Removes every device without waiting for its frontend. */
  async close(): Promise<void> {
    for (const device of [...this.#devices.values()]) await device.remove({ force: true })
  }
}

class BusDevice implements BusDeviceHandle {
  readonly backendPath: string
  readonly frontendPath: string
  readonly #libxlPath: string
  readonly #setup: BusDeviceSetup
  /** The toolstack's nodes for the backend, as they are now. */
  readonly #toolstack: Record<string, string>
  readonly #options: BackendBusOptions
  readonly #backend: BusBackend
  readonly #forget: () => void
  readonly #gone = Promise.withResolvers<void>()
  #state: XenbusState = 'Initialising'
  #online = true
  #connected = false
  #watch: XenstoreWatch | undefined
  #queue: Promise<void> = Promise.resolve()
  #removed = false

  constructor(setup: BusDeviceSetup, backendPath: string, options: BackendBusOptions, forget: () => void) {
    this.#setup = setup
    this.#toolstack = { ...setup.backend }
    this.#options = options
    this.#forget = forget
    this.backendPath = backendPath
    this.frontendPath = `/local/domain/${options.domid}/device/${setup.type}/${setup.id}`
    this.#libxlPath = `/libxl/${options.domid}/device/${setup.type}/${setup.id}`
    this.#backend = setup.create(options.xenhost(backendPath), this.frontendPath)
  }

  get state(): XenbusState {
    return this.#state
  }

  /** Writes both ends' nodes: the backend is in InitWait with all its features when the frontend appears. */
  async publish(): Promise<void> {
    const features = (await this.#backend.nodes?.()) ?? {}
    const { domid, xenstore } = this.#options
    this.#state = 'InitWait'
    const toolstack = {
      ...this.#toolstack,
      frontend: this.frontendPath,
      'frontend-id': String(domid),
      online: '1',
    }
    const backend = { ...toolstack, ...features, state: xenbusStateText('InitWait') }
    const libxl = { ...toolstack, backend: this.backendPath, state: xenbusStateText('Initialising') }
    const frontend = {
      ...this.#setup.frontend,
      backend: this.backendPath,
      'backend-id': '0',
      state: xenbusStateText('Initialising'),
    }
    await xenstore.transaction(async (tx) => {
      await writeTree(xenstore, this.backendPath, [`n0`, `r${domid}`], backend, tx)
      await writeTree(xenstore, this.frontendPath, [`n${domid}`, 'r0'], frontend, tx)
      await writeTree(xenstore, this.#libxlPath, ['n0'], libxl, tx)
    })
    this.#watch = await xenstore.watch(`${this.frontendPath}/state`, () => this.#enqueue(() => this.#look()))
  }

  async remove({ force = false }: { force?: boolean } = {}): Promise<void> {
    if (this.#removed) return
    if (!force) {
      await this.#turn(async () => {
        this.#online = false
        await this.#write('online', '0')
        const frontend = await this.#frontendState()
        // A frontend that is not there, or closed, says nothing any more; nor one that has not begun.
        const isIdle = frontend === 'Initialising' && this.#state === 'InitWait'
        if (isIdle || frontend === 'Unknown' || frontend === 'Closed') await this.#takeDown()
        else if (this.#state !== 'Closed') await this.#setState('Closing')
      })
      return this.#gone.promise
    }
    await this.#turn(() => this.#takeDown())
  }

  async announce(nodes: Readonly<Record<string, string>>): Promise<void> {
    await this.#turn(async () => {
      if (this.#removed) return
      const { xenstore } = this.#options
      for (const name of Object.keys(nodes)) if (name in this.#toolstack) this.#toolstack[name] = nodes[name]!
      const state = this.#state === 'Connected' ? { state: xenbusStateText('Connected') } : {}
      await xenstore.transaction(async (tx) => {
        for (const [name, value] of Object.entries({ ...nodes, ...state })) {
          await xenstore.write(`${this.backendPath}/${name}`, value, tx)
          if (name in this.#toolstack) await xenstore.write(`${this.#libxlPath}/${name}`, value, tx)
        }
      })
    })
  }

  async reset(): Promise<void> {
    await this.#turn(async () => {
      await this.#disconnect()
      await this.#watch?.[Symbol.asyncDispose]()
      await this.publish()
    })
  }

  /** Runs a step after those before it; its failure is the caller's. */
  #turn(step: () => Promise<void>): Promise<void> {
    const turn = this.#queue.then(step)
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  #enqueue(step: () => Promise<void>): void {
    this.#turn(step).catch((error: unknown) => {
      this.#options.log.error(
        `${this.backendPath}: ${error instanceof Error ? error.message : String(error)}`,
      )
    })
  }

  async #look(): Promise<void> {
    if (this.#removed) return
    const frontend = await this.#frontendState()
    switch (busAction(frontend, this.#state, this.#setup.connectOn)) {
      case 'nothing':
        break
      case 'wait':
        await this.#letGo()
        if (this.#online) await this.#setState('InitWait')
        break
      case 'connect':
        await this.#connect()
        break
      case 'close':
        await this.#letGo()
        await this.#setState('Closing')
        break
      case 'closed':
        await this.#letGo()
        await this.#setState('Closed')
        break
    }
    if (!this.#online && (frontend === 'Closed' || frontend === 'Unknown')) await this.#takeDown()
  }

  /** The frontend has left. A backend that fails at this must not keep the device from closing. */
  async #letGo(): Promise<void> {
    await this.#disconnect().catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error)
      this.#options.log.error(`${this.backendPath} cannot disconnect: ${why}`)
    })
  }

  async #connect(): Promise<void> {
    try {
      await this.#backend.connect()
    } catch (error) {
      // GUEST: a frontend that published nonsense gets a closed device.
      const why = error instanceof Error ? error.message : String(error)
      this.#options.log.warn(`${this.backendPath} cannot connect: ${why}`)
      await this.#setState('Closing')
      return
    }
    this.#connected = true
    await this.#setState('Connected')
  }

  async #disconnect(): Promise<void> {
    if (!this.#connected) return
    this.#connected = false
    await this.#backend.disconnect()
  }

  async #takeDown(): Promise<void> {
    if (this.#removed) return
    this.#removed = true
    this.#forget()
    const { xenstore } = this.#options
    const failures: unknown[] = []
    const attempt = async (step: () => Promise<unknown> | undefined) => {
      try {
        await step()
      } catch (error) {
        failures.push(error)
      }
    }
    await attempt(() => this.#disconnect())
    await attempt(async () => this.#backend[Symbol.asyncDispose]())
    await attempt(async () => this.#watch?.[Symbol.asyncDispose]())
    for (const path of [this.frontendPath, this.backendPath, this.#libxlPath])
      await attempt(() => removeTree(xenstore, path))
    this.#gone.resolve()
    if (failures.length > 0) throw failures[0]
  }

  async #frontendState(): Promise<XenbusState> {
    try {
      return parseXenbusState(await this.#options.xenstore.read(`${this.frontendPath}/state`))
    } catch {
      return 'Unknown'
    }
  }

  async #setState(state: XenbusState): Promise<void> {
    this.#state = state
    await this.#write('state', xenbusStateText(state))
  }

  #write(node: string, value: string): Promise<void> {
    return this.#options.xenstore.write(`${this.backendPath}/${node}`, value)
  }
}

async function writeTree(
  xenstore: XenstoreClient,
  path: string,
  perms: readonly string[],
  nodes: Readonly<Record<string, string>>,
  tx: XenstoreTx,
): Promise<void> {
  await xenstore.mkdir(path, tx)
  await xenstore.setPerms(path, perms, tx)
  for (const [name, value] of Object.entries(nodes)) {
    await xenstore.write(`${path}/${name}`, value, tx)
    await xenstore.setPerms(`${path}/${name}`, perms, tx)
  }
}

/** The path may have gone with its parent already. */
async function removeTree(xenstore: XenstoreClient, path: string): Promise<void> {
  await xenstore.rm(path).catch((error: unknown) => {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error
  })
}

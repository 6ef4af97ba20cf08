/**
 * A whole Xen in memory for tests of backends: the real grant table, event channels, store and bus of xt around one
 * guest that has no processor. No process, no file, no clock.
 *
 *   await using host = new MemoryHost()
 *   const device = await host.add(driver, settings, { id: 0 })
 *   host.guest ...                        // what a frontend would do
 *   host.faults                           // what must not have happened
 */
import { type Domid, domid } from '../base/brand.ts'
import { createLog, type Log } from '../base/log.ts'
import { MachineMemory, PAGE_SIZE, planMachine } from '../base/machine-memory.ts'
import type { BackendDriver, DevicePlace } from '../engine/plugin.ts'
import { Domain, type DomainSetup } from '../xen/domain.ts'
import { LocalXen, type LocalXenHost } from '../xen/local.ts'
import { BackendBus, type BusDeviceHandle } from '../xen/xenbus/backend-bus.ts'
import { domainTree, writeNodes } from '../xen/xenstore/domain-tree.ts'
import type { ValueType } from '../xen/xenstore/paths.ts'
import { judgedDriver } from './judged-driver.ts'
import { MemoryStore, type MemoryStoreClient } from './memory-store.ts'
import { ScriptedGuest } from './scripted-guest.ts'
import { LIMIT_MS } from './wait.ts'

const UUID = '00000000-1111-2222-3333-444444444401'
const GUEST_DOMID = 6
const RAM_BYTES = 1 << 20

export interface MemoryHostOptions {
  /** The guest's number; 6. */
  readonly domid?: number
  /** Guest RAM; 1 MiB. */
  readonly ramBytes?: number
  /** How long to wait at most for what a backend has to do; LIMIT_MS. */
  readonly limitMs?: number
}

/** How a device is judged while it lives on a memory host. */
export interface JudgeOptions {
  /** Nodes of a backend that xt's list of paths does not know (a device type of your own), with the type of each. */
  readonly backendNodes?: Readonly<Record<string, ValueType>>
}

export class MemoryHost implements AsyncDisposable {
  readonly domid: Domid
  readonly limitMs: number
  readonly domain: Domain
  readonly xen: LocalXen
  readonly store = new MemoryStore()
  /** dom0's connection to the store. */
  readonly dom0: MemoryStoreClient
  readonly guest: ScriptedGuest
  readonly bus: BackendBus
  /** For backends. */
  readonly log: Log
  /** Everything that was logged, `level: line`. */
  readonly lines: string[] = []
  /** What a backend must not do: exceptions that left it, nodes it may not write, errors of its teardown. */
  readonly faults: string[] = []
  readonly #hosts: LocalXenHost[] = []
  readonly #ready: Promise<void>

  constructor({
    domid: guest = GUEST_DOMID,
    ramBytes = RAM_BYTES,
    limitMs = LIMIT_MS,
  }: MemoryHostOptions = {}) {
    this.domid = domid(guest)
    this.limitMs = limitMs
    this.log = createLog((level, line) => void this.lines.push(`${level}: ${line}`))
    // The bus logs as errors what a backend threw where it may not throw.
    const busLog = createLog((level, line) => {
      this.lines.push(`${level}: ${line}`)
      if (level === 'error') this.faults.push(line)
    })
    this.domain = Domain.initialise(smallMachine(ramBytes), this.#setup())
    this.domain.latchLayout(true)
    this.dom0 = this.store.tool()
    this.xen = new LocalXen({ memory: this.domain.memory, defer: (task) => this.#defer(task) })
    this.bus = new BackendBus({
      domid: this.domid,
      xenstore: this.dom0,
      xenhost: (backendPath) => this.xenhost(backendPath),
      log: busLog,
    })
    const guestStore = this.store.guest(guest)
    this.guest = new ScriptedGuest(this.domain, guestStore)
    this.#ready = this.#writeTree()
  }

  /** A handle as a device of the bus gets it. */
  xenhost(backendPath: string): LocalXenHost {
    const host = this.xen.xenhost(backendPath, this.dom0)
    this.#hosts.push(host)
    return host
  }

  /** Adds a device to the bus. What it writes and throws is judged: see `faults`. */
  async add<D>(
    driver: BackendDriver<D>,
    device: D,
    place: DevicePlace,
    judge: JudgeOptions = {},
  ): Promise<BusDeviceHandle> {
    await this.#ready
    const judged = judgedDriver(driver, judge.backendNodes ?? {}, (fault) => void this.faults.push(fault))
    return await this.bus.add({
      type: driver.type,
      connectOn: driver.connectOn,
      ...place,
      create: (xenhost, frontendPath) => judged.create(xenhost, device, { domid: this.domid, frontendPath }),
    })
  }

  /** What backends hold at the moment, all together. */
  held(): { readonly grants: number; readonly ports: number; readonly watches: number } {
    const held = this.#hosts.map((host) => host.held())
    const sum = (key: 'grants' | 'ports' | 'watches') => held.reduce((all, each) => all + each[key], 0)
    return { grants: sum('grants'), ports: sum('ports'), watches: sum('watches') }
  }

  /** The guest starts again from nothing, as after a reboot within the process; devices are published anew. */
  async reset(): Promise<void> {
    Domain.initialise(this.domain.memory, this.#setup())
    this.domain.latchLayout(true)
    this.guest.reset()
    await this.bus.reset()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ready
    // What a backend throws at its end is a fault already.
    await this.bus.close().catch(() => undefined)
    this.xen[Symbol.dispose]()
    this.dom0.close()
  }

  #setup(): DomainSetup {
    return { domid: this.domid, uuid: new Uint8Array(16), vcpus: 1, tscKhz: 1_000_000, wallclockNs: 0n }
  }

  #defer(task: () => void): void {
    setImmediate(() => {
      try {
        task()
      } catch (error) {
        this.faults.push(`an exception left the backend: ${(error as Error)?.stack ?? String(error)}`)
      }
    })
  }

  async #writeTree(): Promise<void> {
    const nodes = domainTree({
      domid: this.domid,
      name: 'guest',
      uuid: UUID,
      vcpus: 1,
      maxVcpus: 1,
      staticMaxKiB: this.domain.memory.ramBytes / 1024,
      targetKiB: this.domain.memory.ramBytes / 1024,
      startTimeSeconds: 0,
      store: { port: 1, gfn: 1 },
      console: { port: 2, gfn: 2, tty: '' },
    })
    await this.dom0.transaction((tx) => writeNodes(this.dom0, nodes, tx))
  }
}

/** A machine without room for processors, so that a host is a few pages of real memory. */
function smallMachine(ramBytes: number): MachineMemory {
  const plan = planMachine(ramBytes, 1)
  if (plan === undefined) throw new RangeError(`${ramBytes} bytes of memory`)
  const ram = plan.vcpuAreas
  const totalBytes = Math.ceil((ram + ramBytes) / 65536) * 65536
  return MachineMemory.create({
    ...plan,
    vcpuStride: 0,
    ram,
    totalBytes: Math.max(totalBytes, ram + PAGE_SIZE),
  })
}

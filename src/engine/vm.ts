/**
 * One VM from nothing to gone: the order in which memory, plugins, boot and vCPUs come together, pause and resume,
 * the guest's end, and the release of everything. The only place that changes a VM's state.
 *
 * It knows neither files nor sockets nor xenstore; those are the domain's (domain.ts).
 */
import type { XtError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { MachineMemory, PAGE_SIZE, planMachine } from '../base/machine-memory.ts'
import { requestVcpu, VCPU_REQUEST } from '../base/vcpu-control.ts'
import type { CapabilityTable } from './context.ts'
import type { DeviceTable } from './devices.ts'
import type { CallName, DriverClock, DriverOptions, PluginDriver } from './driver.ts'
import { errors } from './errors.ts'
import type { Capabilities, Plugin, VcpuInfo, VcpuProfile, VcpuStartState, Vcpus, VmInfo } from './plugin.ts'
import { setupPlugins } from './setup.ts'
import { StateMachine, type VmState } from './vm-state.ts'

export interface VmOptions {
  readonly info: VmInfo
  readonly plugins: readonly Plugin[]
  /** By plugin name. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly log: Log
  readonly clock: DriverClock
  readonly driver?: Pick<DriverOptions, 'noticeMs' | 'limitMs'>
  /** Puts the guest into its memory; answers how the boot vCPU starts. */
  readonly boot: (memory: MachineMemory) => GuestStart | Promise<GuestStart>
  /** Gets what takes long, one line each. */
  readonly notice: (line: string) => void
  readonly onState: (state: VmState) => void
}

/** What building a guest leaves: how its boot vCPU starts, and the memory map that XENMEM_memory_map answers. */
export interface GuestStart extends VcpuStartState {
  readonly memoryMap?: Parameters<Capabilities['xenDomain']['setMemoryMap']>[0]
}

/** How a guest ended: sched.h SHUTDOWN_*. */
export interface GuestEnd {
  readonly reason: number
  readonly detail?: string
}

/** How long vCPU threads and calls under way may take to end before the rest is released without them. */
const PATIENCE_MS = 5000

export class Vm {
  /** Settles when the guest has ended by itself and its vCPUs are parked. */
  readonly ended: Promise<GuestEnd>
  /** Settles with the cause when the machine failed, once built, through a bug of ours or of a plugin. */
  readonly failed: Promise<unknown>
  readonly #options: VmOptions
  readonly #machine: StateMachine
  readonly #goingDown = new AbortController()
  readonly #reportEnd: (end: GuestEnd) => void
  readonly #reportFailure: (cause: unknown) => void
  #driver: PluginDriver | undefined
  #devices: DeviceTable | undefined
  #memory: MachineMemory | undefined
  #vcpus: Vcpus | undefined
  #xenDomain: Capabilities['xenDomain'] | undefined
  #started = false
  #pauseCount = 1
  #end: GuestEnd | undefined
  /** vCPU states as they were when the guest ended. */
  #lastVcpus: readonly VcpuInfo[] | undefined
  /** The operation that is under way: they run one after the other. */
  #queue: Promise<unknown> = Promise.resolve()
  #destroyed: Promise<readonly XtError[]> | undefined
  /** Rejects once the VM is gone: nobody waits for an operation that did not end. */
  readonly #gone = Promise.withResolvers<never>()

  constructor(options: VmOptions) {
    this.#options = options
    this.#machine = new StateMachine((state) => options.onState(state))
    const end = Promise.withResolvers<GuestEnd>()
    const failure = Promise.withResolvers<unknown>()
    this.ended = end.promise
    this.failed = failure.promise
    this.#reportEnd = end.resolve
    this.#reportFailure = failure.resolve
    this.#gone.promise.catch(() => {})
  }

  get state(): VmState {
    return this.#machine.state
  }

  /** Xen's pause count: the guest runs at 0. A VM is built with 1, which `start` takes away. */
  get pauseCount(): number {
    return this.#pauseCount
  }

  get end(): GuestEnd | undefined {
    return this.#end
  }

  /** Guest memory, once it exists; a core dump reads it. */
  get memory(): MachineMemory | undefined {
    return this.#memory
  }

  /** The devices that plugins serve, once they are set up. */
  get devices(): DeviceTable | undefined {
    return this.#devices
  }

  vcpus(): readonly VcpuInfo[] {
    return this.#lastVcpus ?? this.#vcpus?.info() ?? []
  }

  /** What the vCPUs counted so far. Throws XT_NOT_COUNTED. */
  cpuCounters(): readonly Readonly<Record<string, number>>[] {
    const counters = this.#vcpus?.counters?.()
    if (counters === undefined) throw errors.XT_NOT_COUNTED(this.#options.info.name)
    return counters
  }

  /** What the vCPUs' time goes into for some time. Throws XT_NOT_COUNTED. */
  async cpuProfile(ms: number): Promise<readonly VcpuProfile[]> {
    const profile = this.#vcpus?.profile?.(ms)
    if (profile === undefined) throw errors.XT_NOT_COUNTED(this.#options.info.name)
    return await Promise.race([profile, this.#gone.promise])
  }

  /** The emulated domain, once it is there; undefined where no Xen shim makes one. */
  get xenDomain(): Capabilities['xenDomain'] | undefined {
    return this.#xenDomain
  }

  /** Memory that the guest has and did not balloon out; undefined where no Xen shim counts it. */
  guestKiB(): number | undefined {
    const pages = this.#xenDomain?.physmap.currentPages()
    return pages === undefined ? undefined : (pages * PAGE_SIZE) / 1024
  }

  /** Interrupts a vCPU as a non-maskable interrupt does. Throws XT_NO_SUCH_VCPU. */
  nmi(vcpu: number): null {
    const { domid } = this.#options.info
    const { state } = this.vcpus()[vcpu] ?? { state: 'offline' }
    if (state === 'offline' || this.#memory === undefined) throw errors.XT_NO_SUCH_VCPU(domid, vcpu)
    requestVcpu(this.#memory, vcpu, VCPU_REQUEST.nmi)
    return null
  }

  openCalls(): readonly string[] {
    return this.#driver?.openCalls() ?? []
  }

  /** Builds the machine up to `paused`. Rejects with what went wrong; `destroy` is due then as well. */
  build(): Promise<void> {
    return this.#inTurn(async () => {
      const { info, plugins, settings, log, clock, notice, boot } = this.#options
      const { signal } = this.#goingDown
      const fail = (cause: XtError) => this.#reportFailure(cause)
      const shared = { vm: info, log, signal, fail }
      const set = await setupPlugins(plugins, settings, shared, { clock, notice, ...this.#options.driver })
      this.#driver = set.driver
      this.#devices = set.devices
      const memory = makeMemory(info)
      this.#memory = memory
      set.capabilities.set('guestMemory', memory)
      // ORDER: before attach, so that plugins find the pages which the builder makes (console, xenstore, ACPI).
      const start = await boot(memory)
      await this.#callAll('attach')
      const vcpus = cpuOf(set.capabilities, plugins)
      vcpus.setStart(start)
      this.#vcpus = vcpus
      this.#xenDomain = set.capabilities.get('xenDomain')
      this.#xenDomain?.setMemoryMap(start.memoryMap ?? [])
      this.#machine.to('paused')
    })
  }

  /** Every vCPU is parked and every plugin has paused when it settles. Counts, also after the guest has ended. */
  pause(): Promise<void> {
    return this.#inTurn(async () => {
      this.#mustBe('pause', ['paused', 'running', 'shutdown'])
      this.#pauseCount++
      if (this.state !== 'running') return
      await this.#vcpus!.pause()
      await this.#callAll('pause')
      // The guest may have ended on its last steps.
      if (this.state === 'running') this.#machine.to('paused')
    })
  }

  /** Takes one pause away; the guest runs (on) when none is left. */
  unpause(): Promise<void> {
    return this.#inTurn(async () => {
      this.#mustBe('unpause', ['paused', 'running', 'shutdown'])
      if (this.#pauseCount === 0) throw errors.XT_NOT_PAUSED(this.#options.info.name)
      this.#pauseCount--
      if (this.#pauseCount > 0 || this.state !== 'paused') return
      if (!this.#started) return this.#start()
      await this.#callAll('resume')
      this.#machine.to('running')
      await this.#vcpus!.resume()
    })
  }

  async #start(): Promise<void> {
    this.#started = true
    await this.#callAll('start')
    const vcpus = this.#vcpus!
    vcpus.ended.then(
      (end) => this.#onEnd(end),
      (cause: unknown) => this.#reportFailure(cause),
    )
    vcpus.failed.catch((cause: unknown) => this.#reportFailure(cause))
    this.#machine.to('running')
    await vcpus.start()
  }

  #onEnd(end: GuestEnd): void {
    if (this.state !== 'running' && this.state !== 'paused') return
    this.#lastVcpus = this.#vcpus!.info().map((vcpu) =>
      vcpu.state === 'running' || vcpu.state === 'blocked' ? { ...vcpu, state: 'parked' as const } : vcpu,
    )
    this.#end = end
    this.#machine.to('shutdown')
    // XEN: all vCPUs of a domain that shut down are paused; a dump must see memory that stands still.
    void this.#inTurn(async () => {
      if (this.state === 'shutdown') await this.#vcpus!.pause()
    })
      .catch((cause: unknown) => {
        if (this.state === 'shutdown') this.#reportFailure(cause)
      })
      .then(() => this.#reportEnd(end))
  }

  /**
   * Stops everything and releases it, whatever state the VM is in. Answers what failed on the way; never rejects.
   * A build that is under way is broken off.
   */
  destroy(): Promise<readonly XtError[]> {
    this.#destroyed ??= this.#destroy()
    return this.#destroyed
  }

  async #destroy(): Promise<readonly XtError[]> {
    this.#machine.to('dying')
    this.#goingDown.abort(errors.XT_BROKEN_OFF(this.#options.info.name))
    // ORDER: threads first; what plugins release must not be in use by a vCPU.
    await this.#stopVcpus()
    if (await this.#isLate(this.#queue)) {
      this.#options.log.error(`going on without an end of ${this.openCalls().join(', ') || 'the vCPUs'}`)
    }
    if (await this.#isLate(this.#devices?.idle() ?? Promise.resolve()))
      this.#options.log.error('going on without an end of a request for a device')
    const stopped = (await this.#driver?.call('stop')) ?? []
    const disposed = (await this.#driver?.dispose()) ?? []
    this.#memory = undefined
    this.#xenDomain = undefined
    this.#machine.to('gone')
    this.#gone.reject(this.#goingDown.signal.reason)
    return [...stopped, ...disposed]
  }

  async #stopVcpus(): Promise<void> {
    const vcpus = this.#vcpus
    if (vcpus === undefined) return
    this.#lastVcpus ??= vcpus.info()
    this.#vcpus = undefined
    const { log } = this.#options
    const stopped = vcpus.stop().catch((error: unknown) => log.error(`stopping the vCPUs: ${String(error)}`))
    if (await this.#isLate(stopped)) log.error('the vCPU threads did not stop in time')
  }

  /** Waits for something, but not longer than the way down may take. */
  async #isLate(awaited: Promise<unknown>): Promise<boolean> {
    const late = Promise.withResolvers<true>()
    const cancel = this.#options.clock.after(PATIENCE_MS, () => late.resolve(true))
    try {
      return await Promise.race([awaited.then(() => false), late.promise])
    } finally {
      cancel()
    }
  }

  /** Makes a call on all plugins; throws the first failure and logs the others. Once built, a failure ends the VM. */
  async #callAll(call: CallName): Promise<void> {
    this.#goingDown.signal.throwIfAborted()
    const [first, ...others] = await this.#driver!.call(call)
    for (const other of others) this.#options.log.error(other.message)
    if (first !== undefined) {
      if (this.state !== 'building') this.#reportFailure(first)
      throw first
    }
    this.#goingDown.signal.throwIfAborted()
  }

  /** Runs an operation after those before it, whether they succeeded or not. */
  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(operation)
    this.#queue = turn.catch(() => undefined)
    return this.state === 'gone' ? turn : Promise.race([turn, this.#gone.promise])
  }

  #mustBe(what: string, states: readonly VmState[]): void {
    if (!states.includes(this.state)) throw errors.XT_NOT_NOW(what, this.state)
  }
}

function makeMemory(info: VmInfo): MachineMemory {
  const layout = planMachine(info.memoryBytes, info.maxVcpus)
  const unusable = () => errors.XT_MEMORY_UNUSABLE(info.memoryBytes / 1048576, info.maxVcpus)
  if (layout === undefined) throw unusable()
  try {
    return MachineMemory.create(layout)
  } catch (error) {
    if (error instanceof RangeError) throw unusable()
    throw error
  }
}

function cpuOf(capabilities: CapabilityTable, plugins: readonly Plugin[]): Vcpus {
  const vcpus = capabilities.get('vcpus')
  if (vcpus !== undefined) return vcpus
  throw errors.XT_CAPABILITY_UNMET(
    'the machine',
    'vcpus',
    plugins.map(({ name }) => name),
  )
}

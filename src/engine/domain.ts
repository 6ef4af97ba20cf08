/**
 * One domain in its process: place in the registry, control socket, xenstore nodes, VM, and what happens when the
 * guest ends. What it needs from outside comes with `DomainHost`, so that tests run it in-process.
 */
import { join } from 'node:path'
import type { Domid } from '../base/brand.ts'
import { XtError } from '../base/errors.ts'
import type { Log, LogLevel } from '../base/log.ts'
import type { MachineMemory } from '../base/machine-memory.ts'
import type { Action, DomainConfig } from '../config/schema.ts'
import { actionFor, preservedName, stepsOf } from './actions.ts'
import { type Claim, claimDomain } from './claim.ts'
import type { DomainEvent, DomainInfo } from './control.ts'
import { ControlServer } from './control-server.ts'
import { dumpCore } from './coredump.ts'
import { type DeviceTable, type ServedDevice, withDevice } from './devices.ts'
import type { DriverClock } from './driver.ts'
import { errors } from './errors.ts'
import { type GuestFiles, readGuestFiles } from './guest-files.ts'
import {
  sendSysrq,
  setMaxMemory,
  setMemoryTarget,
  setOnlineVcpus,
  withIdentityOf,
  withMaxMemory,
  withMemory,
  withVcpus,
} from './guest-resources.ts'
import type { LaunchedDomain } from './launch.ts'
import { consoleSocket, domainLog, dumpDir, fileName, type XtPaths } from './paths.ts'
import type { Plugin } from './plugin.ts'
import type { ShowDisk } from './run-bootloader.ts'
import { enterStore, leaveStore, renameInStore, requestOfGuest, type StoreConnection } from './store-nodes.ts'
import type { TraceSessions } from './trace-session.ts'
import { type GuestEnd, type GuestStart, Vm } from './vm.ts'

export interface DomainHost {
  readonly paths: XtPaths
  readonly log: Log
  readonly clock: DriverClock
  /** Milliseconds since 1970. */
  now(): number
  openStore(): Promise<StoreConnection>
  loadPlugins(config: DomainConfig): Promise<readonly Plugin[]>
  /** A disk as a file, for the bootloader. */
  readonly showDisk: ShowDisk
  /** Puts the guest into memory. */
  buildGuest(memory: MachineMemory, config: DomainConfig, files: GuestFiles): GuestStart
  /** Starts another domain process for a configuration; settles when its guest runs, or is complete if `paused`. */
  restart(config: DomainConfig, paused: boolean): Promise<LaunchedDomain>
  /** Lets the guest of another domain process run. */
  unpause(domain: LaunchedDomain): Promise<void>
  /** One line of progress for the command that waits. */
  progress(line: string): void
}

export interface DomainOptions {
  readonly paused: boolean
  /** Whether on_* are carried out. */
  readonly monitor: boolean
  readonly pluginSettings: Readonly<Record<string, unknown>>
}

/** Two starts of one domain are at least this far apart, so that a guest that ends at once leaves the host some rest. */
const RESTART_MS = 2000
/** How long a guest that starts again waits for those who follow it. */
const FOLLOW_MS = 5000

export class Domain {
  /** Settles when nothing is left of the domain: true unless it could not be made or a fault of ours ended it. */
  readonly finished: Promise<boolean>
  readonly #host: DomainHost
  readonly #options: DomainOptions
  readonly #server: ControlServer
  readonly #finish: (clean: boolean) => void
  readonly #createdMs: number
  /** The log keeps the name that the domain was made with. */
  readonly #log: string
  readonly #gone = new AbortController()
  /** Aborted when the domain is to be no more, also while it is being made. */
  readonly #unwanted = new AbortController()
  #config: DomainConfig
  /** The largest target that the balloon ever had. */
  #mostKiB: number
  #created: Promise<Domid> | undefined
  #claim: Claim | undefined
  #store: StoreConnection | undefined
  #vm: Vm | undefined
  #trace: Promise<TraceSessions> | undefined
  #destroyAsked = false
  #fault: XtError | undefined
  #released: Promise<void> | undefined

  constructor(config: DomainConfig, options: DomainOptions, host: DomainHost) {
    this.#config = config
    this.#mostKiB = config.memoryKiB
    this.#options = options
    this.#host = host
    this.#createdMs = host.now()
    this.#log = domainLog(host.paths, config.name)
    const finished = Promise.withResolvers<boolean>()
    this.finished = finished.promise
    this.#finish = finished.resolve
    this.#server = new ControlServer({
      info: () => this.#info(),
      pause: () => this.#runningVm('pause').pause().then(nothing),
      unpause: () => this.#runningVm('unpause').unpause().then(nothing),
      shutdown: () => this.#askGuest('poweroff').then(nothing),
      reboot: () => this.#askGuest('reboot').then(nothing),
      destroy: () => this.destroy().then(nothing),
      rename: ({ name }) => this.#rename(name).then(nothing),
      setVcpus: ({ count }) => this.#setVcpus(count).then(nothing),
      setMemory: ({ kib }) => this.#setMemory(kib).then(nothing),
      setMaxMemory: ({ kib }) => this.#setMaxMemory(kib),
      sysrq: ({ key }) => this.#sysrq(key).then(nothing),
      nmi: ({ vcpu }) => this.#liveVm('interrupt the guest').nmi(vcpu),
      updateConfig: ({ config }) => this.#updateConfig(config),
      deviceAttach: ({ kind, spec, libxl }) =>
        this.#changeDevice('attach a device', kind, libxl, (devices) => devices.attach(kind, spec)),
      deviceDetach: ({ kind, id, force }) => this.#devices('detach a device').detach(kind, id, force),
      deviceChange: ({ kind, id, spec, libxl }) =>
        this.#changeDevice('change a device', kind, libxl, (devices) => devices.change(kind, id, spec)),
      deviceList: ({ kind }) => this.#devices('list devices').list(kind),
      cpuCounters: () => ({
        atMs: performance.now(),
        vcpus: this.#liveVm('read the counters of the CPU').cpuCounters(),
      }),
      cpuProfile: ({ ms }) => this.#liveVm('watch the CPU').cpuProfile(ms),
      traceOpen: async (wish) => (await this.#tracing()).open(wish),
      traceFetch: async ({ session }) => (await this.#tracing()).fetch(session),
      traceClose: async ({ session }) => (await this.#tracing()).close(session),
      dumpCore: ({ path }) => this.#dumpPaused(path).then(nothing),
    })
  }

  /** Builds the domain and, unless it is to stay paused, lets it run. If it rejects, nothing is left. */
  create(): Promise<Domid> {
    this.#created ??= this.#create().catch(async (error: unknown) => {
      await this.#release()
      void this.#close(false)
      throw this.#fault ?? error
    })
    return this.#created
  }

  /** Ends the domain at once, also one that is being made; settles when everything is released. */
  async destroy(): Promise<void> {
    await this.#goDown()
    // Not awaited: it waits for the answer to the request that led here.
    void this.#close(true)
  }

  /** A fault of ours or of a plugin: reports it, and ends the domain so that nothing is left. */
  async fail(cause: unknown): Promise<void> {
    const { log } = this.#host
    const why = cause instanceof Error ? cause : new Error(String(cause))
    log.error(errors.XT_VM_FAILED(why.message).message)
    this.#fault ??= why instanceof XtError ? why : errors.XT_VM_FAILED(why.message)
    if (why.stack !== undefined) log.error(why.stack)
    await this.#goDown()
    void this.#close(false)
  }

  async #goDown(): Promise<void> {
    this.#destroyAsked = true
    this.#unwanted.abort()
    await this.#vm?.destroy()
    // A creation that is broken off releases what it had.
    await this.#created?.catch(() => undefined)
    await this.#release()
  }

  async #create(): Promise<Domid> {
    const host = this.#host
    const config = this.#config
    if (config.type !== 'pvh') throw errors.XT_TYPE_UNSUPPORTED(config.type)
    // Slow things begin together; all must have ended before one that failed ends the rest.
    const entered = this.#enterRegistry()
    const [claim, files, plugins] = await allOf([
      entered,
      entered.then(({ dir }) => this.#readFiles(dir)),
      host.loadPlugins(config),
    ])
    this.#mustGoOn()
    this.#store = await host.openStore()
    await enterStore(this.#store, claim.domid, config, this.#createdMs, consoleSocket(claim.dir))
    this.#mustGoOn()
    const vm = this.#makeVm(claim, plugins, (memory) => host.buildGuest(memory, config, files))
    this.#vm = vm
    await vm.build()
    const devices = vm.devices!
    devices.onGone = (kind, id) => {
      this.#config = withDevice(this.#config, devices.place(kind), { id })
    }
    void vm.failed.then((cause) => this.fail(cause))
    void vm.ended.then((end) => this.#onEnd(end))
    if (!this.#options.paused) await vm.unpause()
    return claim.domid
  }

  async #enterRegistry(): Promise<Claim> {
    const { name, uuid } = this.#config
    const claim = await claimDomain(this.#host.paths, { name, uuid }, (path) => this.#server.listen(path))
    this.#claim = claim
    return claim
  }

  #readFiles(directory: string): Promise<GuestFiles> {
    const { clock, log, showDisk } = this.#host
    const notice = (line: string) => this.#notice(line)
    const { signal } = this.#unwanted
    return readGuestFiles(this.#config, { directory, showDisk, clock, log, notice, signal })
  }

  /** Something takes long: for the log, and for who waits. */
  #notice(line: string): void {
    this.#host.log.warn(line)
    this.#host.progress(line)
  }

  #makeVm(claim: Claim, plugins: readonly Plugin[], boot: (memory: MachineMemory) => GuestStart): Vm {
    const host = this.#host
    const config = this.#config
    return new Vm({
      info: {
        domid: claim.domid,
        name: config.name,
        uuid: config.uuid,
        vcpus: config.vcpus,
        maxVcpus: config.maxVcpus,
        // The guest is shown all that it may ever have, and balloons down to memoryKiB.
        memoryBytes: config.maxMemoryKiB * 1024,
        runDir: claim.dir,
        hostRunDir: host.paths.runDir,
        config,
      },
      plugins,
      settings: this.#options.pluginSettings,
      log: host.log,
      clock: host.clock,
      boot,
      notice: (line) => this.#notice(line),
      onState: (state) => this.#tell({ type: 'state', state }),
    })
  }

  /** Passes a line of the log on to those who asked for it. */
  tellLog(level: LogLevel, line: string): void {
    this.#tell({ type: 'log', level, line })
  }

  /** Lifecycle calls that have not ended. */
  openCalls(): readonly string[] {
    return this.#vm?.openCalls() ?? []
  }

  #tell(event: DomainEvent): void {
    this.#server.tell(event)
  }

  async #info(): Promise<DomainInfo> {
    const config = this.#config
    const vm = this.#vm
    const end = vm?.end
    return {
      domid: this.#claim?.domid ?? 0,
      name: config.name,
      uuid: config.uuid,
      pid: process.pid,
      state: vm?.state ?? 'building',
      pauseCount: vm?.pauseCount ?? 1,
      ...(end === undefined ? {} : { shutdownReason: end.reason }),
      ...(end?.detail === undefined ? {} : { detail: end.detail }),
      memoryMiB: this.#memoryMiB(),
      vcpus: vm?.vcpus() ?? [],
      createdMs: this.#createdMs,
      waitingFor: this.openCalls(),
      missingCalls: await this.#missingCalls(),
      log: this.#log,
      config,
    }
  }

  /** XEN: pages that the guest was shown but never given do not count: it has at most what it was once meant to have. */
  #memoryMiB(): number {
    // Rounded: some pages of RAM lie under shared_info and the grant table; Xen counts its special pages in their place.
    return Math.round(Math.min(this.#mostKiB, this.#vm?.guestKiB() ?? this.#mostKiB) / 1024)
  }

  async #missingCalls(): Promise<readonly string[]> {
    const domain = this.#vm?.xenDomain
    if (domain === undefined) return []
    // Loaded here: a domain that nobody asks about needs no names.
    const { missingCalls } = await import('../xen/hypercall/table.ts')
    return missingCalls(domain)
  }

  #runningVm(what: string): Vm {
    if (this.#vm === undefined) throw errors.XT_NOT_NOW(what, 'building')
    return this.#vm
  }

  /** The VM of a guest that has neither ended nor begun to. */
  #liveVm(wish: string): Vm {
    const vm = this.#runningVm(wish)
    if (vm.state !== 'running' && vm.state !== 'paused') throw errors.XT_NOT_NOW(wish, vm.state)
    return vm
  }

  /** Made when somebody looks for the first time. */
  async #tracing(): Promise<TraceSessions> {
    const { xenDomain } = this.#runningVm('trace the guest')
    if (xenDomain === undefined) throw errors.XT_NOT_NOW('trace the guest', this.#vm?.state ?? 'building')
    this.#trace ??= import('./trace-session.ts').then(({ TraceSessions }) => new TraceSessions(xenDomain))
    return this.#trace
  }

  async #askGuest(what: 'poweroff' | 'reboot'): Promise<void> {
    this.#liveVm(what === 'reboot' ? 'reboot the guest' : 'shut the guest down')
    await requestOfGuest(this.#store!, this.#claim!.domid, what, this.#host.clock, this.#gone.signal)
  }

  async #rename(name: string): Promise<void> {
    if (this.#claim === undefined || this.#store === undefined) throw errors.XT_NOT_NOW('rename', 'building')
    this.#claim.rename(name)
    this.#config = { ...this.#config, name }
    await renameInStore(this.#store, this.#claim.domid, this.#config.uuid, name)
    this.#tell({ type: 'renamed', name })
  }

  async #setVcpus(count: number): Promise<void> {
    this.#liveVm('set the vCPUs')
    await setOnlineVcpus(this.#store!, this.#claim!.domid, count, this.#config.maxVcpus)
    this.#config = withVcpus(this.#config, count)
  }

  async #setMemory(kib: number): Promise<void> {
    this.#liveVm('set the memory')
    await setMemoryTarget(this.#store!, this.#claim!.domid, this.#config.uuid, kib)
    this.#mostKiB = Math.max(this.#mostKiB, kib)
    this.#config = withMemory(this.#config, kib)
  }

  /** A machine's memory does not grow: more than it was made with is for its next start. */
  async #setMaxMemory(kib: number): Promise<{ machineKiB: number }> {
    const vm = this.#liveVm('set the maximum memory')
    await setMaxMemory(this.#store!, this.#claim!.domid, kib)
    this.#config = withMaxMemory(this.#config, kib)
    return { machineKiB: vm.memory!.ramBytes / 1024 }
  }

  async #sysrq(key: string): Promise<void> {
    this.#liveVm('send a sysrq')
    await sendSysrq(this.#store!, this.#claim!.domid, key)
  }

  /** The running guest keeps what it has. */
  #updateConfig(config: DomainConfig): null {
    this.#config = withIdentityOf(this.#config, config)
    return null
  }

  #devices(wish: string): DeviceTable {
    const { devices } = this.#liveVm(wish)
    return devices!
  }

  async #changeDevice(
    wish: string,
    kind: string,
    libxl: unknown,
    change: (devices: DeviceTable) => Promise<ServedDevice>,
  ): Promise<ServedDevice> {
    const devices = this.#devices(wish)
    const device = await change(devices)
    this.#config = withDevice(this.#config, devices.place(kind), { ...device, libxl })
    return device
  }

  async #dumpPaused(path: string): Promise<void> {
    const vm = this.#runningVm('dump core')
    await vm.pause()
    try {
      dumpCore(vm.memory!, path)
    } catch (error) {
      throw errors.XT_DUMP_FAILED(path, error instanceof Error ? error.message : String(error))
    } finally {
      await vm.unpause()
    }
  }

  /** What xl's monitor would say: into the log, and to those who asked. */
  #say(line: string, stays = false): void {
    this.#host.log.info(line)
    this.#tell({ type: 'monitor', line, stays })
  }

  async #onEnd({ reason, detail }: GuestEnd): Promise<void> {
    const { domid } = this.#claim!
    const action = this.#options.monitor ? actionFor(this.#config, reason) : 'preserve'
    this.#tell({ type: 'shutdown', reason, action, ...(detail === undefined ? {} : { detail }) })
    this.#say(`Domain ${domid} has shut down, reason code ${reason} 0x${reason.toString(16)}`)
    if (detail !== undefined) this.#say(detail)
    try {
      await this.#store!.domainShutdown(domid)
      if (!this.#options.monitor) return
      this.#say(`Action for shutdown reason code ${reason} is ${action}`)
      await this.#carryOut(action)
    } catch (error) {
      await this.fail(error)
    }
  }

  async #carryOut(action: Action): Promise<void> {
    const { log } = this.#host
    const { domid } = this.#claim!
    const steps = stepsOf(action)
    const config = this.#config
    if (action === 'soft-reset') log.error('a soft reset is not possible here: the domain is destroyed')
    if (steps.dump) this.#dump()
    if (steps.rename) {
      const kept = preservedName(config.name, new Date(this.#host.now()))
      this.#say(`Preserving domain ${domid} ${config.name} with suffix${kept.slice(config.name.length)}`)
      await this.#rename(kept)
    }
    if (!steps.keep) {
      this.#say(`Domain ${domid} needs to be cleaned up: destroying the domain`)
      await this.#release()
    }
    this.#say(`Done. ${steps.restart ? 'Rebooting' : 'Exiting'} now`, steps.keep && !steps.restart)
    if (steps.restart) await this.#restart(config)
    if (!steps.keep) await this.#close(true)
  }

  #dump(): void {
    const { paths } = this.#host
    const path = join(dumpDir(paths), fileName(this.#config.name))
    this.#say(`dumping core to ${path}`)
    try {
      dumpCore(this.#vm!.memory!, path)
    } catch (error) {
      this.#say(`core dump failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  async #restart(config: DomainConfig): Promise<void> {
    const { clock, log, now, restart, unpause } = this.#host
    const rest = RESTART_MS - (now() - this.#createdMs)
    if (rest > 0) await new Promise<void>((settle) => clock.after(rest, settle))
    if (this.#destroyAsked) return
    try {
      const isFollowed = this.#server.isFollowed
      const next = await restart(config, isFollowed)
      this.#tell({ type: 'restarted', domid: next.domid })
      if (!isFollowed) return
      const enough = new Promise<void>((settle) => clock.after(FOLLOW_MS, settle))
      await Promise.race([this.#server.followersLeft(), enough])
      await unpause(next)
    } catch (error) {
      log.error(`the domain could not be started again: ${String(error)}`)
    }
  }

  #release(): Promise<void> {
    this.#released ??= this.#releaseAll()
    return this.#released
  }

  async #releaseAll(): Promise<void> {
    const { log } = this.#host
    this.#gone.abort()
    for (const failure of (await this.#vm?.destroy()) ?? []) log.error(failure.message)
    const claim = this.#claim
    const store = this.#store
    if (claim !== undefined && store !== undefined) {
      try {
        await leaveStore(store, claim.domid)
        await store[Symbol.asyncDispose]()
      } catch (error) {
        log.error(`removing the domain from xenstore: ${String(error)}`)
      }
    }
    claim?.release()
  }

  async #close(clean: boolean): Promise<void> {
    await this.#server.close()
    this.#finish(clean)
  }

  #mustGoOn(): void {
    if (this.#destroyAsked) throw errors.XT_BROKEN_OFF(this.#config.name)
  }
}

const nothing = (): null => null

/** Like Promise.all, but settles only when all have; the first in order that failed decides. */
async function allOf<T extends readonly unknown[]>(
  promises: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const results = await Promise.allSettled(promises)
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as unknown as T
}

/**
 * The public plugin API (package export `xt/plugin`): what a plugin is, what the engine promises, and
 * `definePlugin`.
 *
 * Cold path = lifecycle calls (docs/lifecycle.md); hot path = tables filled during `setup` and frozen before
 * `start`. Builtin plugins use nothing else.
 */
import type { z } from 'zod'
import type { Domid } from '../base/brand.ts'
import type { Log } from '../base/log.ts'
import type { MachineMemory } from '../base/machine-memory.ts'
import type { XenHost, XenstoreClient } from '../xen/xenhost.ts'

export type { Domid, Gfn, Gref, Port } from '../base/brand.ts'
export type { Blame } from '../base/errors.ts'
export { XtError } from '../base/errors.ts'
export type { Log, LogLevel } from '../base/log.ts'
export type { GuestMemory, MachineMemory } from '../base/machine-memory.ts'
export type { CpuidResult, CreateVcpuExits, Vcpu, VcpuExits } from '../base/vcpu.ts'
export type { Channel, GrantCopy, Mapping, XenHost, XenstoreClient } from '../xen/xenhost.ts'

export const PLUGIN_API = 1

/** Keys of a guest's configuration, with the schema of each value: strings, and lists of strings and lists. */
export type Stanzas = Readonly<Record<string, z.ZodType>>

export interface Plugin<S extends z.ZodType = z.ZodType, X extends Stanzas = Stanzas> {
  readonly name: string
  readonly api: typeof PLUGIN_API
  /** Schema of this plugin's own settings; `.strict()`, defaults inside. */
  readonly config: S
  /**
   * Keys of a guest's configuration that are this plugin's own: `hello = ["id=0"]` is judged by `stanzas.hello`. A key
   * that the guest does not have is judged as undefined: say `.default([])` or `.optional()`.
   */
  readonly stanzas?: X
  readonly provides?: readonly (keyof Capabilities)[]
  readonly requires?: readonly (keyof Capabilities)[]
  setup(ctx: PluginContext<z.output<S>, { readonly [K in keyof X]: z.output<X[K]> }>): Lifecycle
}

export const definePlugin = <
  const S extends z.ZodType,
  const X extends Stanzas = Readonly<Record<never, z.ZodType>>,
>(
  plugin: Plugin<S, X>,
): Plugin<S, X> => plugin

/** A call is a function, or a function with its place among equals. */
export type Call =
  | (() => void | Promise<void>)
  | { readonly order: 'pre' | 'post'; run(): void | Promise<void> }

/** The calls of a plugin's life with one VM; see docs/lifecycle.md for what the engine guarantees at each. */
export interface Lifecycle {
  /** Guest RAM and xenstore exist; no vCPU exists. */
  attach?: Call
  /** Last call before vCPUs run. */
  start?: Call
  /** vCPUs stopped: finish or park requests. */
  pause?: Call
  /** Nobody runs until all have returned. */
  resume?: Call
  /** While paused: the guest starts again from nothing. */
  reset?: Call
  /** Always called if attach was, also after a failure; reverse order. */
  stop?: Call
}

export interface PluginContext<C, X = Readonly<Record<string, unknown>>> {
  readonly config: C
  /** The plugin's own keys of the guest's configuration, parsed and frozen. */
  readonly stanzas: X
  readonly log: Log
  readonly vm: VmInfo
  /** Aborted when the VM is going down. */
  readonly signal: AbortSignal
  /** Registers into the exit tables; only during setup. */
  readonly exits: ExitTables
  /** Disposed after stop, last in first out. */
  own<T extends Disposable | AsyncDisposable>(thing: T): T
  use<K extends keyof Capabilities>(name: K): Capabilities[K]
  provide<K extends keyof Capabilities>(name: K, value: Capabilities[K]): void
  /** Devices that come and go while the guest runs; only during setup. */
  readonly devices: DeviceKinds
  /** Ends the domain with a report: after a fault of this plugin's that the guest must not run on with. */
  fail(cause: unknown, device?: string): void
  /** Runs work for one device: notices and errors of the call that is open then name it ("vbd attach (xvda)"). */
  forDevice<T>(device: string, work: () => Promise<T>): Promise<T>
}

/** What every plugin may know about the VM. */
export interface VmInfo {
  readonly domid: Domid
  readonly name: string
  readonly uuid: string
  readonly vcpus: number
  readonly maxVcpus: number
  readonly memoryBytes: number
  /**
   * Directory (0700) of this domain's sockets, made before setup and removed with its contents after the last dispose.
   * Console n listens on `console-<n>.sock` there: plain bytes both ways (src/engine/paths.ts, consoleSocket).
   */
  readonly runDir: string
  /** xt's own run directory, where the store has its sockets (src/xenstored/places.ts). */
  readonly hostRunDir: string
  /** The whole parsed configuration, as plain JSON. */
  readonly config: Readonly<Record<string, unknown>>
}

/** Typed by declaration merging: a plugin package may add its own. */
export interface Capabilities {
  /** Guest memory (the engine provides it). */
  guestMemory: MachineMemory
  /** The frozen exit tables, for cpu plugins (the engine provides them, from attach on). */
  exits: FrozenExits
  /** The vCPUs (exactly one cpu plugin provides them). */
  vcpus: Vcpus
  /** Xen's services for PV backends (xen-shim). */
  pvBus: PvBus
  /** dom0's connection to the store (xen-shim). */
  xenstore: XenstoreClient
}

/** Entries a plugin takes in the vCPU exit tables. Claiming what another has claimed is an error naming both. */
export interface ExitClaims {
  readonly hypercalls?: readonly number[]
  /** Inclusive ranges. */
  readonly cpuid?: readonly Range[]
  readonly msrs?: readonly Range[]
  readonly ports?: readonly Range[]
  readonly mmio?: readonly Range[]
  /** URL of a module whose default export is a CreateVcpuExits (src/base/vcpu.ts); loaded in each vCPU's thread. */
  readonly module: string
  /** Handed to it; structured-cloneable. */
  readonly data?: unknown
}
export type Range = readonly [first: number, last: number]

export interface ExitTables {
  claim(claims: ExitClaims): void
}

/** The frozen tables as a CPU backend gets them. */
export interface FrozenExits {
  readonly parts: readonly (ExitClaims & { readonly plugin: string })[]
}

export interface VcpuStartState {
  readonly rip: number
  readonly rbx: number
}

/** The vCPUs of the VM: provided by the CPU plugin, driven by the engine. */
export interface Vcpus {
  /** Sets what the boot vCPU starts with (PVH entry: 32-bit protected mode, flat segments, paging off). */
  setStart(state: VcpuStartState): void
  /** Lets the boot vCPU run; the others wait to be started. */
  start(): Promise<void>
  /** Every vCPU is parked when it settles. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** While paused: all vCPUs as after power-on. */
  reset(): Promise<void>
  /** For good, at any time: also while start, pause or resume is under way. */
  stop(): Promise<void>
  /** How the guest ended: a shutdown reason (sched.h SHUTDOWN_*). `detail` for people, e.g. "triple fault at rip ...". */
  readonly ended: Promise<{ readonly reason: number; readonly detail?: string }>
  /** A vCPU thread failed through a bug of ours or of an exit plugin. */
  readonly failed: Promise<never>
  /** At any time. A vCPU that is offline or down is reported so also while it is parked. */
  info(): readonly VcpuInfo[]
  /** What each vCPU counted since the machine was made, for `xt debug cpu`; the names are the backend's own. */
  counters?(): readonly Readonly<Record<string, number>>[]
  /** Watches for some time what the vCPUs' time goes into; the guest is a little slower meanwhile. */
  profile?(ms: number): Promise<readonly VcpuProfile[]>
}
/** What the host time of one vCPU went into. */
export interface VcpuProfile {
  readonly index: number
  /** Shares by part of the backend, which add up to 1; empty if the vCPU was offline or parked. */
  readonly parts: Readonly<Record<string, number>>
  /** The functions that took most, largest first. */
  readonly functions: readonly { readonly name: string; readonly part: string; readonly share: number }[]
}
export interface VcpuInfo {
  readonly index: number
  readonly state: 'offline' | 'running' | 'blocked' | 'down' | 'parked'
  readonly ranNs: number
}

/** The bus on which PV backends sit. */
export interface PvBus {
  /** Adds a device: writes its nodes in xenstore, then drives the backend by the frontend's state. */
  add<D>(driver: BackendDriver<D>, device: D, place: DevicePlace): Promise<BusDevice>
  /** A xenhost for one device, without the xenbus dance (the primary console has none). */
  xenhost(backendPath: string): XenHost
  /** Starts a thread for rings and slow work of the host, for one device or several. Dispose it before the bus goes. */
  thread<S extends ThreadService>(options: ThreadOptions): Promise<BackendThread<S>>
}
export interface ThreadOptions {
  /** In messages: the device, or what its devices have in common. */
  readonly name: string
  /** URL of a module whose default export is a CreateThreadService. */
  readonly module: string
  /** Handed to it; structured-cloneable. */
  readonly data?: unknown
}
/** Makes what lives in a thread; runs there. */
export type CreateThreadService<S extends ThreadService = ThreadService> = (
  thread: ThreadContext,
  data: never,
) => S | Promise<S>
/** Functions that the main thread may call. Arguments and answers are structured-cloneable. */
// biome-ignore lint/suspicious/noExplicitAny: each service has its own functions
export type ThreadService = Readonly<Record<string, (...args: any[]) => unknown>>
export interface ThreadContext {
  readonly log: Log
  /** A handle for one device as on the main thread, but without xenstore: that stays there. */
  xenhost(backendPath: string): Omit<XenHost, 'xenstore'>
  /** Runs a task after other events of this thread had their turn. */
  defer(task: () => void): void
}
export interface BackendThread<S extends ThreadService> extends AsyncDisposable {
  /** Calls a function of the service. Rejects with what it throws, or when the thread ends before it has answered. */
  call<K extends keyof S & string>(name: K, ...args: Parameters<S[K]>): Promise<Awaited<ReturnType<S[K]>>>
  /** Rejects when something in the thread was not caught; its devices are stuck then: see PluginContext.fail. */
  readonly failed: Promise<never>
}
export interface DevicePlace {
  /** Number in the paths: backend/<type>/<domid>/<id>. */
  readonly id: number
  /** Extra nodes the toolstack writes before the frontend is told. */
  readonly frontend?: Readonly<Record<string, string>>
  readonly backend?: Readonly<Record<string, string>>
}
export interface BusDevice {
  readonly backendPath: string
  readonly frontendPath: string
  /** Writes nodes of the backend and its state anew, as it is, so that a connected frontend looks at them (a new size). */
  announce(nodes: Readonly<Record<string, string>>): Promise<void>
  /** Resolves when both ends are closed and the nodes are gone. */
  remove(options?: { force?: boolean }): Promise<void>
}

export interface DeviceKinds {
  /** Announces that this plugin serves a kind of device. Two plugins that serve one kind are an error naming both. */
  serve<S>(kind: DeviceKind<S>): ServedDevices<S>
}
/** One kind of device; `S` is one device as the configuration has it (an xl stanza, parsed). */
export interface DeviceKind<S> {
  /** The word by which commands ask for it, and its type in xenstore: 'vbd', 'vif', '9pfs'. */
  readonly kind: string
  readonly spec: z.ZodType<S>
  /**
   * The list of the domain's configuration that its devices are in: kept true, so that a restart has them too. A guest
   * that has `channels`, `vfbs` or `vkbs` is made only where a plugin says here that it serves them.
   */
  readonly listedIn?: 'disks' | 'vifs' | 'p9' | 'channels' | 'vfbs' | 'vkbs'
  /** Number of a device, unique in its kind: the one in xenstore's paths. */
  id(spec: S): number
  /** What people call it, in messages and notices: 'xvda'. */
  name(spec: S): string
  /** Completes a request before it is parsed, for example with the first number that is not taken. */
  complete?(request: unknown, taken: readonly number[]): unknown
  /** Makes a device, while the guest is built, runs or is paused. Settles when its nodes are there. */
  attach(spec: S): Promise<AttachedDevice<S>>
}
export interface AttachedDevice<S = unknown> {
  /** Settles when the device is gone; `force` does not wait for the guest. May be called again, with force. */
  remove(options: { readonly force: boolean }): Promise<void>
  /** Makes it another device of the same number (a drive with another disc). Absent: it cannot be changed. */
  change?(spec: S): Promise<void>
}
export interface ServedDevices<S> {
  /** Attaches a device that the domain has from the start; for the plugin's own `attach`. */
  attach(spec: S): Promise<void>
}

export interface Otherend {
  readonly domid: Domid
  readonly frontendPath: string
}

/** One kind of PV device. */
export interface BackendDriver<D> {
  /** xenstore type: 'vbd', 'vif', '9pfs'. */
  readonly type: string
  /** Schema of one xl stanza. */
  readonly device: z.ZodType<D>
  /** Frontend state at which `connect` is called: vbd and console Initialised, vif Connected. */
  readonly connectOn: 'Initialised' | 'Connected'
  create(xenhost: XenHost, device: D, otherend: Otherend): Backend
}
/** A backend never writes `state`: the bus owns it. */
export interface Backend extends AsyncDisposable {
  /** Nodes to publish before InitWait (features, sizes). */
  nodes?(): Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>
  connect(): Promise<void>
  disconnect(): Promise<void>
}

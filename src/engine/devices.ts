/**
 * The devices of a domain that plugins serve (PluginContext.devices): attached at the start, added, taken away and
 * changed while the guest runs. It knows who serves which kind, which devices there are, and names the guilty.
 *
 * Requests for one kind are done one after the other; removal waits for the guest in the background, so that a guest
 * which does not let go of one device holds up no other.
 */
import { issueSentence } from '../base/issue-words.ts'
import type { Log } from '../base/log.ts'
import type { DomainConfig } from '../config/schema.ts'
import { type Activity, attribute } from './context.ts'
import type { DriverClock } from './driver.ts'
import { errors } from './errors.ts'
import type { AttachedDevice, DeviceKind, DeviceKinds, ServedDevices } from './plugin.ts'

/** One device, as commands see it. */
export interface ServedDevice {
  readonly id: number
  /** What people call it: `xvda`. */
  readonly name: string
  /** What it was attached or last changed with. */
  readonly spec: unknown
}

/** libxl waits as long for the guest to let go of a device. */
const DETACH_MS = 10_000

export class DeviceTable {
  /** Is told when a device is gone that a command wanted removed, however late. */
  onGone: (kind: string, id: number) => void = () => {}
  readonly #kinds = new Map<string, KindOfDevices>()
  readonly #options: TableOptions

  constructor(options: TableOptions) {
    this.#options = options
  }

  /** `ctx.devices` of one plugin. */
  forPlugin(plugin: string, activity: Activity): DeviceKinds {
    return {
      serve: <S>(kind: DeviceKind<S>): ServedDevices<S> => {
        const other = this.#kinds.get(kind.kind)
        if (other !== undefined) throw errors.XT_DEVICE_KIND_TWICE(kind.kind, other.plugin, plugin)
        const devices = new KindOfDevices(kind as DeviceKind<unknown>, plugin, activity, {
          ...this.#options,
          onGone: (id) => this.onGone(kind.kind, id),
        })
        this.#kinds.set(kind.kind, devices)
        return {
          attach: async (spec) => {
            await devices.attach(spec)
          },
        }
      },
    }
  }

  /** Throws XT_DEVICE_NOT_SERVED for devices of the configuration that no plugin serves. To be asked when all are set up. */
  refuseUnserved(config: Partial<Pick<DomainConfig, keyof typeof FOR_OTHERS>>): void {
    const served = [...this.#kinds.values()].map(({ kind }) => kind.listedIn)
    for (const list of Object.keys(FOR_OTHERS) as (keyof typeof FOR_OTHERS)[]) {
      if ((config[list]?.length ?? 0) > 0 && !served.includes(list))
        throw errors.XT_DEVICE_NOT_SERVED(FOR_OTHERS[list])
    }
  }

  /** Devices of a kind. Throws XT_DEVICE_KIND_UNSERVED if no plugin serves it; so do the others. */
  list(kind: string): readonly ServedDevice[] {
    return this.#kind(kind).list()
  }

  /** Where in the configuration the devices of a kind are. */
  place(kind: string): Pick<DeviceKind<unknown>, 'listedIn' | 'id'> {
    return this.#kind(kind).kind
  }

  /** Adds a device. Rejects with what is wrong with the request, XT_DEVICE_EXISTS, or what its plugin says. */
  attach(kind: string, request: unknown): Promise<ServedDevice> {
    return this.#kind(kind).request(request)
  }

  /**
   * Takes a device away, by agreement with the guest or by force. Rejects with XT_NO_SUCH_DEVICE, or XT_DEVICE_IN_USE
   * if the guest has not let go in time; it goes as soon as the guest does.
   */
  detach(kind: string, id: number, force: boolean): Promise<ServedDevice> {
    return this.#kind(kind).detach(id, force)
  }

  /** Changes a device into another of its kind with the same number: another disc in a drive. */
  change(kind: string, id: number, request: unknown): Promise<ServedDevice> {
    return this.#kind(kind).change(id, request)
  }

  /** Settles when no request is under way. */
  async idle(): Promise<void> {
    await Promise.all([...this.#kinds.values()].map((kind) => kind.idle()))
  }

  #kind(kind: string): KindOfDevices {
    const served = this.#kinds.get(kind)
    if (served === undefined) throw errors.XT_DEVICE_KIND_UNSERVED(kind)
    return served
  }
}

interface TableOptions {
  readonly log: Log
  readonly clock: DriverClock
  readonly signal: AbortSignal
}

interface KindOptions extends TableOptions {
  readonly onGone: (id: number) => void
}

interface Present extends ServedDevice {
  readonly device: AttachedDevice
}

class KindOfDevices {
  readonly plugin: string
  readonly kind: DeviceKind<unknown>
  readonly #activity: Activity
  readonly #options: KindOptions
  readonly #devices = new Map<number, Present>()
  #queue: Promise<unknown> = Promise.resolve()

  constructor(kind: DeviceKind<unknown>, plugin: string, activity: Activity, options: KindOptions) {
    this.kind = kind
    this.plugin = plugin
    this.#activity = activity
    this.#options = options
  }

  list(): readonly ServedDevice[] {
    return [...this.#devices.values()].map(({ id, name, spec }) => ({ id, name, spec }))
  }

  /** What a plugin does itself, in its attach: its errors stay as they are, the driver attributes them. */
  async attach(spec: unknown): Promise<Present> {
    const { kind } = this.kind
    const id = this.kind.id(spec)
    const name = this.kind.name(spec)
    if (this.#devices.has(id)) throw errors.XT_DEVICE_EXISTS(kind, name)
    const device = await this.#activity.during(name, () => this.kind.attach(spec))
    const present = { id, name, spec, device }
    this.#devices.set(id, present)
    return present
  }

  /** What a command asks for. */
  request(request: unknown): Promise<ServedDevice> {
    return this.#inTurn('attach device', async () => {
      const taken = [...this.#devices.keys()]
      const spec = this.#parse(this.kind.complete?.(request, taken) ?? request)
      const { id, name, device } = await this.attach(spec)
      if (this.#options.signal.aborted) {
        this.#devices.delete(id)
        await device.remove({ force: true })
        this.#options.signal.throwIfAborted()
      }
      return { id, name, spec }
    })
  }

  detach(id: number, force: boolean): Promise<ServedDevice> {
    return this.#inTurn('detach device', async () => {
      const { name, spec, device } = this.#present(id)
      const gone = this.#activity
        .during(name, () => device.remove({ force }))
        .then(() => {
          // Unless a new one has taken its place.
          if (this.#devices.get(id)?.device !== device || !this.#devices.delete(id)) return
          this.#options.onGone(id)
        })
      await this.#limited(gone, name)
      return { id, name, spec }
    })
  }

  change(id: number, request: unknown): Promise<ServedDevice> {
    return this.#inTurn('change device', async () => {
      const { name, device } = this.#present(id)
      const spec = this.#parse(request)
      if (device.change === undefined || this.kind.id(spec) !== id)
        throw errors.XT_DEVICE_UNCHANGEABLE(this.kind.kind, name)
      await this.#activity.during(name, () => device.change!(spec))
      this.#devices.set(id, { id, name, spec, device })
      return { id, name, spec }
    })
  }

  async idle(): Promise<void> {
    await this.#queue
  }

  #present(id: number): Present {
    const present = this.#devices.get(id)
    if (present === undefined) throw errors.XT_NO_SUCH_DEVICE(this.kind.kind, id)
    return present
  }

  #parse(request: unknown): unknown {
    const parsed = this.kind.spec.safeParse(request)
    if (parsed.success) return parsed.data
    const problems = parsed.error.issues.map((issue) => issueSentence(issue, issue.path.join('.')))
    throw errors.XT_DEVICE_SPEC(this.kind.kind, problems)
  }

  async #limited(gone: Promise<void>, name: string): Promise<void> {
    const { clock, log, signal } = this.#options
    const seconds = DETACH_MS / 1000
    const late = Promise.withResolvers<'late'>()
    const settle = () => late.resolve('late')
    const cancel = clock.after(DETACH_MS, settle)
    signal.addEventListener('abort', settle, { once: true })
    try {
      if ((await Promise.race([gone, late.promise])) !== 'late') return
    } finally {
      cancel()
      signal.removeEventListener('abort', settle)
    }
    gone.catch((error: unknown) => log.error(`${this.plugin}: removing ${name}: ${String(error)}`))
    signal.throwIfAborted()
    throw errors.XT_DEVICE_IN_USE(this.kind.kind, name, seconds)
  }

  /** One request after the other; what leaves the plugin's code names it. */
  #inTurn<T>(call: string, request: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(request).catch((error: unknown) => {
      throw attribute(error, this.plugin, call, this.#activity.deviceOf(error))
    })
    this.#queue = turn.catch(() => undefined)
    return turn
  }
}

type DeviceList = NonNullable<DeviceKind<unknown>['listedIn']>
/** The same list as libxl calls it. */
const LIBXL_LISTS: Readonly<Record<DeviceList, string>> = {
  disks: 'disks',
  vifs: 'nics',
  p9: 'p9s',
  channels: 'channels',
  vfbs: 'vfbs',
  vkbs: 'vkbs',
}
/** Lists of devices that no plugin of ours serves, and their keys in xl's language. */
export const FOR_OTHERS = { channels: 'channel', vfbs: 'vfb', vkbs: 'vkb' } as const

/**
 * The configuration with a device added or in the place of the one with its number (`libxl`: the same in libxl's form),
 * or without it; from the configuration the domain is listed and started again.
 */
export function withDevice(
  config: DomainConfig,
  { listedIn, id }: Pick<DeviceKind<unknown>, 'listedIn' | 'id'>,
  device: { readonly id: number; readonly spec?: unknown; readonly libxl?: unknown },
): DomainConfig {
  if (listedIn === undefined) return config
  const libxlList = LIBXL_LISTS[listedIn]
  const specs: unknown[] = [...config[listedIn]]
  const libxl = [...((config.libxl[libxlList] ?? []) as readonly unknown[])]
  const found = specs.findIndex((spec) => id(spec) === device.id)
  const at = found < 0 ? specs.length : found
  const added = device.spec === undefined ? 0 : 1
  specs.splice(at, 1, ...[device.spec].slice(0, added))
  libxl.splice(at, 1, ...[device.libxl ?? {}].slice(0, added))
  return { ...config, [listedIn]: specs, libxl: { ...config.libxl, [libxlList]: libxl } } as DomainConfig
}

/**
 * What one plugin gets at setup (PluginContext), and the engine's side of it: the capabilities that plugins hand
 * one another, what they own, and what they are working on.
 */

import { XtError } from '../base/errors.ts'
import { issueSentence } from '../base/issue-words.ts'
import type { Log } from '../base/log.ts'
import type { DeviceTable } from './devices.ts'
import { errors } from './errors.ts'
import type { ExitRegistry } from './exits.ts'
import type { Capabilities, Plugin, PluginContext, VmInfo } from './plugin.ts'

type Capability = keyof Capabilities

/** What the engine itself provides; every plugin may use it. */
export const ENGINE_PROVIDES: readonly Capability[] = ['guestMemory', 'exits']

/** Values by capability, filled as plugins provide them. */
export class CapabilityTable {
  readonly #values = new Map<Capability, unknown>()

  has(name: Capability): boolean {
    return this.#values.has(name)
  }

  get<K extends Capability>(name: K): Capabilities[K] | undefined {
    return this.#values.get(name) as Capabilities[K] | undefined
  }

  set<K extends Capability>(name: K, value: Capabilities[K]): void {
    this.#values.set(name, value)
  }
}

/** The devices a plugin is working on at the moment, and whose fault an error is. */
export class Activity {
  readonly #devices: string[] = []
  readonly #blamed = new WeakMap<object, string>()

  get devices(): readonly string[] {
    return this.#devices
  }

  /** The device during whose work this error came up. */
  deviceOf(error: unknown): string | undefined {
    return typeof error === 'object' && error !== null ? this.#blamed.get(error) : undefined
  }

  async during<T>(device: string, work: () => Promise<T>): Promise<T> {
    this.#devices.push(device)
    try {
      return await work()
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      if (!this.#blamed.has(error)) this.#blamed.set(error, device)
      throw error
    } finally {
      this.#devices.splice(this.#devices.indexOf(device), 1)
    }
  }
}

/** Things to dispose, last in first out. */
export class Owned {
  readonly #things: (Disposable | AsyncDisposable)[] = []

  add<T extends Disposable | AsyncDisposable>(thing: T): T {
    this.#things.push(thing)
    return thing
  }

  get size(): number {
    return this.#things.length
  }

  /** Disposes one after the other; a failure does not keep the rest. Throws what failed, together. */
  async dispose(): Promise<void> {
    const failures: unknown[] = []
    for (let thing = this.#things.pop(); thing !== undefined; thing = this.#things.pop()) {
      try {
        if (Symbol.asyncDispose in thing) await thing[Symbol.asyncDispose]()
        else thing[Symbol.dispose]()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join('; '))
  }
}

/** What all contexts of a VM share. */
export interface ContextShared {
  readonly vm: VmInfo
  readonly log: Log
  readonly signal: AbortSignal
  readonly exits: ExitRegistry
  readonly devices: DeviceTable
  readonly capabilities: CapabilityTable
  /** Gets what a plugin's `fail` was called with, attributed. */
  readonly fail: (cause: XtError) => void
}

export interface PluginState {
  readonly context: PluginContext<unknown>
  readonly activity: Activity
  readonly owned: Owned
}

/** Makes a plugin's context. Throws XT_PLUGIN_SETTINGS if its schema refuses the settings. */
export function createContext(plugin: Plugin, settings: unknown, shared: ContextShared): PluginState {
  const { capabilities } = shared
  const activity = new Activity()
  const owned = new Owned()
  const context: PluginContext<unknown> = {
    config: parseSettings(plugin, settings),
    stanzas: parseStanzas(plugin, shared.vm.config['stanzas'] ?? {}),
    log: shared.log.child(plugin.name),
    vm: shared.vm,
    signal: shared.signal,
    exits: shared.exits.forPlugin(plugin.name),
    devices: shared.devices.forPlugin(plugin.name, activity),
    own: (thing) => owned.add(thing),
    use(name) {
      if (!ENGINE_PROVIDES.includes(name) && !(plugin.requires ?? []).includes(name)) {
        throw errors.XT_CAPABILITY_UNDECLARED(plugin.name, 'use', name)
      }
      const value = capabilities.get(name)
      if (value === undefined) throw errors.XT_CAPABILITY_NOT_READY(plugin.name, name)
      return value
    },
    provide(name, value) {
      if (!(plugin.provides ?? []).includes(name)) {
        throw errors.XT_CAPABILITY_UNDECLARED(plugin.name, 'provide', name)
      }
      capabilities.set(name, value)
    },
    fail: (cause, device) => shared.fail(attribute(cause, plugin.name, 'work', device)),
    forDevice: (device, work) => activity.during(device, work),
  }
  return { context, activity, owned }
}

function parseSettings(plugin: Plugin, settings: unknown): unknown {
  const parsed = plugin.config.safeParse(settings)
  if (parsed.success) return deepFreeze(parsed.data)
  const problems = parsed.error.issues.map((issue) => issueSentence(issue, issue.path.join('.')))
  throw errors.XT_PLUGIN_SETTINGS(plugin.name, problems)
}

function parseStanzas(plugin: Plugin, given: unknown): Readonly<Record<string, unknown>> {
  const values = given as Readonly<Record<string, unknown>>
  const parsed = Object.entries(plugin.stanzas ?? {}).map(([key, schema]) => {
    const result = schema.safeParse(values[key])
    if (result.success) return [key, deepFreeze(result.data)] as const
    throw errors.XT_PLUGIN_STANZA(
      plugin.name,
      key,
      result.error.issues.map((issue) => issueSentence(issue, issue.path.map(place).join(''))),
    )
  })
  return Object.freeze(Object.fromEntries(parsed))
}

/** Items are counted from one, as people do. */
const place = (step: PropertyKey): string =>
  typeof step === 'number' ? `item ${step + 1}` : ` ${String(step)}`

function deepFreeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}

/** Turns whatever left a plugin's code into an XtError that names the plugin, the call and the device. */
export function attribute(error: unknown, plugin: string, call: string, device: string | undefined): XtError {
  const blame = { plugin, call, ...(device === undefined ? {} : { device }) }
  if (error instanceof XtError) {
    if (error.blame !== undefined) return error
    const { code, hint, exit } = error
    return new XtError(code, error.message, { hint, exit, blame, cause: error })
  }
  const why = error instanceof Error ? error.message : String(error)
  const made = errors.XT_PLUGIN_CALL_FAILED(placeOf(plugin, call, device === undefined ? [] : [device]), why)
  return new XtError(made.code, made.message, { exit: made.exit, blame, cause: error })
}

/** "vbd attach (xvda)" */
export const placeOf = (plugin: string, call: string, devices: readonly string[]): string =>
  devices.length === 0 ? `${plugin} ${call}` : `${plugin} ${call} (${devices.join(', ')})`

/**
 * From loaded plugins to a driver: order, contexts, the setup calls, frozen exit tables, no device without a server.
 */
import { attribute, CapabilityTable, type ContextShared, createContext, ENGINE_PROVIDES } from './context.ts'
import { DeviceTable } from './devices.ts'
import { CALLS, type DriverOptions, type Member, PluginDriver } from './driver.ts'
import { errors } from './errors.ts'
import { ExitRegistry } from './exits.ts'
import { orderPlugins } from './graph.ts'
import type { Call, Lifecycle, Plugin } from './plugin.ts'

export interface PluginSet {
  readonly driver: PluginDriver
  readonly capabilities: CapabilityTable
  readonly devices: DeviceTable
}

/**
 * Sets all plugins up. Rejects with the first failure, after everything that the plugins own was disposed.
 */
export async function setupPlugins(
  plugins: readonly Plugin[],
  settings: Readonly<Record<string, unknown>>,
  shared: Omit<ContextShared, 'exits' | 'capabilities' | 'devices'>,
  options: DriverOptions,
): Promise<PluginSet> {
  const graph = orderPlugins(plugins, ENGINE_PROVIDES)
  const exits = new ExitRegistry()
  const capabilities = new CapabilityTable()
  const devices = new DeviceTable({ log: shared.log, signal: shared.signal, clock: options.clock })
  const members: Member[] = []
  const driver = () => new PluginDriver(members, graph, options)
  for (const name of graph.order) {
    const plugin = plugins.find((candidate) => candidate.name === name)!
    try {
      const state = createContext(plugin, settings[name] ?? {}, { ...shared, exits, capabilities, devices })
      const member = { name, activity: state.activity, owned: state.owned }
      // Before setup runs, so that what a failing setup already owns is disposed.
      members.push({ ...member, lifecycle: {} })
      const lifecycle = checkLifecycle(name, plugin.setup(state.context))
      members.splice(-1, 1, { ...member, lifecycle: promising(plugin, lifecycle, capabilities) })
    } catch (error) {
      await driver().dispose()
      throw attribute(error, name, 'setup', undefined)
    }
  }
  try {
    devices.refuseUnserved(shared.vm.config)
  } catch (error) {
    await driver().dispose()
    throw error
  }
  capabilities.set('exits', exits.freeze())
  return { driver: driver(), capabilities, devices }
}

function checkLifecycle(name: string, answer: unknown): Lifecycle {
  if (typeof answer !== 'object' || answer === null || 'then' in answer) {
    throw errors.XT_PLUGIN_INVALID(name, 'setup must answer its lifecycle calls, and at once')
  }
  for (const [call, code] of Object.entries(answer)) {
    if (!(call in CALLS)) {
      const known = Object.keys(CALLS).join(', ')
      throw errors.XT_PLUGIN_INVALID(name, `there is no lifecycle call ${call} (there are ${known})`)
    }
    const run = typeof code === 'object' && code !== null && 'run' in code ? code.run : code
    if (run !== undefined && typeof run !== 'function') {
      throw errors.XT_PLUGIN_INVALID(name, `${call} is no function`)
    }
  }
  return answer as Lifecycle
}

/** Adds to attach the check that the plugin has provided what it declares. */
function promising(plugin: Plugin, lifecycle: Lifecycle, capabilities: CapabilityTable): Lifecycle {
  const { provides = [] } = plugin
  if (provides.length === 0) return lifecycle
  const given = lifecycle.attach
  const run = async () => {
    await (typeof given === 'object' ? given.run() : given?.())
    const missing = provides.find((name) => !capabilities.has(name))
    if (missing !== undefined) throw errors.XT_CAPABILITY_NOT_PROVIDED(plugin.name, missing)
  }
  const attach: Call = typeof given === 'object' ? { order: given.order, run } : run
  return { ...lifecycle, attach }
}

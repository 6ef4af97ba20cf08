/**
 * The order of plugins: after those that provide what they require, otherwise as listed. Pure.
 *
 * Also the phases of one call: a plugin says `order: 'pre'` or `'post'` to come before or after the others; what
 * it depends on still comes first, so a 'pre' call of a plugin whose provider says 'post' waits with it.
 */
import { errors } from './errors.ts'

export interface PluginNode {
  readonly name: string
  readonly provides?: readonly string[]
  readonly requires?: readonly string[]
}

export interface PluginGraph {
  /** Plugin names; whoever provides something stands before those who require it. */
  readonly order: readonly string[]
  /** Plugins that provide what a plugin requires, by its name. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>
}

/**
 * Orders plugins. `builtin` names the capabilities that need no plugin (the engine's own).
 * Throws XT_PLUGIN_TWICE, XT_CAPABILITY_TWICE, XT_CAPABILITY_UNMET or XT_CAPABILITY_CYCLE.
 */
export function orderPlugins(plugins: readonly PluginNode[], builtin: readonly string[]): PluginGraph {
  const providers = providersOf(plugins, builtin)
  const dependencies = new Map<string, readonly string[]>()
  for (const { name, requires = [] } of plugins) {
    const needed = requires.filter((capability) => !builtin.includes(capability))
    for (const capability of needed) {
      if (!providers.has(capability)) {
        const others = plugins.map((plugin) => plugin.name).filter((other) => other !== name)
        throw errors.XT_CAPABILITY_UNMET(name, capability, others)
      }
    }
    dependencies.set(name, [...new Set(needed.map((capability) => providers.get(capability)!))])
  }
  return { order: sort(plugins, dependencies), dependencies }
}

/** Plugin names by what they provide. */
function providersOf(plugins: readonly PluginNode[], builtin: readonly string[]): Map<string, string> {
  const names = new Set<string>()
  const providers = new Map<string, string>(builtin.map((capability) => [capability, 'the engine']))
  for (const { name, provides = [] } of plugins) {
    if (names.has(name)) throw errors.XT_PLUGIN_TWICE(name)
    names.add(name)
    for (const capability of provides) {
      const other = providers.get(capability)
      if (other !== undefined) throw errors.XT_CAPABILITY_TWICE(capability, other, name)
      providers.set(capability, name)
    }
  }
  return providers
}

function sort(
  plugins: readonly PluginNode[],
  dependencies: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const done = new Set<string>()
  const visit = (name: string, path: readonly string[]) => {
    if (done.has(name)) return
    const start = path.indexOf(name)
    if (start >= 0) throw errors.XT_CAPABILITY_CYCLE([...path.slice(start), name])
    for (const dependency of dependencies.get(name) ?? []) visit(dependency, [...path, name])
    done.add(name)
  }
  for (const { name } of plugins) visit(name, [])
  return [...done]
}

/** -1 for 'pre', 1 for 'post', 0 for neither. */
export type Rank = -1 | 0 | 1

/** The plugins in three groups, in order within each; a plugin is never in an earlier group than what it depends on. */
export function phases(graph: PluginGraph, rank: (name: string) => Rank): readonly (readonly string[])[] {
  const effective = new Map<string, Rank>()
  for (const name of graph.order) {
    const inherited = (graph.dependencies.get(name) ?? []).map((dependency) => effective.get(dependency)!)
    effective.set(name, Math.max(rank(name), ...inherited) as Rank)
  }
  return [-1, 0, 1].map((phase) => graph.order.filter((name) => effective.get(name) === phase))
}

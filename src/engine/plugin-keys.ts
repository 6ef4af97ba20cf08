/**
 * The keys of a guest's configuration that belong to plugins: those of plugins that the configuration or xt's settings
 * name, and those of installed plugins, which a guest gets by using one of their keys.
 */
import { join } from 'node:path'
import { loadPlugins } from './discover.ts'
import { type InstalledPlugin, installedPlugins } from './installed-plugins.ts'
import { pluginsDir } from './paths.ts'

export interface PluginKeys {
  readonly keys: ReadonlySet<string>
  /** Folders of the installed plugins that a guest with these keys needs beside those it names. */
  neededFor(used: Iterable<string>): readonly string[]
}

/**
 * `named`: the plugins of the configuration and the settings. Those that are not installed are loaded to know their
 * keys. Rejects as loadPlugins does.
 */
export async function pluginKeys(
  named: readonly string[],
  from: string = process.cwd(),
  dir: string = pluginsDir(),
): Promise<PluginKeys> {
  const installed = installedPlugins(dir)
  const others = named.filter((name) => !installed.some((each) => each.package === name))
  const loaded = await loadPlugins([], others, from)
  const isNamed = (each: InstalledPlugin) =>
    named.includes(each.package) || loaded.some(({ name }) => name === each.name)
  return {
    keys: new Set([...loaded, ...installed].flatMap(({ stanzas = {} }) => Object.keys(stanzas))),
    neededFor(used) {
      const keys = new Set(used)
      return installed
        .filter((each) => !isNamed(each) && Object.keys(each.stanzas).some((key) => keys.has(key)))
        .map((each) => join(dir, 'node_modules', each.package))
    },
  }
}

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { XtCommand } from '../../cli/command.ts'
import { toXtError } from '../../cli/report.ts'
import { textTable } from '../../cli/text-table.ts'
import { loadXtSettings } from '../../config/load.ts'
import { type BuiltinPlugin, loadPlugins, pluginFile } from '../../engine/discover.ts'
import {
  factsOf,
  type InstalledPlugin,
  installedPlugins,
  type PluginFacts,
} from '../../engine/installed-plugins.ts'
import { builtinPlugins } from '../../plugins/builtin.ts'

interface ListedPlugin extends PluginFacts {
  readonly version: string
  /** `builtin`, the name of an installed package, or the file. */
  readonly from: string
  /** The settings file that names it. */
  readonly namedIn?: string
}

/** A plugin that is named and cannot be used. */
interface Unusable {
  readonly name: string
  readonly namedIn?: string
  readonly error: { readonly code: string; readonly message: string }
}

export default class PluginsList extends XtCommand {
  static override summary = "List the engine plugins: builtin, installed, and those that xt's settings name."
  static override description =
    `A plugin that a guest's own configuration names (plugins = [...]) is that guest's alone and not
listed. Ends with status 1 if one of the plugins cannot be used.`

  async run(): Promise<readonly (ListedPlugin | Unusable)[]> {
    await this.parse(PluginsList)
    const settings = await loadXtSettings()
    const listed: (ListedPlugin | Unusable)[] = []
    for (const plugin of builtinPlugins) listed.push(await this.#builtin(plugin))
    const installed = installedPlugins()
    for (const plugin of installed) listed.push(fromManifest(plugin))
    const isInstalled = (name: string) => installed.some((plugin) => plugin.package === name)
    for (const name of settings.plugins.filter((name) => !isInstalled(name)))
      listed.push(await named(name, settings.file))
    const usable = listed.filter((plugin): plugin is ListedPlugin => 'api' in plugin)
    const unusable = listed.filter((plugin): plugin is Unusable => 'error' in plugin)
    if (!this.jsonEnabled()) {
      const rows = usable.map(({ name, version, api, provides, requires, stanzas, from }) => [
        name,
        version,
        `${api}`,
        list(provides),
        list(requires),
        list(Object.keys(stanzas)),
        from,
      ])
      process.stdout.write(
        textTable(['Name', 'Version', 'API', 'Provides', 'Requires', 'Keys', 'From'], rows),
      )
      for (const { error } of unusable) this.note(error.message)
    }
    if (unusable.length > 0) process.exitCode = 1
    return listed
  }

  /** One of ours has the version of xt. */
  async #builtin(builtin: BuiltinPlugin): Promise<ListedPlugin> {
    return { ...(await describe([builtin], [])), version: this.config.version, from: 'builtin' }
  }
}

/** Nothing of it is loaded. */
const fromManifest = ({ package: from, ...plugin }: InstalledPlugin): ListedPlugin => ({ ...plugin, from })

async function named(name: string, settingsFile: string | undefined): Promise<ListedPlugin | Unusable> {
  const namedIn = settingsFile === undefined ? {} : { namedIn: settingsFile }
  try {
    const file = pluginFile(name, process.cwd())
    return { ...(await describe([], [name])), version: versionOf(file), from: file, ...namedIn }
  } catch (error) {
    const { code, message } = toXtError(error, 'plugins list')
    return { name, ...namedIn, error: { code, message } }
  }
}

async function describe(builtin: readonly BuiltinPlugin[], names: readonly string[]) {
  const [plugin] = await loadPlugins(builtin, names, process.cwd())
  return factsOf(plugin!)
}

/** From the nearest package.json; a single file has no version. */
function versionOf(file: string): string {
  for (let dir = dirname(file); ; dir = dirname(dir)) {
    try {
      const { version } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
      if (typeof version === 'string') return version
    } catch {
      // Not here.
    }
    if (dir === dirname(dir)) return '-'
  }
}

const list = (names: readonly string[]): string => (names.length === 0 ? '-' : names.join(','))

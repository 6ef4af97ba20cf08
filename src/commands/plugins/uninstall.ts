import { string } from '@oclif/core/args'
import { XtCommand } from '../../cli/command.ts'
import { type InstalledPlugin, uninstallPlugin } from '../../engine/installed-plugins.ts'

export default class PluginsUninstall extends XtCommand {
  static override summary = 'Take an installed engine plugin away.'
  static override description = 'Guests that run go on; those that use it cannot be started again.'
  static override args = {
    plugin: string({ required: true, ignoreStdin: true, description: 'its name, or that of its package' }),
  }

  async run(): Promise<InstalledPlugin> {
    const { args } = await this.parse(PluginsUninstall)
    const gone = await uninstallPlugin(args.plugin)
    if (!this.jsonEnabled()) process.stdout.write(`uninstalled ${gone.name} ${gone.version}\n`)
    return gone
  }
}

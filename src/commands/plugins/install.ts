import { string } from '@oclif/core/args'
import { XtCommand } from '../../cli/command.ts'
import { type InstalledPlugin, installPlugin } from '../../engine/installed-plugins.ts'

export default class PluginsInstall extends XtCommand {
  static override summary = 'Install an engine plugin: a tarball, a folder, or a package of the registry.'
  static override description =
    `A guest gets an installed plugin by using one of its keys, or by naming its package in
plugins=[...]. It runs with your rights, as xt does. npm installs it, without its install scripts.`
  static override args = {
    plugin: string({ required: true, ignoreStdin: true, description: 'what to install' }),
  }
  static override examples = [
    '<%= config.bin %> plugins install ./xt-plugin-hello-1.0.0.tgz',
    '<%= config.bin %> plugins install ./examples/plugin-hello',
  ]

  async run(): Promise<InstalledPlugin> {
    const { args } = await this.parse(PluginsInstall)
    const installed = await installPlugin(args.plugin)
    const { name, version, stanzas } = installed
    const keys = Object.keys(stanzas)
    if (!this.jsonEnabled())
      process.stdout.write(
        `installed ${name} ${version} (${installed.package})${keys.length === 0 ? '' : `; keys: ${keys.join(', ')}`}\n`,
      )
    return installed
  }
}

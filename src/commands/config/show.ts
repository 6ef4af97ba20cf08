import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../../cli/command.ts'
import { readConfigArguments } from '../../cli/config-arguments.ts'
import { outline } from '../../cli/outline.ts'
import { writeProblems } from '../../cli/write-problems.ts'
import { namedPlugins, parseDomainConfig } from '../../config/domain.ts'
import { readConfigFile } from '../../config/load.ts'
import type { DomainConfig } from '../../config/schema.ts'
import { pluginKeys } from '../../engine/plugin-keys.ts'

export default class ConfigShow extends XtCommand {
  static override summary = 'Show what xt makes of a configuration file, defaults filled in.'
  static override description = `With --json in the shape of config-schema/domain.json (\`xt config schema\`).
For the form of xl and libxl: \`xt create -n FILE\`.`
  static override usage = 'config show FILE [key=value ...] [options]'
  static override strict = false
  static override flags = {
    strict: boolean({ summary: 'Take warnings for errors.' }),
  }

  async run(): Promise<DomainConfig> {
    const { argv, flags } = await this.parse(ConfigShow)
    const { file, settings } = readConfigArguments('config show', argv as string[])
    const text = await readConfigFile(file)
    const { keys } = await pluginKeys(namedPlugins(text, file, settings))
    const { config, warnings } = parseDomainConfig(text, file, settings, { ...flags, pluginKeys: keys })
    writeProblems(warnings)
    const { libxl: _, ...ours } = config
    if (!this.jsonEnabled()) process.stdout.write(outline(ours))
    return config
  }
}

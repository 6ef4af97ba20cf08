import { boolean, string } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { readCreateArguments } from '../cli/create-arguments.ts'
import { cliErrors } from '../cli/errors.ts'
import { writeProblems } from '../cli/write-problems.ts'
import { namedPlugins, parseDomainConfig, readDomain } from '../config/domain.ts'
import type { LibxlObject } from '../config/libxl-config.ts'
import { readConfigFile } from '../config/load.ts'
import { printDomain, printJson } from '../config/xl-json.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'
import { pluginKeys } from '../engine/plugin-keys.ts'

export default class ConfigUpdate extends XtCommand {
  static override summary = 'Replace the configuration with which a running domain starts again.'
  static override description =
    `The running guest keeps what it has; its next reboot is made from the new file.
Name and UUID stay as they are.`
  static override usage = 'config-update DOMAIN [FILE] [key=value ...] [options]'
  static override strict = false
  static override flags = {
    defconfig: string({ char: 'f', helpValue: 'FILE', summary: 'The configuration file.' }),
    debug: boolean({ char: 'd', summary: 'Also print the configuration that was read.' }),
    dryrun: boolean({ hidden: true, summary: 'Only show the configuration (xt -N config-update).' }),
  }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(ConfigUpdate)
    const [name, ...words] = argv as string[]
    if (name === undefined) throw cliErrors.XT_CONFIG_UPDATE_DOMAIN()
    const domain = await findDomain(this.paths, name)
    if (flags.defconfig === undefined && words.every((word) => word.includes('=')))
      throw cliErrors.XT_CONFIG_UPDATE_FILE()
    const { file, settings, passedOver } = readCreateArguments(words, flags.defconfig)
    const text = await readConfigFile(file)
    this.note(`Parsing config from ${file}`)
    if (passedOver !== undefined) this.note(`${passedOver} is not read: -f names another file.`)
    const { keys, neededFor } = await pluginKeys(namedPlugins(text, file, settings))
    if (flags.dryrun) {
      const { libxl, warnings } = readDomain(text, file, settings, { pluginKeys: keys })
      writeProblems(warnings)
      if (!this.jsonEnabled()) process.stdout.write(printDomain(libxl))
      return JSON.parse(printDomain(libxl))
    }
    const { config, warnings } = parseDomainConfig(text, file, settings, { pluginKeys: keys })
    writeProblems(warnings)
    if (flags.debug) this.note(printJson(config.libxl as LibxlObject))
    using client = await connectDomain(domain)
    const plugins = [...config.plugins, ...neededFor(Object.keys(config.stanzas))]
    await client.updateConfig({ ...config, plugins })
    return { domid: domain.domid }
  }
}

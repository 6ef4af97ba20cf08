import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { string } from '@oclif/core/args'
import { XtCommand } from '../../cli/command.ts'
import { type InstalledPlugin, installedPlugins } from '../../engine/installed-plugins.ts'

export default class ConfigSchema extends XtCommand {
  static override summary = 'Print a JSON Schema, for editors and other programs.'
  static override description = `domain: what \`xt config show --json\` prints and the engine gets.
settings: xt's own settings (.xtrc.json and the like).
With the keys and the settings of installed plugins.`
  static override args = {
    what: string({
      ignoreStdin: true,
      options: ['domain', 'settings'],
      default: 'domain',
      description: 'which schema',
    }),
  }
  static override examples = ['<%= config.bin %> config schema settings > xtrc.schema.json']

  async run(): Promise<object> {
    const { args } = await this.parse(ConfigSchema)
    const text = readFileSync(join(this.config.root, 'config-schema', `${args.what}.json`), 'utf8')
    const schema = withPlugins(JSON.parse(text) as Schema, args.what, installedPlugins())
    if (!this.jsonEnabled()) process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`)
    return schema
  }
}

interface Schema {
  readonly properties: Readonly<Record<string, object>>
}

/** Adds what installed plugins bring, where it stands: `stanzas` of a domain, `pluginConfig` of the settings. */
function withPlugins(schema: Schema, what: string, plugins: readonly InstalledPlugin[]): Schema {
  const place = what === 'domain' ? 'stanzas' : 'pluginConfig'
  const brought = plugins.flatMap(({ name, config, stanzas }) =>
    what === 'domain' ? Object.entries(stanzas) : [[name, config] as const],
  )
  if (brought.length === 0) return schema
  const properties = Object.fromEntries(brought.map(([key, { $schema: _, ...inner }]) => [key, inner]))
  return {
    ...schema,
    properties: { ...schema.properties, [place]: { ...schema.properties[place], properties } },
  }
}

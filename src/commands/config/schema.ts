import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { string } from '@oclif/core/args'
import { XtCommand } from '../../cli/command.ts'

export default class ConfigSchema extends XtCommand {
  static override summary = 'Print a JSON Schema, for editors and other programs.'
  static override description = `domain: what \`xt config show --json\` prints and the engine gets.
settings: xt's own settings (.xtrc.json and the like).`
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
    if (!this.jsonEnabled()) process.stdout.write(text)
    return JSON.parse(text)
  }
}

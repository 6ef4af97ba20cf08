import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../../cli/command.ts'
import { readConfigArguments } from '../../cli/config-arguments.ts'
import { checkDomain, namedPlugins } from '../../config/domain.ts'
import { loadXtSettings, readConfigFile } from '../../config/load.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import { printProblems } from '../../config/report.ts'
import { pluginKeys } from '../../engine/plugin-keys.ts'

/** A problem without what only serves to draw it. */
type Finding = Omit<ConfigProblem, 'at' | 'caret' | 'near' | 'excerpt'>

interface Checked {
  readonly file: string
  readonly errors: number
  readonly warnings: number
  readonly problems: readonly Finding[]
}

export default class ConfigCheck extends XtCommand {
  static override summary = 'Say everything that is wrong or doubtful in a configuration file.'
  static override description = `Starts nothing. Ends with status 1 if \`create\` would refuse the file.
Settings (key=value) are read as if they stood at the end of the file.`
  static override usage = 'config check FILE [key=value ...] [options]'
  static override strict = false
  static override flags = {
    strict: boolean({ summary: 'Take warnings for errors.' }),
  }
  static override examples = [
    '<%= config.bin %> config check web.cfg',
    '<%= config.bin %> config check --json web.cfg',
  ]

  async run(): Promise<Checked> {
    const { argv, flags } = await this.parse(ConfigCheck)
    const { file, settings } = readConfigArguments('config check', argv as string[])
    const own = await loadXtSettings()
    const text = await readConfigFile(file)
    const { keys } = await pluginKeys([...own.plugins, ...namedPlugins(text, file, settings)])
    const reading = { strict: flags.strict || own.strict, pluginKeys: keys }
    const problems = checkDomain(text, file, settings, reading)
    const count = (severity: ConfigProblem['severity']) =>
      problems.filter((problem) => problem.severity === severity).length
    if (!this.jsonEnabled()) {
      const colour = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined
      process.stdout.write(
        problems.length === 0 ? `${file}: no problems\n` : printProblems(problems, { colour }),
      )
    }
    const errors = count('error')
    if (errors > 0) process.exitCode = 1
    return { file, errors, warnings: count('warning'), problems: problems.map(finding) }
  }
}

const finding = ({ severity, code, source, line, column, message, hint }: ConfigProblem): Finding => ({
  severity,
  code,
  source,
  line,
  column,
  message,
  ...(hint === undefined ? {} : { hint }),
})

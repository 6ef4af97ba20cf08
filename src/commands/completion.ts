import { string } from '@oclif/core/args'
import { Config } from '@oclif/core/config'
import { XtCommand } from '../cli/command.ts'
import { type CommandFacts, completionScript, type Shell } from '../cli/completion.ts'
import { namesDir } from '../engine/paths.ts'

export default class Completion extends XtCommand {
  static override summary = 'Print a script that completes commands, options, domains and .cfg files.'
  static override description = `bash: put \`source <(xt completion bash)\` into ~/.bashrc.
zsh: put \`source <(xt completion zsh)\` into ~/.zshrc, after compinit.`
  static override args = {
    shell: string({
      required: true,
      ignoreStdin: true,
      options: ['bash', 'zsh'],
      description: 'which shell',
    }),
  }

  async run(): Promise<{ script: string }> {
    const { args } = await this.parse(Completion)
    const { commands } = (await Config.load(this.config.options)) as { commands: readonly CommandFacts[] }
    const script = completionScript(args.shell as Shell, commands, namesDir(this.paths))
    if (!this.jsonEnabled()) process.stdout.write(script)
    return { script }
  }
}

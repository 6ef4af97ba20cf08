import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { cliErrors } from '../../cli/errors.ts'
import { forPath, pathArg, XenstoreCommand } from '../../cli/xenstore-command.ts'
import { readValue } from '../../cli/xenstore-value.ts'

export default class XenstoreWrite extends XenstoreCommand {
  static override summary = 'Write values to nodes, all or none.'
  static override usage = 'xenstore write PATH VALUE [PATH VALUE ...] [options]'
  static override strict = false
  static override args = {
    path: pathArg,
    value: string({
      required: true,
      ignoreStdin: true,
      description: 'the value, with escapes as read prints them',
    }),
  }
  static override flags = {
    raw: boolean({ char: 'R', summary: 'Take values as they are: a backslash is a backslash.' }),
  }
  static override examples = [
    '<%= config.bin %> xenstore write /local/domain/3/data/hello world',
    '<%= config.bin %> xenstore write -- /tool/balance -5',
  ]

  async run(): Promise<Record<string, string>> {
    const { argv, flags } = await this.parse(XenstoreWrite)
    const words = argv as string[]
    if (words.length % 2 === 1) throw cliErrors.XT_TOO_FEW_ARGUMENTS('xenstore write', words.length + 1)
    const read = flags.raw ? (text: string) => Buffer.from(text) : readValue
    const pairs: { path: string; text: string; value: Uint8Array }[] = []
    for (let i = 0; i < words.length; i += 2) {
      const [path, text] = words.slice(i, i + 2) as [string, string]
      pairs.push({ path, text, value: read(text) })
    }
    await this.withStore((store) =>
      store.transaction(async (tx) => {
        for (const { path, value } of pairs) await forPath(path, store.write(path, value, tx))
      }),
    )
    return Object.fromEntries(pairs.map(({ path, text }) => [path, text]))
  }
}

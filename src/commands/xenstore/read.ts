import { boolean } from '@oclif/core/flags'
import { forPath, pathArg, XenstoreCommand } from '../../cli/xenstore-command.ts'
import { showValue } from '../../cli/xenstore-value.ts'

export default class XenstoreRead extends XenstoreCommand {
  static override summary = 'Print the values of nodes, one a line.'
  static override usage = 'xenstore read PATH... [options]'
  static override strict = false
  static override args = { path: pathArg }
  static override flags = {
    prefix: boolean({ char: 'p', summary: 'The path before each value.' }),
    raw: boolean({ char: 'R', summary: 'The very bytes, without escapes and line ends.' }),
  }

  async run(): Promise<Record<string, string>> {
    const { argv, flags } = await this.parse(XenstoreRead)
    return await this.withStore(async (store) => {
      const values: Record<string, string> = {}
      for (const path of argv as string[]) {
        const bytes = await forPath(path, store.readBytes(path))
        values[path] = showValue(bytes)
        if (this.jsonEnabled()) continue
        if (flags.prefix) process.stdout.write(`${path}: `)
        process.stdout.write(flags.raw ? bytes : `${values[path]}\n`)
      }
      return values
    })
  }
}

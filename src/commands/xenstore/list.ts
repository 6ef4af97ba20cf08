import { boolean } from '@oclif/core/flags'
import { below, forPath, pathArg, XenstoreCommand } from '../../cli/xenstore-command.ts'

export default class XenstoreList extends XenstoreCommand {
  static override summary = 'List the names directly below nodes.'
  static override usage = 'xenstore list PATH... [options]'
  static override strict = false
  static override args = { path: pathArg }
  static override flags = {
    prefix: boolean({ char: 'p', summary: 'Whole paths.' }),
  }

  async run(): Promise<Record<string, string[]>> {
    const { argv, flags } = await this.parse(XenstoreList)
    return await this.withStore(async (store) => {
      const found: Record<string, string[]> = {}
      for (const path of argv as string[]) {
        found[path] = await forPath(path, store.directory(path))
        for (const name of found[path]) this.log(flags.prefix ? below(path, name) : name)
      }
      return found
    })
  }
}

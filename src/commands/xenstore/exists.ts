import { isThere, pathArg, XenstoreCommand } from '../../cli/xenstore-command.ts'

export default class XenstoreExists extends XenstoreCommand {
  static override summary = 'Tell by the exit status whether all of these nodes exist.'
  static override usage = 'xenstore exists PATH...'
  static override strict = false
  static override args = { path: pathArg }

  async run(): Promise<Record<string, boolean>> {
    const { argv } = await this.parse(XenstoreExists)
    return await this.withStore(async (store) => {
      const found: Record<string, boolean> = {}
      for (const path of argv as string[]) found[path] = await isThere(path, store.readBytes(path))
      if (Object.values(found).includes(false)) process.exitCode = 1
      return found
    })
  }
}

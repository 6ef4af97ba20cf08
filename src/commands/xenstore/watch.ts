import { boolean, integer } from '@oclif/core/flags'
import { watchOutputReader } from '../../cli/output-reader.ts'
import { forPath, pathArg, XenstoreCommand } from '../../cli/xenstore-command.ts'

export default class XenstoreWatch extends XenstoreCommand {
  static override summary = 'Print the path of each node that changes at or below these, until Ctrl-C.'
  static override description =
    'Each path is printed once at the start: that is how one knows that the watch is set.'
  static override usage = 'xenstore watch PATH... [options]'
  static override enableJsonFlag = false
  static override strict = false
  static override args = { path: pathArg }
  static override flags = {
    count: integer({ char: 'n', min: 1, helpValue: 'N', summary: 'End after N lines.' }),
    json: boolean({ summary: 'Each line is an object: {"path": ..., "watched": ...}.' }),
  }

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(XenstoreWatch)
    await watchOutputReader()
    await this.withStore(async (store) => {
      let left = flags.count ?? Number.POSITIVE_INFINITY
      const { promise: enough, resolve } = Promise.withResolvers<void>()
      for (const watched of argv as string[]) {
        const onEvent = (path: string) => {
          if (left <= 0) return
          process.stdout.write(`${flags.json ? JSON.stringify({ path, watched }) : path}\n`)
          left--
          if (left === 0) resolve()
        }
        await forPath(watched, store.watch(watched, onEvent))
      }
      await enough
    })
  }
}

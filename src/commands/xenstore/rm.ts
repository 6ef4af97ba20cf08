import { boolean } from '@oclif/core/flags'
import { forPath, pathArg, XenstoreCommand } from '../../cli/xenstore-command.ts'
import type { ToolstackClient } from '../../xenstored/client.ts'

export default class XenstoreRm extends XenstoreCommand {
  static override summary = 'Remove nodes, with all that is below them.'
  static override usage = 'xenstore rm PATH... [options]'
  static override strict = false
  static override args = { path: pathArg }
  static override flags = {
    tidy: boolean({ char: 't', summary: 'Also remove what is empty above them then.' }),
  }

  async run(): Promise<{ removed: string[] }> {
    const { argv, flags } = await this.parse(XenstoreRm)
    const paths = argv as string[]
    await this.withStore(async (store) => {
      for (const path of paths) {
        await forPath(path, store.rm(path))
        if (flags.tidy) await tidy(store, path)
      }
    })
    return { removed: paths }
  }
}

/** From the parent upwards, as long as there is neither a value nor a child. */
async function tidy(store: ToolstackClient, path: string): Promise<void> {
  const parent = path.slice(0, path.lastIndexOf('/'))
  if (parent === '') return
  const isEmpty = await forPath(
    parent,
    store.transaction(async (tx) => {
      const [value, children] = [await store.readBytes(parent, tx), await store.directory(parent, tx)]
      if (value.length > 0 || children.length > 0) return false
      await store.rm(parent, tx)
      return true
    }),
  )
  if (isEmpty) await tidy(store, parent)
}

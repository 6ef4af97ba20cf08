import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { cliErrors } from '../../cli/errors.ts'
import { below, forPath, pathArg, XenstoreCommand } from '../../cli/xenstore-command.ts'
import type { ToolstackClient } from '../../xenstored/client.ts'

export default class XenstoreChmod extends XenstoreCommand {
  static override summary = 'Set the permissions of a node.'
  static override description =
    `A permission is a letter (n none, r read, w write, b both) and a domid. The first
names the owner and what everybody else may; further ones are for single domains.`
  static override usage = 'xenstore chmod PATH PERMISSION... [options]'
  static override strict = false
  static override args = {
    path: pathArg,
    permission: string({ required: true, ignoreStdin: true, description: 'n0, r3, w3, b3 ...' }),
  }
  static override flags = {
    recursive: boolean({ char: 'r', summary: 'Also everything below it.' }),
    upto: boolean({ char: 'u', summary: 'Also everything above it, but for the root.' }),
  }

  async run(): Promise<{ path: string; perms: string[] }> {
    const { argv, flags } = await this.parse(XenstoreChmod)
    const [path, ...perms] = argv as [string, ...string[]]
    for (const perm of perms) if (!/^[nrwb]\d{1,5}$/.test(perm)) throw cliErrors.XT_XENSTORE_PERMISSION(perm)
    await this.withStore(async (store) => {
      await forPath(path, store.setPerms(path, perms))
      if (flags.recursive) await setBelow(store, path, perms)
      for (let up = above(path); flags.upto && up !== ''; up = above(up)) {
        await forPath(up, store.setPerms(up, perms))
      }
    })
    return { path, perms }
  }
}

async function setBelow(store: ToolstackClient, path: string, perms: readonly string[]): Promise<void> {
  for (const name of await forPath(path, store.directory(path))) {
    const child = below(path, name)
    await forPath(child, store.setPerms(child, perms))
    await setBelow(store, child, perms)
  }
}

const above = (path: string): string => path.slice(0, path.lastIndexOf('/'))

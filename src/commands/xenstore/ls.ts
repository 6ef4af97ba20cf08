import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { below, forPath, XenstoreCommand } from '../../cli/xenstore-command.ts'
import { showValue } from '../../cli/xenstore-value.ts'
import { type ToolstackClient, XenstoreError } from '../../xenstored/client.ts'

interface Node {
  readonly path: string
  readonly value: string
  readonly perms: readonly string[]
}

export default class XenstoreLs extends XenstoreCommand {
  static override summary = 'Show a part of the store, or all of it, with values.'
  static override args = {
    path: string({ ignoreStdin: true, default: '/', description: 'where to begin' }),
  }
  static override flags = {
    full: boolean({ char: 'f', summary: 'Whole paths instead of indentation.' }),
    perms: boolean({ char: 'p', summary: 'Also permissions.' }),
  }

  async run(): Promise<readonly Node[]> {
    const { args, flags } = await this.parse(XenstoreLs)
    return await this.withStore(async (store) => {
      const nodes: Node[] = []
      for await (const { node, depth } of walk(store, args.path, 0)) {
        if (this.jsonEnabled()) {
          nodes.push(node)
          continue
        }
        const name = flags.full
          ? node.path
          : ' '.repeat(depth) + node.path.slice(node.path.lastIndexOf('/') + 1)
        process.stdout.write(
          `${name} = "${node.value}"${flags.perms ? `   (${node.perms.join(',')})` : ''}\n`,
        )
      }
      return nodes
    })
  }
}

/** Everything below a node, parents first, names in the store's order. What vanishes meanwhile is left out. */
async function* walk(
  store: ToolstackClient,
  path: string,
  depth: number,
): AsyncGenerator<{ readonly node: Node; readonly depth: number }> {
  const names =
    depth === 0 ? await forPath(path, store.directory(path)) : await store.directory(path).catch(goneIs([]))
  for (const name of names) {
    const child = below(path, name)
    const [bytes, perms] = await Promise.all([
      store.readBytes(child).catch(goneIs(undefined)),
      store.getPerms(child).catch(goneIs([])),
    ])
    if (bytes === undefined) continue
    yield { node: { path: child, value: showValue(bytes), perms }, depth }
    yield* walk(store, child, depth + 1)
  }
}

const goneIs =
  <T>(value: T) =>
  (error: unknown): T => {
    if (error instanceof XenstoreError && error.code === 'ENOENT') return value
    throw error
  }

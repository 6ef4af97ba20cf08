/** A store in memory with only what a bus needs: values, subtrees, watches. No permissions, no conflicts. */
import type { XenstoreClient, XenstoreTx } from '../../../src/xen/xenhost.ts'

export class MemoryStore implements XenstoreClient {
  readonly nodes = new Map<string, string>()
  readonly perms = new Map<string, readonly string[]>()
  readonly #watches = new Set<{ path: string; onEvent: (path: string) => void }>()

  get watches(): number {
    return this.#watches.size
  }
  #touch(path: string): void {
    for (const watch of [...this.#watches])
      if (path === watch.path || path.startsWith(`${watch.path}/`)) queueMicrotask(() => watch.onEvent(path))
  }
  #missing(path: string): Error {
    return Object.assign(new Error(`${path}: ENOENT`), { code: 'ENOENT' })
  }
  async read(path: string): Promise<string> {
    const value = this.nodes.get(path)
    if (value === undefined) throw this.#missing(path)
    return value
  }
  async readBytes(path: string): Promise<Uint8Array> {
    return new TextEncoder().encode(await this.read(path))
  }
  async write(path: string, value: string | Uint8Array): Promise<void> {
    this.nodes.set(path, typeof value === 'string' ? value : new TextDecoder().decode(value))
    this.#touch(path)
  }
  async mkdir(path: string): Promise<void> {
    if (!this.nodes.has(path)) await this.write(path, '')
  }
  async rm(path: string): Promise<void> {
    const gone = [...this.nodes.keys()].filter((key) => key === path || key.startsWith(`${path}/`))
    if (gone.length === 0) throw this.#missing(path)
    for (const key of gone) this.nodes.delete(key)
    for (const watch of [...this.#watches])
      if (watch.path === path || watch.path.startsWith(`${path}/`))
        queueMicrotask(() => watch.onEvent(watch.path))
  }
  async directory(path: string): Promise<string[]> {
    const below = [...this.nodes.keys()].filter((key) => key.startsWith(`${path}/`))
    return [...new Set(below.map((key) => key.slice(path.length + 1).split('/')[0]!))]
  }
  async getPerms(path: string): Promise<string[]> {
    return [...(this.perms.get(path) ?? [])]
  }
  async setPerms(path: string, perms: readonly string[]): Promise<void> {
    this.perms.set(path, perms)
  }
  async watch(path: string, onEvent: (path: string) => void) {
    const watch = { path, onEvent }
    this.#watches.add(watch)
    queueMicrotask(() => onEvent(path))
    return {
      path,
      token: '1',
      [Symbol.asyncDispose]: async () => {
        this.#watches.delete(watch)
      },
    }
  }
  transaction<T>(body: (tx: XenstoreTx) => Promise<T>): Promise<T> {
    return body({ id: 1 })
  }
}

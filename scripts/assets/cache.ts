/** Where fetched and generated files are kept, outside the tree, and how two programs share it. */
import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** `$XDG_CACHE_HOME/xt`, by default `~/.cache/xt`. */
export function assetCache(): string {
  const base = process.env['XDG_CACHE_HOME']
  return join(base?.startsWith('/') ? base : join(homedir(), '.cache'), 'xt')
}

/** Runs `work` while no other process does the same in this cache directory. `onWait` is called once if it must wait. */
export async function withCacheLock<T>(
  cache: string,
  onWait: () => void,
  work: () => Promise<T>,
): Promise<T> {
  await mkdir(cache, { recursive: true })
  const path = join(cache, 'lock')
  for (let waits = 0; !(await tryLock(path)); waits++) {
    if (waits === 0) onWait()
    await sleep(300)
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

/** The lock is a file with the owner's process id; one whose owner is gone is taken away. */
async function tryLock(path: string): Promise<boolean> {
  const own = `${path}.${randomUUID()}`
  await writeFile(own, String(process.pid))
  try {
    // Unlike a file made and then written, a link is there with its contents or not at all.
    await link(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(own, { force: true })
  }
  const owner = Number(await readFile(path, 'utf8').catch(() => ''))
  if (owner > 0 && !isAlive(owner)) await rm(path, { force: true })
  return false
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Opens the folder of one share, with as many handles for it as this process may have. */
import { readFileSync } from 'node:fs'
import type { P9Device } from './device.ts'
import { p9Errors } from './errors.ts'
import { type Entry, openFolder } from './folder.ts'
import { loadNativeCalls } from './native.ts'

export interface Share extends Disposable {
  readonly root: Entry
  readonly maxFids: number
}

/** Descriptors that disks, sockets and the rest of the process keep for themselves. */
const RESERVED = 256
const MOST_FIDS = 65_536

/** `shares`: among how many the process's descriptors are divided. @throws XtError XT_9PFS_FOLDER */
export async function share({ tag, path, readOnly }: P9Device, shares: number): Promise<Share> {
  // A handle is a descriptor, and another while it is open.
  const maxOpen = Math.min(2 * MOST_FIDS, Math.floor((descriptors() - RESERVED) / shares))
  const native = await loadNativeCalls()
  try {
    const root = openFolder(path, { readOnly, maxOpen, native })
    return { root, maxFids: Math.min(MOST_FIDS, maxOpen), [Symbol.dispose]: () => root.release() }
  } catch (error) {
    throw p9Errors.XT_9PFS_FOLDER(tag, path, reasonOf(error as NodeJS.ErrnoException))
  }
}

/** What this process may have open: Node has raised its limit as far as the system lets it. */
function descriptors(): number {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
  return line === null ? 1024 : Number(line[1])
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such folder'
  if (code === 'ENOTDIR') return 'it is no folder'
  return code === 'EACCES' ? 'you may not open it' : message
}

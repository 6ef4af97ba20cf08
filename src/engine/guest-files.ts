/** The files that a configuration names for the guest, read before anything is built. */
import { readFile, stat } from 'node:fs/promises'
import type { DomainConfig } from '../config/schema.ts'
import { errors } from './errors.ts'

export interface GuestFiles {
  readonly kernel: Uint8Array
  readonly ramdisk?: Uint8Array
}

/** Rejects with XT_KERNEL_MISSING or XT_FILE_UNREADABLE. */
export async function readGuestFiles({ kernel, ramdisk }: DomainConfig): Promise<GuestFiles> {
  if (kernel === undefined) throw errors.XT_KERNEL_MISSING()
  const first = await readGuestFile('kernel', kernel)
  if (ramdisk === undefined) return { kernel: first }
  return { kernel: first, ramdisk: await readGuestFile('ramdisk', ramdisk) }
}

async function readGuestFile(key: string, path: string): Promise<Uint8Array> {
  try {
    // A pipe or a device might never end.
    if ((await stat(path)).isFile()) return await readFile(path)
  } catch (error) {
    throw errors.XT_FILE_UNREADABLE(key, path, reasonOf(error as NodeJS.ErrnoException))
  }
  throw errors.XT_FILE_UNREADABLE(key, path, 'it is no regular file')
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'there is no such file'
  return error.code === 'EACCES' ? 'you may not read it' : error.message
}

/**
 * The files that a guest starts with, read before anything is built: those that the configuration names, or those that
 * its bootloader finds on its disk.
 */
import { readFile, stat } from 'node:fs/promises'
import type { DomainConfig } from '../config/schema.ts'
import { errors } from './errors.ts'
import { type BootloaderHost, withBootloader } from './run-bootloader.ts'

export interface GuestFiles {
  readonly kernel: Uint8Array
  /** For messages. */
  readonly kernelName: string
  readonly ramdisk?: Uint8Array
  readonly cmdline: string
}

/** Rejects with XT_KERNEL_MISSING, XT_FILE_UNREADABLE or the bootloader's errors. */
export async function readGuestFiles(config: DomainConfig, host: BootloaderHost): Promise<GuestFiles> {
  const { bootloader, kernel, ramdisk, cmdline } = config
  if (bootloader !== undefined) {
    const files = { ...config, bootloader }
    return withBootloader(files, host, async (found) => ({
      ...(await readFiles(found)),
      kernelName: `the kernel that ${bootloader} found`,
    }))
  }
  if (kernel === undefined) throw errors.XT_KERNEL_MISSING()
  return readFiles({ kernel, ramdisk, cmdline })
}

async function readFiles(files: {
  readonly kernel: string
  readonly ramdisk?: string | undefined
  readonly cmdline: string
}): Promise<GuestFiles> {
  const { kernel: kernelName, ramdisk, cmdline } = files
  const kernel = await readGuestFile('kernel', kernelName)
  if (ramdisk === undefined) return { kernel, kernelName, cmdline }
  return { kernel, kernelName, cmdline, ramdisk: await readGuestFile('ramdisk', ramdisk) }
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

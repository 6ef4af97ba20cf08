/** Reads the file given to `xt create`, whatever it turns out to be, in bounded time and memory. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { cliErrors } from './errors.ts'

/** Far beyond any configuration; a disk image given by mistake is not read. */
const MOST_BYTES = 8 * 1024 * 1024

/** The text of the file. Rejects with XT_CONFIG_FILE. */
export async function readConfigFile(file: string): Promise<string> {
  try {
    // A FIFO without a writer must not block the open.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = await handle.stat()
    if (stat.isDirectory()) throw cliErrors.XT_CONFIG_FILE(file, 'Is a directory')
    if (!stat.isFile()) throw cliErrors.XT_CONFIG_FILE(file, 'Not a regular file')
    if (stat.size > MOST_BYTES) throw cliErrors.XT_CONFIG_FILE(file, 'File too large')
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await handle.readFile())
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'ENOENT') throw cliErrors.XT_CONFIG_FILE(file, 'No such file or directory')
    if (code === 'EACCES') throw cliErrors.XT_CONFIG_FILE(file, 'Permission denied')
    if (code === 'ENOTDIR') throw cliErrors.XT_CONFIG_FILE(file, 'Not a directory')
    if (code === 'ENXIO') throw cliErrors.XT_CONFIG_FILE(file, 'Not a regular file')
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') throw cliErrors.XT_CONFIG_FILE(file, 'Not UTF-8 text')
    throw error
  }
}

/**
 * The only file of the configuration with I/O: reads cfg files, whatever they turn out to be, and xt's own
 * settings (cosmiconfig: xt.config.js, .xtrc, .xtrc.json, .xtrc.yaml ..., also in ~/.config).
 */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { issueSentence } from '../base/issue-words.ts'
import { configErrors } from './errors.ts'
import { type XtSettings, xtSettingsSchema } from './xt-settings.ts'

/** Far beyond any configuration; a disk image given by mistake is not read. */
export const MOST_BYTES = 4 * 1024 * 1024

/**
 * The text of a cfg file (decoded as `decodeText` does). Rejects with XT_CONFIG_FILE, in bounded time and memory: a
 * directory, a FIFO, a device and a file that is too large are refused before anything is read.
 */
export async function readConfigFile(file: string): Promise<string> {
  try {
    // A FIFO without a writer would block the open otherwise.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = await handle.stat()
    // xl's way to say that everything is on the command line.
    if (file === '/dev/null') return ''
    if (stat.isDirectory()) throw configErrors.XT_CONFIG_FILE(file, 'Is a directory')
    if (!stat.isFile()) throw configErrors.XT_CONFIG_FILE(file, 'Not a regular file')
    if (stat.size > MOST_BYTES)
      throw configErrors.XT_CONFIG_FILE(file, 'Larger than 4 MiB, as no configuration is')
    // Read by hand: the file may grow while it is read.
    const buffer = Buffer.alloc(Number(stat.size) + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length)
      length += bytesRead
      if (bytesRead === 0) return decodeText(buffer.subarray(0, length))
      if (length === buffer.length) throw configErrors.XT_CONFIG_FILE(file, 'File changed while it was read')
    }
  } catch (error) {
    const reason = REASONS[(error as { code?: string }).code ?? '']
    throw reason === undefined ? error : configErrors.XT_CONFIG_FILE(file, reason)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  ENOTDIR: 'Not a directory',
  EACCES: 'Permission denied',
  ELOOP: 'Too many levels of symbolic links',
  ENAMETOOLONG: 'File name too long',
  ENXIO: 'Not a regular file',
  ERR_INVALID_ARG_VALUE: 'Not a file name',
}

/**
 * Bytes as text: UTF-8, and every byte that is none as U+DC80 to U+DCFF, so that the parser can say where it
 * stands (xl itself does not mind such bytes in strings and comments). A byte order mark stays.
 */
export function decodeText(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  return text.includes('\ufffd') ? decodeSlowly(bytes) : text
}

function decodeSlowly(bytes: Uint8Array): string {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const parts: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at)
    try {
      parts.push(length === 0 ? lone(bytes[at]!) : strict.decode(bytes.subarray(at, at + length)))
      at += Math.max(1, length)
    } catch {
      parts.push(lone(bytes[at]!))
      at++
    }
  }
  return parts.join('')
}

const lone = (byte: number) => String.fromCharCode(0xdc00 + byte)

/** Length of the character that starts here by its first byte; of ASCII text, up to its end; 0 for none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!
  if (first >= 0xf0 && first < 0xf8) return 4
  if (first >= 0xe0) return first < 0xf0 ? 3 : 0
  if (first >= 0xc0) return 2
  if (first >= 0x80) return 0
  let end = at + 1
  while (end < bytes.length && bytes[end]! < 0x80) end++
  return end - at
}

/** xt's own settings, from the nearest configuration file; the defaults without one. Rejects with XT_CONFIG_SETTINGS. */
export async function loadXtSettings(
  from: string = process.cwd(),
): Promise<XtSettings & { readonly file?: string }> {
  // Loaded here: commands that need no settings must start fast.
  const { cosmiconfig, getDefaultSearchPlaces } = await import('cosmiconfig')
  // "xt" in a package.json says that the package is a plugin; it is no place for settings.
  const searchPlaces = getDefaultSearchPlaces('xt').filter((place) => !place.startsWith('package.'))
  const explorer = cosmiconfig('xt', { searchStrategy: 'global', searchPlaces })
  const found = await explorer.search(from).catch((error: Error) => {
    throw configErrors.XT_CONFIG_SETTINGS((error as { filepath?: string }).filepath ?? from, error.message)
  })
  const result = xtSettingsSchema.safeParse(found?.isEmpty === true ? {} : (found?.config ?? {}))
  if (result.success) return found === null ? result.data : { ...result.data, file: found.filepath }
  const problems = result.error.issues.map((issue) => issueSentence(issue, issue.path.join('.')))
  throw configErrors.XT_CONFIG_SETTINGS(found?.filepath ?? from, problems.join('; '))
}

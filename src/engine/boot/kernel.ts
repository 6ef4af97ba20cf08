/**
 * From a kernel file to its loadable segments: a bzImage is opened, a compressed kernel unpacked, an ELF file taken
 * as it is.
 */
import { bzImagePayload, isBzImage } from './bzimage.ts'
import { decompress, formatOf } from './decompress.ts'
import { type ElfKernel, isElf, parseElfKernel } from './elf.ts'
import { bootErrors } from './errors.ts'

export interface ReadKernel {
  readonly kernel: ElfKernel
  /** What the kernel's segments are views of, where it was unpacked: nobody else holds it. */
  readonly unpacked: Uint8Array | undefined
}

/**
 * @param limit the most bytes the kernel may unpack to
 * @throws XtError of bootErrors
 */
export function readKernel(file: Uint8Array, name: string, limit: number): ReadKernel {
  const hasSetup = isBzImage(file)
  const payload = hasSetup ? bzImagePayload(file, name) : file
  if (isElf(payload)) return { kernel: parseElfKernel(payload, name), unpacked: undefined }
  const format = formatOf(payload)
  if (format === undefined) {
    if (!hasSetup) throw bootErrors.XT_BOOT_NOT_A_KERNEL(name)
    const magic = Array.from(payload.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0'))
    throw bootErrors.XT_BOOT_UNKNOWN_COMPRESSION(name, magic.join(' '))
  }
  const unpacked = decompress(payload, format, { name, limit, hasSizeTrailer: hasSetup })
  if (!isElf(unpacked)) throw bootErrors.XT_BOOT_NOT_A_KERNEL(name)
  return { kernel: parseElfKernel(unpacked, name), unpacked }
}

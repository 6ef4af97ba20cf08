/**
 * Finds the compressed kernel inside a Linux bzImage (Linux Documentation/arch/x86/boot.rst, protocol 2.08 and
 * later), as Xen's domain builder does: setup code and decompressor are skipped.
 */
import { bootErrors } from './errors.ts'

/** Offsets in the file of the setup header's fields. */
const SETUP_SECTS = 0x1f1
const HEADER_MAGIC = 0x202
const VERSION = 0x206
const PAYLOAD_OFFSET = 0x248
const PAYLOAD_LENGTH = 0x24c
const HDRS = 0x53726448
/** Sectors of setup code meant by a zero in `setup_sects`. */
const DEFAULT_SETUP_SECTS = 4
const SECTOR = 512

export function isBzImage(file: Uint8Array): boolean {
  return file.length >= VERSION + 2 && viewOf(file).getUint32(HEADER_MAGIC, true) === HDRS
}

/**
 * The packed kernel. Its last four bytes are the unpacked size: part of the gzip format, appended by Linux' build
 * to every other format.
 * @throws XtError XT_BOOT_BZIMAGE_TOO_OLD, XT_BOOT_KERNEL_TRUNCATED
 */
export function bzImagePayload(file: Uint8Array, name: string): Uint8Array {
  const view = viewOf(file)
  const version = view.getUint16(VERSION, true)
  if (version < 0x208) throw bootErrors.XT_BOOT_BZIMAGE_TOO_OLD(name, version)
  const need = (bytes: number): void => {
    if (bytes > file.length) throw bootErrors.XT_BOOT_KERNEL_TRUNCATED(name, bytes, file.length)
  }
  need(PAYLOAD_LENGTH + 4)
  const setupSects = file[SETUP_SECTS] || DEFAULT_SETUP_SECTS
  const start = (setupSects + 1) * SECTOR + view.getUint32(PAYLOAD_OFFSET, true)
  const length = view.getUint32(PAYLOAD_LENGTH, true)
  need(start + length)
  return file.subarray(start, start + length)
}

function viewOf(file: Uint8Array): DataView {
  return new DataView(file.buffer, file.byteOffset, file.byteLength)
}

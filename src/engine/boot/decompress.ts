/**
 * Unpacks a kernel whatever it is packed with: the formats that Linux' build knows (Kconfig KERNEL_GZIP ... ZSTD),
 * told apart by their magic as in Xen's domain builder.
 *
 * gzip and zstd are node's, the others ours (decode/). Whatever goes wrong leaves as one XtError.
 */
import { crc32, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { unbzip2 } from './decode/bzip2.ts'
import { unlz4 } from './decode/lz4.ts'
import { unlzma } from './decode/lzma-alone.ts'
import { unlzo } from './decode/lzo.ts'
import { CorruptData, OutputLimit } from './decode/output.ts'
import { unxz } from './decode/xz.ts'
import { bootErrors } from './errors.ts'

export type Format = 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzo' | 'lz4' | 'zstd'

/** First bytes of each format. */
const MAGICS: readonly (readonly [Format, ...number[]])[] = [
  ['gzip', 0x1f, 0x8b],
  ['bzip2', 0x42, 0x5a, 0x68],
  ['xz', 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  ['lzma', 0x5d, 0x00, 0x00],
  ['lzo', 0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a],
  ['lz4', 0x02, 0x21, 0x4c, 0x18],
  ['zstd', 0x28, 0xb5, 0x2f, 0xfd],
]

/** A promised size is believed, for allocating at once, up to this many times the packed size. */
const BELIEVABLE_RATIO = 64

export function formatOf(bytes: Uint8Array): Format | undefined {
  return MAGICS.find(([, ...magic]) => magic.every((byte, i) => bytes[i] === byte))?.[0]
}

export interface DecompressOptions {
  /** File name for messages. */
  readonly name: string
  /** The most bytes that may come out. */
  readonly limit: number
  /** The data ends with its unpacked size as a 32-bit little-endian word, as in a bzImage. */
  readonly hasSizeTrailer: boolean
}

/** @throws XtError XT_BOOT_BAD_COMPRESSED_DATA, XT_BOOT_KERNEL_TOO_LARGE */
export function decompress(bytes: Uint8Array, format: Format, options: DecompressOptions): Uint8Array {
  const { name, limit } = options
  let packed = bytes
  let expected: number | undefined
  if (options.hasSizeTrailer && bytes.length >= 4) {
    expected = new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4, true)
    // gzip's own last field is this very word; to the other formats it is foreign.
    if (format !== 'gzip') packed = bytes.subarray(0, -4)
  }
  let unpacked: Uint8Array
  try {
    const hint = Math.min(expected ?? 0, limit, packed.length * BELIEVABLE_RATIO)
    unpacked = unpack(packed, format, limit, hint)
  } catch (error) {
    if (error instanceof OutputLimit || codeOf(error) === 'ERR_BUFFER_TOO_LARGE') {
      throw bootErrors.XT_BOOT_KERNEL_TOO_LARGE(name, limit)
    }
    if (error instanceof CorruptData || codeOf(error) !== undefined) {
      throw bootErrors.XT_BOOT_BAD_COMPRESSED_DATA(name, format, (error as Error).message)
    }
    throw error
  }
  if (expected !== undefined && unpacked.length !== expected) {
    const reason = `${unpacked.length} bytes came out, ${expected} were promised`
    throw bootErrors.XT_BOOT_BAD_COMPRESSED_DATA(name, format, reason)
  }
  return unpacked
}

function unpack(packed: Uint8Array, format: Format, limit: number, expected: number): Uint8Array {
  // With room for one byte more than comes out, node needs a single chunk and leaves no garbage.
  const options = { maxOutputLength: limit, chunkSize: Math.max(expected + 1, 65536) }
  switch (format) {
    case 'gzip':
      return gunzipSync(packed, options)
    case 'zstd':
      return zstdDecompressSync(packed, options)
    case 'xz':
      return unxz(packed, limit, expected, crc32)
    case 'lzma':
      return unlzma(packed, limit, expected)
    case 'bzip2':
      return unbzip2(packed, limit, expected)
    case 'lzo':
      return unlzo(packed, limit, expected)
    case 'lz4':
      return unlz4(packed, limit, expected)
  }
}

/** node:zlib's errors carry a code (Z_DATA_ERROR, ZSTD_error_..., ERR_BUFFER_TOO_LARGE). */
function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? code : undefined
}

/**
 * What Xen's domain builder does with a ramdisk: a gzip file is unpacked, which the host does faster than the
 * guest. Everything else, also a gzip file followed by more, is undefined: the guest gets the file as it is.
 */
export function gunzipRamdisk(ramdisk: Uint8Array, limit: number): Uint8Array | undefined {
  if (formatOf(ramdisk) !== 'gzip') return undefined
  try {
    return decompress(ramdisk, 'gzip', { name: 'ramdisk', limit, hasSizeTrailer: true })
  } catch {
    return undefined
  }
}

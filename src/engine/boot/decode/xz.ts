/**
 * The .xz container with LZMA2 and the x86 filter, which is what Linux' build makes for x86 (the .xz file format
 * 1.2, tukaani.org/xz; LZMA2 chunks as in Linux Documentation/staging/xz.rst and xz-embedded).
 *
 * One stream. CRC32 of headers and data is verified; CRC64 and SHA-256 are skipped over, and so is the index. Other
 * filters are refused by number.
 */
import { LzmaDecoder } from './lzma.ts'
import { CorruptData, Output } from './output.ts'
import { unfilterX86 } from './x86-filter.ts'

/** node:zlib's crc32, handed in so that the decoders stay free of node. */
export type Crc32 = (bytes: Uint8Array) => number

const STREAM_HEADER_BYTES = 12
const CHECK_CRC32 = 1
/** Bytes of each check type (section 2.1.1.2). */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]
const FILTER_X86 = 0x04
const FILTER_LZMA2 = 0x21
/** LZMA2's lc + lp may not be more. */
const LZMA2_LITERAL_BITS = 4

/** @throws CorruptData, OutputLimit */
export function unxz(input: Uint8Array, limit: number, expected: number, crc32: Crc32): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  const need = (end: number): void => {
    if (end > input.length) throw new CorruptData('it ends within a header')
  }
  need(STREAM_HEADER_BYTES)
  if (crc32(input.subarray(6, 8)) !== view.getUint32(8, true))
    throw new CorruptData('the stream header is damaged')
  const checkType = input[7]! & 15
  const out = new Output(limit, expected)
  let at = STREAM_HEADER_BYTES
  for (;;) {
    need(at + 1)
    // A zero where a block header would have its size: the index.
    if (input[at] === 0) return out.finish()
    const headerSize = (input[at]! + 1) * 4
    need(at + headerSize)
    const headerEnd = at + headerSize - 4
    if (crc32(input.subarray(at, headerEnd)) !== view.getUint32(headerEnd, true)) {
      throw new CorruptData('a block header is damaged')
    }
    const hasX86Filter = readFilters(input.subarray(at + 1, headerEnd))
    const dataStart = at + headerSize
    const outStart = out.length
    const dataEnd = unpackLzma2(input, dataStart, out)
    const block = out.bytes.subarray(outStart, out.length)
    if (hasX86Filter) unfilterX86(block)
    // Blocks are padded to four bytes, counted from their own start, which is aligned itself.
    const checkAt = dataStart + Math.ceil((dataEnd - dataStart) / 4) * 4
    at = checkAt + CHECK_SIZES[checkType]!
    need(at)
    if (checkType === CHECK_CRC32 && crc32(block) !== view.getUint32(checkAt, true)) {
      throw new CorruptData('the checksum of a block does not match')
    }
  }
}

/** Reads a block header behind its size byte; answers whether the x86 filter stands before LZMA2. */
function readFilters(header: Uint8Array): boolean {
  let at = 1
  const integer = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = header[at++]
      if (byte === undefined || scale > 2 ** 49) throw new CorruptData('a block header is broken')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  const flags = header[0]!
  if (flags & 0x40) integer() // packed size
  if (flags & 0x80) integer() // unpacked size
  const filters: number[] = []
  for (let i = 0; i <= (flags & 3); i++) {
    const id = integer()
    const propsSize = integer()
    // The x86 filter's only property is a start offset, which Linux' build leaves at zero.
    if (id === FILTER_X86 && propsSize !== 0) throw new CorruptData('the x86 filter has a start offset')
    at += propsSize
    filters.push(id)
  }
  const last = filters.pop()
  const unknown = last !== FILTER_LZMA2 ? last : filters.find((id) => id !== FILTER_X86)
  if (unknown !== undefined) throw new CorruptData(`it uses xz filter 0x${unknown.toString(16)}`)
  if (filters.length > 1) throw new CorruptData('it uses the x86 filter more than once')
  return filters.length === 1
}

/** Unpacks the chunks of one block; answers the position behind them. */
function unpackLzma2(input: Uint8Array, start: number, out: Output): number {
  const decoder = new LzmaDecoder(input, out)
  let at = start
  const byte = (): number => {
    if (at >= input.length) throw new CorruptData('it ends within a chunk header')
    return input[at++]!
  }
  const u16 = (): number => (byte() << 8) | byte()
  let needsDictionary = true
  let needsProperties = true
  for (;;) {
    const control = byte()
    if (control === 0) return at
    const resetsDictionary = control === 1 || control >= 0xe0
    if (resetsDictionary) decoder.resetDictionary()
    else if (needsDictionary) throw new CorruptData('the first chunk does not reset the dictionary')
    needsDictionary = false
    if (control < 0x80) {
      if (control > 2) throw new CorruptData('unknown kind of chunk')
      const size = u16() + 1
      if (at + size > input.length) throw new CorruptData('it ends within a stored chunk')
      out.append(input.subarray(at, at + size))
      at += size
      continue
    }
    const unpacked = ((control & 31) << 16) + u16() + 1
    const packed = u16() + 1
    if (control >= 0xc0) {
      decoder.setProperties(byte())
      if (decoder.literalContextBits > LZMA2_LITERAL_BITS)
        throw new CorruptData('impossible LZMA2 properties')
      needsProperties = false
    } else if (needsProperties) throw new CorruptData('the first packed chunk has no properties')
    if (control >= 0xa0) decoder.resetState()
    if (at + packed > input.length) throw new CorruptData('it ends within a chunk')
    decoder.startRange(at, at + packed)
    const hitMarker = decoder.decode(out.length + unpacked)
    at += packed
    if (hitMarker || !decoder.isFinished) throw new CorruptData('a chunk does not end where it says')
  }
}

/**
 * LZ4 in the legacy frame that Linux uses for kernels (lz4 doc/lz4_Frame_format.md "Legacy frame" and
 * doc/lz4_Block_format.md): a magic word, then blocks of at most 8 MiB, each independent, without checksums.
 */
import { CorruptData, Output } from './output.ts'

const LEGACY_MAGIC = 0x184c2102
const MIN_MATCH = 4
const BLOCK_LIMIT = 8 << 20

/** Unpacks one legacy frame (or several in a row, as `lz4` concatenates them). @throws CorruptData, OutputLimit */
export function unlz4(input: Uint8Array, limit: number, expected: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  const out = new Output(limit, expected)
  for (let at = 4; at < input.length; ) {
    if (at + 4 > input.length) throw new CorruptData('it ends within a block header')
    const size = view.getUint32(at, true)
    at += 4
    if (size === LEGACY_MAGIC) continue
    if (at + size > input.length) throw new CorruptData('it ends within a block')
    unpackBlock(input, at, at + size, out)
    at += size
  }
  return out.finish()
}

function unpackBlock(input: Uint8Array, start: number, end: number, out: Output): void {
  const blockStart = out.length
  let at = start
  /** The rest of a length whose 4-bit field was 15: bytes are added until one is not 255. */
  const longLength = (): number => {
    let sum = 0
    let byte: number
    do {
      if (at >= end) throw new CorruptData('a length runs over the end of its block')
      byte = input[at++]!
      sum += byte
    } while (byte === 255)
    return sum
  }
  while (at < end) {
    const token = input[at++]!
    let literals = token >> 4
    if (literals === 15) literals += longLength()
    if (at + literals > end) throw new CorruptData('literals run over the end of their block')
    out.reserve(literals)
    if (literals > 32) out.bytes.set(input.subarray(at, at + literals), out.length)
    else for (let i = 0; i < literals; i++) out.bytes[out.length + i] = input[at + i]!
    out.length += literals
    at += literals
    // The last sequence of a block has no match.
    if (at === end) break
    if (at + 2 > end) throw new CorruptData('it ends within a match')
    const distance = input[at]! | (input[at + 1]! << 8)
    at += 2
    let length = (token & 15) + MIN_MATCH
    if ((token & 15) === 15) length += longLength()
    if (distance === 0 || distance > out.length - blockStart)
      throw new CorruptData('a match points before its block')
    if (out.length - blockStart + length > BLOCK_LIMIT)
      throw new CorruptData('a block unpacks to more than 8 MiB')
    out.copyBack(distance, length)
  }
}

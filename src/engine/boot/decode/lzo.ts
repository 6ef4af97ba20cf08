/**
 * LZO1X in lzop's container, the format of Linux' CONFIG_KERNEL_LZO (lzop's header as in Linux lib/decompress_unlzo.c;
 * instruction set after Linux Documentation/staging/lzo.rst, bitstream version 0).
 *
 * Block checksums are Adler-32 of the unpacked data where the file has them; lzop's CRC-32 variant is skipped over.
 */
import { CorruptData, Output } from './output.ts'

const MAGIC_BYTES = 9
const F_ADLER32_D = 0x1
const F_ADLER32_C = 0x2
const F_H_EXTRA_FIELD = 0x40
const F_CRC32_D = 0x100
const F_CRC32_C = 0x200
const F_H_FILTER = 0x800
/** lzop's own bound on a block. */
const MAX_BLOCK = 64 << 20

/** @throws CorruptData, OutputLimit */
export function unlzo(input: Uint8Array, limit: number, expected: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  let at = MAGIC_BYTES
  const take = (width: 1 | 2 | 4): number => {
    if (at + width > input.length) throw new CorruptData('it ends within a header')
    const value = width === 1 ? input[at]! : width === 2 ? view.getUint16(at) : view.getUint32(at)
    at += width
    return value
  }
  const skip = (bytes: number): void => {
    at += bytes
  }
  const version = take(2)
  take(2) // library version
  if (version >= 0x940) take(2) // version needed
  const method = take(1)
  if (method < 1 || method > 3) throw new CorruptData(`unknown lzop method ${method}`)
  if (version >= 0x940) take(1) // level
  const flags = take(4)
  if (flags & F_H_FILTER) throw new CorruptData('it uses an lzop filter')
  take(4) // mode
  take(4) // mtime
  if (version >= 0x940) take(4)
  skip(take(1)) // file name
  take(4) // header checksum
  if (flags & F_H_EXTRA_FIELD) {
    skip(take(4))
    take(4)
  }
  const out = new Output(limit, expected)
  for (;;) {
    const unpacked = take(4)
    if (unpacked === 0) return out.finish()
    const packed = take(4)
    if (unpacked > MAX_BLOCK || packed > unpacked) throw new CorruptData('a block has an impossible size')
    const adler = flags & F_ADLER32_D ? take(4) : undefined
    if (flags & F_CRC32_D) take(4)
    if (packed < unpacked && flags & F_ADLER32_C) take(4)
    if (packed < unpacked && flags & F_CRC32_C) take(4)
    if (at + packed > input.length) throw new CorruptData('it ends within a block')
    const block = input.subarray(at, at + packed)
    const start = out.length
    if (packed === unpacked) out.append(block)
    else unpackBlock(block, out, start + unpacked)
    if (adler !== undefined && adler !== adler32(out.bytes.subarray(start, out.length))) {
      throw new CorruptData('the checksum of a block does not match')
    }
    at += packed
  }
}

/** One LZO1X block; it must end with its end mark exactly at `outEnd`. */
function unpackBlock(input: Uint8Array, out: Output, outEnd: number): void {
  const outStart = out.length
  let at = 0
  const byte = (): number => {
    if (at >= input.length) throw new CorruptData('it ends within an instruction')
    return input[at++]!
  }
  /** A length whose field was 0: every zero byte adds 255, the first other byte ends it. */
  const longLength = (base: number): number => {
    let length = base
    let next = byte()
    for (; next === 0; next = byte()) length += 255
    return length + next
  }
  const literals = (count: number): void => {
    if (at + count > input.length || out.length + count > outEnd)
      throw new CorruptData('literals run over the end of a block')
    out.append(input.subarray(at, at + count))
    at += count
  }
  const match = (distance: number, length: number): void => {
    if (distance > out.length - outStart) throw new CorruptData('a match points before its block')
    if (out.length + length > outEnd) throw new CorruptData('a block unpacks to more than it says')
    out.copyBack(distance, length)
  }

  /** Literals that the previous instruction copied; 4 stands for "a long run". It changes the meaning of 0..15. */
  let state = 0
  const first = byte()
  if (first > 17) {
    literals(first - 17)
    state = Math.min(first - 17, 4)
  } else at = 0

  for (;;) {
    const op = byte()
    if (op < 16 && state === 0) {
      literals(op === 0 ? longLength(15) + 3 : op + 3)
      state = 4
      continue
    }
    let trailing = op & 3
    if (op >= 64) {
      const length = op >= 128 ? 5 + ((op >> 5) & 3) : 3 + ((op >> 5) & 1)
      match((byte() << 3) + ((op >> 2) & 7) + 1, length)
    } else if (op >= 16) {
      const isNear = op >= 32
      const field = isNear ? op & 31 : op & 7
      const length = 2 + (field === 0 ? longLength(isNear ? 31 : 7) : field)
      const word = byte() | (byte() << 8)
      trailing = word & 3
      const distance = isNear ? (word >> 2) + 1 : 16384 + ((op & 8) << 11) + (word >> 2)
      if (!isNear && distance === 16384) {
        if (out.length !== outEnd || at !== input.length)
          throw new CorruptData('a block ends at the wrong place')
        return
      }
      match(distance, length)
    } else {
      const near = (byte() << 2) + (op >> 2)
      if (state === 4) match(near + 2049, 3)
      else match(near + 1, 2)
    }
    literals(trailing)
    state = trailing
  }
}

function adler32(bytes: Uint8Array): number {
  let a = 1
  let b = 0
  for (let at = 0; at < bytes.length; ) {
    // 3800 bytes keep both sums below 2^31.
    for (const end = Math.min(at + 3800, bytes.length); at < end; at++) {
      a += bytes[at]!
      b += a
    }
    a %= 65521
    b %= 65521
  }
  return ((b << 16) | a) >>> 0
}

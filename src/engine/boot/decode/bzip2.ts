/**
 * bzip2 (the format as the reference program bzip2 1.0 reads it: Huffman groups, move-to-front, Burrows-Wheeler,
 * run lengths). Each block's CRC is verified. Left out: "randomised" blocks, which no bzip2 since 0.9.5 writes.
 */
import { CorruptData, Output } from './output.ts'

const BLOCK_MAGIC_HIGH = 0x314159
const BLOCK_MAGIC_LOW = 0x265359
const END_MAGIC_HIGH = 0x177245
const END_MAGIC_LOW = 0x385090
const MAX_CODE_BITS = 20
const GROUP_SIZE = 50
const RUN_B = 1

/** @throws CorruptData, OutputLimit */
export function unbzip2(input: Uint8Array, limit: number, expected: number): Uint8Array {
  const bits = new BitReader(input)
  const out = new Output(limit, expected)
  bits.read(16)
  const level = bits.read(16) - 0x6830
  if (level < 1 || level > 9) throw new CorruptData('its header is damaged')
  const columns = new Uint32Array(level * 100_000)
  for (;;) {
    const [high, low] = [bits.read(24), bits.read(24)]
    if (high === END_MAGIC_HIGH && low === END_MAGIC_LOW) return out.finish()
    if (high !== BLOCK_MAGIC_HIGH || low !== BLOCK_MAGIC_LOW) throw new CorruptData('a block has no header')
    const crc = ((bits.read(16) << 16) | bits.read(16)) >>> 0
    if (bits.read(1) !== 0) throw new CorruptData('it has randomised blocks')
    const origin = bits.read(24)
    const count = readBlock(bits, columns)
    if (origin >= count) throw new CorruptData('a block starts outside itself')
    const start = out.length
    undoTransform(columns, count, origin, out)
    if (blockCrc(out.bytes, start, out.length) !== crc)
      throw new CorruptData('the checksum of a block does not match')
  }
}

class BitReader {
  readonly #input: Uint8Array
  #at = 0
  #held = 0
  #count = 0

  constructor(input: Uint8Array) {
    this.#input = input
  }

  /** Up to 24 bits, most significant first. */
  read(count: number): number {
    while (this.#count < count) {
      if (this.#at >= this.#input.length) throw new CorruptData('it ends too early')
      this.#held = ((this.#held & 0xffffff) << 8) | this.#input[this.#at++]!
      this.#count += 8
    }
    this.#count -= count
    return (this.#held >>> this.#count) & (2 ** count - 1)
  }
}

/** A canonical Huffman code: for each length the first code, and where its symbols lie in `symbols`. */
interface Code {
  readonly first: Int32Array
  readonly counts: Int32Array
  readonly symbols: Uint16Array
}

function makeCode(lengths: Uint8Array): Code {
  const counts = new Int32Array(MAX_CODE_BITS + 1)
  for (const length of lengths) counts[length]!++
  const first = new Int32Array(MAX_CODE_BITS + 1)
  const offsets = new Int32Array(MAX_CODE_BITS + 1)
  for (let n = 1, code = 0, offset = 0; n <= MAX_CODE_BITS; n++) {
    first[n] = code
    offsets[n] = offset
    code = (code + counts[n]!) << 1
    offset += counts[n]!
  }
  const symbols = new Uint16Array(lengths.length)
  for (let s = 0; s < lengths.length; s++) symbols[offsets[lengths[s]!]!++] = s
  return { first, counts, symbols }
}

function readSymbol(bits: BitReader, code: Code): number {
  let value = 0
  for (let n = 1, offset = 0; n <= MAX_CODE_BITS; n++) {
    value = (value << 1) | bits.read(1)
    const index = value - code.first[n]!
    if (index >= 0 && index < code.counts[n]!) return code.symbols[offset + index]!
    offset += code.counts[n]!
  }
  throw new CorruptData('a symbol has no meaning')
}

/** Reads one block's last column into the low bytes of `columns`; answers its length. */
function readBlock(bits: BitReader, columns: Uint32Array): number {
  const order = readAlphabet(bits)
  const groups = bits.read(3)
  const selectorCount = bits.read(15)
  if (groups < 2 || groups > 6 || selectorCount === 0) throw new CorruptData('a block header is broken')
  const selectors = readSelectors(bits, groups, selectorCount)
  const alphabet = order.length + 2
  const codes = Array.from({ length: groups }, () => makeCode(readLengths(bits, alphabet)))
  const endOfBlock = alphabet - 1
  let count = 0
  let run = 0
  let runScale = 1
  const put = (byte: number, times: number): void => {
    if (count + times > columns.length) throw new CorruptData('a block is longer than its level allows')
    columns.fill(byte, count, count + times)
    count += times
  }
  for (let read = 0; ; read++) {
    const selector = selectors[Math.floor(read / GROUP_SIZE)]
    if (selector === undefined) throw new CorruptData('a block has too few selectors')
    const symbol = readSymbol(bits, codes[selector]!)
    if (symbol <= RUN_B) {
      // Runs are counted in base 2 with the digits 1 and 2.
      run += runScale << symbol
      runScale *= 2
      if (run > columns.length) throw new CorruptData('a run is longer than its block')
      continue
    }
    if (run > 0) {
      put(order[0]!, run)
      run = 0
      runScale = 1
    }
    if (symbol === endOfBlock) return count
    const byte = order[symbol - 1]!
    order.copyWithin(1, 0, symbol - 1)
    order[0] = byte
    put(byte, 1)
  }
}

/** The bytes that occur in the block, in ascending order. */
function readAlphabet(bits: BitReader): Uint8Array {
  const ranges = bits.read(16)
  const used: number[] = []
  for (let i = 0; i < 16; i++) {
    if (!((ranges >> (15 - i)) & 1)) continue
    const range = bits.read(16)
    for (let j = 0; j < 16; j++) if ((range >> (15 - j)) & 1) used.push(i * 16 + j)
  }
  if (used.length === 0) throw new CorruptData('a block uses no bytes')
  return Uint8Array.from(used)
}

function readSelectors(bits: BitReader, groups: number, count: number): Uint8Array {
  const order = [0, 1, 2, 3, 4, 5].slice(0, groups)
  const selectors = new Uint8Array(count)
  for (let i = 0; i < count; i++) {
    let index = 0
    while (bits.read(1) === 1) if (++index >= groups) throw new CorruptData('a selector is out of range')
    const [group] = order.splice(index, 1)
    order.unshift(group!)
    selectors[i] = group!
  }
  return selectors
}

function readLengths(bits: BitReader, alphabet: number): Uint8Array {
  const lengths = new Uint8Array(alphabet)
  let length = bits.read(5)
  for (let s = 0; s < alphabet; s++) {
    for (;;) {
      if (length < 1 || length > MAX_CODE_BITS) throw new CorruptData('a code length is out of range')
      if (bits.read(1) === 0) break
      length += bits.read(1) === 0 ? 1 : -1
    }
    lengths[s] = length
  }
  return lengths
}

/** Undoes Burrows-Wheeler and the outermost run lengths (four equal bytes, then a count of more). */
function undoTransform(columns: Uint32Array, count: number, origin: number, out: Output): void {
  const starts = new Uint32Array(256)
  for (let i = 0; i < count; i++) starts[columns[i]! & 255]!++
  for (let byte = 0, sum = 0; byte < 256; byte++) {
    const n = starts[byte]!
    starts[byte] = sum
    sum += n
  }
  // Each word: the byte in the low 8 bits, the index of its successor above.
  for (let i = 0; i < count; i++) columns[starts[columns[i]! & 255]!++]! |= i << 8
  let word = columns[columns[origin]! >>> 8]!
  let repeats = 0
  let previous = -1
  for (let i = 0; i < count; i++) {
    const byte = word & 255
    word = columns[word >>> 8]!
    if (repeats === 4) {
      out.reserve(byte)
      out.bytes.fill(previous, out.length, out.length + byte)
      out.length += byte
      repeats = 0
      previous = -1
      continue
    }
    repeats = byte === previous ? repeats + 1 : 1
    previous = byte
    out.reserve(1)
    out.bytes[out.length++] = byte
  }
}

/** CRC-32 with the most significant bit first, unlike zip's. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24
  for (let i = 0; i < 8; i++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  return crc >>> 0
})

function blockCrc(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1
  for (let i = start; i < end; i++) crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ bytes[i]!]!
  return ~crc >>> 0
}

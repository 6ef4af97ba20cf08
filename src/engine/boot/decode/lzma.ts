/**
 * The LZMA decoder proper, shared by the .lzma and .xz containers (7-Zip's lzma-specification.txt; names of the
 * probability groups are its names).
 *
 * Range and code live as 32-bit integers in fields: on the order of 100 million decoded bits a kernel, this is
 * where unpacking time goes. Reads past the input's end yield zeros and are noticed once a symbol.
 */
import { CorruptData, type Output } from './output.ts'

const STATES = 12
const POS_STATES_MAX = 16
const LEN_TO_POS_STATES = 4
const END_POS_MODEL = 14
const FULL_DISTANCES = 1 << (END_POS_MODEL >> 1)
const ALIGN_BITS = 4
const MATCH_MIN = 2
const PROB_INIT = 1024
const TOP = 1 << 24

/** Offsets of the groups in the one array of probabilities. */
const IS_MATCH = 0
const IS_REP = IS_MATCH + STATES * POS_STATES_MAX
const IS_REP_G0 = IS_REP + STATES
const IS_REP_G1 = IS_REP_G0 + STATES
const IS_REP_G2 = IS_REP_G1 + STATES
const IS_REP0_LONG = IS_REP_G2 + STATES
const POS_SLOT = IS_REP0_LONG + STATES * POS_STATES_MAX
const POS_SPECIAL = POS_SLOT + LEN_TO_POS_STATES * 64
const ALIGN = POS_SPECIAL + FULL_DISTANCES - END_POS_MODEL + 1
/** A length coder: two choices, 16 low and 16 middle trees of 8, one high tree of 256. */
const LEN_LOW = 2
const LEN_MID = LEN_LOW + POS_STATES_MAX * 8
const LEN_HIGH = LEN_MID + POS_STATES_MAX * 8
const LEN_SIZE = LEN_HIGH + 256
const MATCH_LEN = ALIGN + (1 << ALIGN_BITS)
const REP_LEN = MATCH_LEN + LEN_SIZE
const LITERAL = REP_LEN + LEN_SIZE

export class LzmaDecoder {
  readonly #input: Uint8Array
  readonly #out: Output
  /** Distances may not reach before this position of the output. */
  #dictStart = 0
  #at = 0
  #end = 0
  #range = 0
  #code = 0
  #probs = new Uint16Array(0)
  #lc = 0
  #lpMask = 0
  #pbMask = 0
  #state = 0
  #rep0 = 0
  #rep1 = 0
  #rep2 = 0
  #rep3 = 0

  constructor(input: Uint8Array, out: Output) {
    this.#input = input
    this.#out = out
  }

  resetDictionary(): void {
    this.#dictStart = this.#out.length
  }

  /** Sets lc, lp and pb from their common byte; a state reset must follow. */
  setProperties(byte: number): void {
    if (byte >= 9 * 5 * 5) throw new CorruptData('impossible LZMA properties')
    const lp = Math.floor(byte / 9) % 5
    this.#lc = byte % 9
    this.#lpMask = (1 << lp) - 1
    this.#pbMask = (1 << Math.floor(byte / 45)) - 1
    this.#probs = new Uint16Array(LITERAL + (0x300 << (this.#lc + lp)))
  }

  get literalContextBits(): number {
    return this.#lc + (32 - Math.clz32(this.#lpMask))
  }

  resetState(): void {
    this.#probs.fill(PROB_INIT)
    this.#state = this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0
  }

  /** Starts the range decoder on input[start..end). */
  startRange(start: number, end: number): void {
    if (start + 5 > end || this.#input[start] !== 0)
      throw new CorruptData('a range coder does not start with zero')
    this.#range = -1
    this.#code = 0
    for (let i = 1; i <= 4; i++) this.#code = (this.#code << 8) | this.#input[start + i]!
    this.#at = start + 5
    this.#end = end
  }

  /** True when the range coder has consumed exactly its input. */
  get isFinished(): boolean {
    return this.#at === this.#end && this.#code === 0
  }

  /** Decodes until the output has `target` bytes, or to the end marker (answers true then). */
  decode(target: number): boolean {
    const out = this.#out
    while (out.length < target) {
      if (this.#at > this.#end) throw new CorruptData('it ends within the LZMA data')
      const position = out.length - this.#dictStart
      const posState = position & this.#pbMask
      if (this.#bit(IS_MATCH + (this.#state << 4) + posState) === 0) {
        this.#literal(position)
        continue
      }
      let length: number
      if (this.#bit(IS_REP + this.#state) === 0) {
        this.#rep3 = this.#rep2
        this.#rep2 = this.#rep1
        this.#rep1 = this.#rep0
        length = this.#length(MATCH_LEN, posState)
        this.#state = this.#state < 7 ? 7 : 10
        this.#rep0 = this.#distance(length)
        if (this.#rep0 === -1) return true
      } else {
        if (this.#bit(IS_REP_G0 + this.#state) === 0) {
          if (this.#bit(IS_REP0_LONG + (this.#state << 4) + posState) === 0) {
            this.#state = this.#state < 7 ? 9 : 11
            this.#copy(1, target)
            continue
          }
        } else this.#rotateReps()
        length = this.#length(REP_LEN, posState)
        this.#state = this.#state < 7 ? 8 : 11
      }
      this.#copy(length + MATCH_MIN, target)
    }
    return false
  }

  #copy(count: number, target: number): void {
    const out = this.#out
    const distance = (this.#rep0 >>> 0) + 1
    if (distance > out.length - this.#dictStart) throw new CorruptData('a match points before its dictionary')
    if (out.length + count > target) throw new CorruptData('a match runs over the end of its chunk')
    out.copyBack(distance, count)
  }

  #rotateReps(): void {
    let distance = this.#rep1
    if (this.#bit(IS_REP_G1 + this.#state) !== 0) {
      if (this.#bit(IS_REP_G2 + this.#state) === 0) distance = this.#rep2
      else {
        distance = this.#rep3
        this.#rep3 = this.#rep2
      }
      this.#rep2 = this.#rep1
    }
    this.#rep1 = this.#rep0
    this.#rep0 = distance
  }

  #literal(position: number): void {
    const out = this.#out
    out.reserve(1)
    const { bytes, length } = out
    const previous = position > 0 ? bytes[length - 1]! : 0
    const context = ((position & this.#lpMask) << this.#lc) + (previous >> (8 - this.#lc))
    const base = LITERAL + 0x300 * context
    let symbol = 1
    if (this.#state >= 7) {
      const distance = (this.#rep0 >>> 0) + 1
      if (distance > position) throw new CorruptData('a match points before its dictionary')
      let matchByte = bytes[length - distance]!
      do {
        const matchBit = (matchByte >> 7) & 1
        matchByte <<= 1
        const bit = this.#bit(base + ((1 + matchBit) << 8) + symbol)
        symbol = (symbol << 1) | bit
        if (matchBit !== bit) break
      } while (symbol < 0x100)
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(base + symbol)
    bytes[length] = symbol
    out.length = length + 1
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6
  }

  #length(coder: number, posState: number): number {
    if (this.#bit(coder) === 0) return this.#tree(coder + LEN_LOW + (posState << 3), 3)
    if (this.#bit(coder + 1) === 0) return 8 + this.#tree(coder + LEN_MID + (posState << 3), 3)
    return 16 + this.#tree(coder + LEN_HIGH, 8)
  }

  /** The distance minus one as a 32-bit integer; -1 is the end marker. */
  #distance(length: number): number {
    const slot = this.#tree(POS_SLOT + (Math.min(length, LEN_TO_POS_STATES - 1) << 6), 6)
    if (slot < 4) return slot
    const directBits = (slot >> 1) - 1
    const base = (2 | (slot & 1)) << directBits
    if (slot < END_POS_MODEL) return base + this.#reverseTree(POS_SPECIAL + base - slot, directBits)
    const high = this.#directBits(directBits - ALIGN_BITS) << ALIGN_BITS
    return (base + high + this.#reverseTree(ALIGN, ALIGN_BITS)) | 0
  }

  #tree(base: number, bits: number): number {
    let symbol = 1
    for (let i = 0; i < bits; i++) symbol = (symbol << 1) | this.#bit(base + symbol)
    return symbol - (1 << bits)
  }

  #reverseTree(base: number, bits: number): number {
    let node = 1
    let value = 0
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(base + node)
      node = (node << 1) | bit
      value |= bit << i
    }
    return value
  }

  #directBits(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) {
      this.#range >>>= 1
      const fits = this.#code >>> 0 >= this.#range >>> 0
      if (fits) this.#code = (this.#code - this.#range) | 0
      value = (value << 1) | (fits ? 1 : 0)
      this.#normalize()
    }
    return value
  }

  #bit(index: number): number {
    const prob = this.#probs[index]!
    const bound = Math.imul(this.#range >>> 11, prob)
    if (this.#code >>> 0 < bound >>> 0) {
      this.#range = bound
      this.#probs[index] = prob + ((2048 - prob) >> 5)
      this.#normalize()
      return 0
    }
    this.#range = (this.#range - bound) | 0
    this.#code = (this.#code - bound) | 0
    this.#probs[index] = prob - (prob >> 5)
    this.#normalize()
    return 1
  }

  #normalize(): void {
    if (this.#range >>> 0 < TOP) {
      this.#range <<= 8
      this.#code = (this.#code << 8) | this.#input[this.#at++]!
    }
  }
}

/**
 * Seeded random numbers (mulberry32): the same seed gives the same inputs, so that what a fuzzer found can be shown
 * again. Not for secrets.
 */

export class Random {
  readonly seed: number
  #state: number

  /** `seed`: 32 bits. */
  constructor(seed: number) {
    this.seed = seed >>> 0
    this.#state = this.seed
  }

  /** A word of 32 bits. */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return (z ^ (z >>> 14)) >>> 0
  }

  /** 0 to `end` - 1. */
  below(end: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * end)
  }

  /** True once in `times` on average. */
  once(times: number): boolean {
    return this.below(times) === 0
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  /** A word of 32 bits in which mistakes hide: small, huge, around a power of two, or anything. */
  edge(): number {
    switch (this.below(4)) {
      case 0:
        return this.below(16)
      case 1:
        return (0 - this.below(16)) >>> 0
      case 2:
        return (2 ** this.below(33) + this.below(5) - 2) >>> 0
      default:
        return this.u32()
    }
  }

  /** The same with 64 bits. */
  edge64(): bigint {
    return this.once(2) ? BigInt(this.edge()) : (BigInt(this.edge()) << 32n) | BigInt(this.edge())
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.u32() & 0xff)
  }
}

/**
 * What a guest may still send under `rate=`: so many bytes, filled up again each interval, as Linux' backend counts.
 * Time comes as argument, in microseconds.
 */

/** A frame of any size can be sent once this much has been saved up. */
const LEAST_BURST = 131_072

export class Credit {
  readonly #bytes: number
  readonly #intervalUs: number
  #remaining: number
  #windowStartUs: number

  constructor(bytesPerInterval: number, intervalUs: number, nowUs: number) {
    this.#bytes = bytesPerInterval
    this.#intervalUs = intervalUs
    this.#remaining = bytesPerInterval
    this.#windowStartUs = nowUs
  }

  /** Takes bytes if they are there: 0. Otherwise takes nothing and answers after how many microseconds to ask again. */
  take(bytes: number, nowUs: number): number {
    if (nowUs >= this.#windowStartUs + this.#intervalUs) {
      this.#windowStartUs = nowUs
      this.#remaining = Math.min(this.#remaining + this.#bytes, Math.max(LEAST_BURST, this.#bytes))
    }
    if (bytes > this.#remaining) return this.#windowStartUs + this.#intervalUs - nowUs
    this.#remaining -= bytes
    return 0
  }
}

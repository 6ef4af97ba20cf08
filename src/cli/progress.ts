/** One line on a terminal that is written over as work goes on, and is gone afterwards. Silent elsewhere. */

export class ProgressLine implements Disposable {
  readonly #stream: NodeJS.WriteStream
  readonly #isShown: boolean
  #isDirty = false

  constructor(stream: NodeJS.WriteStream, isWanted: boolean) {
    this.#stream = stream
    this.#isShown = isWanted && stream.isTTY === true
  }

  readonly show = (text: string): void => {
    if (!this.#isShown) return
    this.#isDirty = true
    this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`)
  };

  /** Takes the line away, so that something lasting can be written. */
  [Symbol.dispose](): void {
    if (this.#isDirty) this.#stream.write('\r\x1b[K')
    this.#isDirty = false
  }
}

/**
 * When answers are held back for a moment, so that one interrupt tells the guest of several. Pure.
 *
 * An interrupt costs a guest on a software processor as much as half a request. While its processor has other work, for
 * instance to send the next requests of many, it does not need the answers at once: they wait until it has nothing to do, or
 * for MOST_MS. A guest that waits for each answer before it sends the next request gains nothing by that, and would lose the
 * time until this thread is awake again; so it is tried now and then, and kept up only where more requests come meanwhile.
 */

/** The longest that a guest with other work waits for an answer. */
export const MOST_MS = 2
/** Of so many occasions one is used to find out whether it would be of use. */
const TRIAL = 16
/** So many times in turn nothing came before it is given up. */
const PATIENCE = 2

export class Gathering {
  /** Blocks until the guest's processor has nothing to do, or so long. */
  readonly #awaitIdle: ((ms: number) => void) | undefined
  #vain = PATIENCE
  #occasions = 0

  constructor(awaitIdle: ((ms: number) => void) | undefined) {
    this.#awaitIdle = awaitIdle
  }

  /** Waits if that is of use. Whether more requests have come then is to be told to `learn`. */
  wait(): boolean {
    if (this.#awaitIdle === undefined) return false
    if (this.#vain >= PATIENCE && ++this.#occasions % TRIAL !== 0) return false
    this.#awaitIdle(MOST_MS)
    return true
  }

  learn(hasMore: boolean): void {
    this.#vain = hasMore ? 0 : this.#vain + 1
  }
}

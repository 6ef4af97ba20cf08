/**
 * A lock that is one word of shared memory: 0 free, 1 held, 2 held and somebody waits.
 *
 * Only for compound changes of a few words (bind, close, growing a table). A holder never waits for anything
 * else and never calls out, so that two locks are never held at once.
 */

/** Runs `body` with the lock held. */
export function withLock<T>(i32: Int32Array<SharedArrayBuffer>, lock: number, body: () => T): T {
  if (Atomics.compareExchange(i32, lock, 0, 1) !== 0) {
    // ORDER: 2 tells the holder to wake somebody; a sleeper that finds the word changed tries again.
    while (Atomics.exchange(i32, lock, 2) !== 0) Atomics.wait(i32, lock, 2)
  }
  try {
    return body()
  } finally {
    if (Atomics.exchange(i32, lock, 0) === 2) Atomics.notify(i32, lock, 1)
  }
}

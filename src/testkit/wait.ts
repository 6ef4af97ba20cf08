/** Waiting in tests: for turns of the event loop, or for a condition. Nothing sleeps and hopes. */

/** How long `until` waits at most: generous, for loaded machines. */
export const LIMIT_MS = 30_000
/** Turns of the event loop before `until` begins to leave the processor to others. */
const EAGER_TURNS = 200

export const turns = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Settles when the condition holds; rejects with what was waited for if it does not in time. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = LIMIT_MS,
): Promise<void> {
  const start = performance.now()
  for (let turn = 0; !(await condition()); turn++) {
    if (performance.now() - start > limitMs) throw new Error(`waited ${limitMs / 1000} s in vain: ${what}`)
    if (turn < EAGER_TURNS) await turns(1)
    else await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

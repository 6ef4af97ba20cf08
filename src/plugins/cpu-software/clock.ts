/** System time of the machine: host monotonic time since its epoch, the same in every thread. */

/** A clock in ns since `epochNs` (of process.hrtime). Reading it costs no allocation. */
export function systemClock(epochNs: bigint): () => number {
  // performance.now() counts from a start of its own in each thread: find how far that is from the host's clock, best of many tries.
  let offset = 0
  let closest = Number.POSITIVE_INFINITY
  for (let n = 0; n < 50; n++) {
    const before = process.hrtime.bigint()
    const here = performance.now()
    const after = process.hrtime.bigint()
    const gap = Number(after - before)
    if (gap >= closest) continue
    closest = gap
    offset = Number(before - epochNs) + gap / 2 - here * 1e6
  }
  return () => performance.now() * 1e6 + offset
}

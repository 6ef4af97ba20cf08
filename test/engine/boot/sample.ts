/** Bytes that look a little like a kernel to a packer: calls, text, repeats, zeros and noise. Always the same. */
export function sampleBytes(size: number, seed = 1): Uint8Array {
  const out = new Uint8Array(size)
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) % below
  }
  const text = new TextEncoder().encode('xen: unable to map the ring of domain %d: no such grant\n')
  for (let at = 0; at < size; ) {
    const kind = random(8)
    const length = Math.min(1 + random(kind === 0 ? 600 : 40), size - at)
    for (let i = 0; i < length; i++) {
      if (kind === 0) out[at + i] = 0
      else if (kind <= 2 && at > 300) out[at + i] = out[at + i - 1 - kind * 150]!
      else if (kind <= 4) out[at + i] = text[i % text.length]!
      else if (kind === 5) out[at + i] = random(256)
      else out[at + i] = [0xe8, random(256), random(4), 0, 0xe9, random(9), 0xff, 0xff, 0x48, 0x89][i % 10]!
    }
    at += length
  }
  return out
}

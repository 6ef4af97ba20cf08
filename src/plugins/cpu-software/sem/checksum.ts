/** CRC32 of SSE4.2 (SDM vol. 2): the Castagnoli polynomial, bits in reflected order. */
import type { Meaning, Width } from '../read/vocabulary.ts'

/** 11EDC6F41h, its bits reversed and the highest left out. */
const POLYNOMIAL = 0x82f63b78

/** The low half of the destination goes on over `from` bits of the source; the upper half becomes zero. */
const crc32 = (from: Width): Meaning => ({
  access: ['rw', 'r'],
  run: (s) => {
    let v = s.keep(s.xor(s.read(0, 32), s.read(1, from)))
    for (let bit = 0; bit < from; bit++)
      v = s.keep(s.xor(s.shr(v, s.const(1)), s.and(s.neg(s.and(v, s.const(1))), s.const(POLYNOMIAL))))
    s.write(0, 32, v)
  },
})

export const checksum: Readonly<Record<string, Meaning>> = {
  'CRC32:8': crc32(8),
  'CRC32:16': crc32(16),
  'CRC32:32': crc32(32),
  'CRC32:64': crc32(64),
}

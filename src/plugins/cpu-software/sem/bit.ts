/** Single bits and bit scans (SDM vol. 2: BT BTS BTR BTC BSF BSR POPCNT TZCNT LZCNT). */
import type { Meaning, Val, Vocabulary, Width } from '../read/vocabulary.ts'

/** Position within the operand; a register index into memory reaches the whole bit string around the address. */
const position = (s: Vocabulary, w: Width): Val => {
  const index = s.read(1, w)
  if (s.isMemory(0) && !s.isImmediate(1)) {
    const units = s.sar(s.sext(w, index), s.const(Math.log2(w)))
    s.displace(0, s.keep(s.shl(units, s.const(Math.log2(w / 8)))))
  }
  return s.keep(s.and(index, s.const(w - 1)))
}

const test = (change: ((s: Vocabulary, a: Val, mask: Val) => Val) | undefined): Meaning => ({
  access: [change === undefined ? 'r' : 'rw', 'r'],
  run: (s, w) => {
    const at = position(s, w)
    const a = s.read(0, w)
    if (change !== undefined) s.write(0, w, change(s, a, s.shl(s.const(1), at)))
    s.setFlags({ CF: s.bit(a, at) })
  },
})

/** BSF and BSR of zero leave the destination as it was, as AMD documents and Intel does. */
const scan = (forward: boolean): Meaning => ({
  access: ['rw', 'r'],
  run: (s, w) => {
    const a = s.read(1, w)
    const none = s.keepBool(s.isZero(a))
    const found = forward ? s.ctz(a) : s.sub(s.const(63), s.clz(a))
    const before = s.read(0, w === 32 ? 64 : w)
    s.write(0, w === 32 ? 64 : w, s.select(none, before, found))
    s.setFlags({ ZF: none })
  },
})

/** TZCNT and LZCNT count to the width for zero; CF says zero, ZF that the count is zero. */
const countZeros = (trailing: boolean): Meaning => ({
  access: ['w', 'r'],
  run: (s, w) => {
    const a = s.read(1, w)
    const none = s.keepBool(s.isZero(a))
    const n = s.keep(trailing ? s.select(none, s.const(w), s.ctz(a)) : s.sub(s.clz(a), s.const(64 - w)))
    s.write(0, w, n)
    s.setFlags({ CF: none, ZF: s.isZero(n) })
  },
})

export const bit: Readonly<Record<string, Meaning>> = {
  BT: test(undefined),
  BTS: test((s, a, mask) => s.or(a, mask)),
  BTR: test((s, a, mask) => s.and(a, s.not(mask))),
  BTC: test((s, a, mask) => s.xor(a, mask)),
  BSF: scan(true),
  BSR: scan(false),
  TZCNT: countZeros(true),
  LZCNT: countZeros(false),
  POPCNT: {
    access: ['w', 'r'],
    run: (s, w) => {
      const n = s.keep(s.popcnt(s.read(1, w)))
      s.write(0, w, n)
      const no = s.bit(s.const(0), 0)
      s.setFlags({ CF: no, PF: no, AF: no, ZF: s.isZero(n), SF: no, OF: no })
    },
  },
}

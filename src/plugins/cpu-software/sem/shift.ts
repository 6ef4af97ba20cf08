/** Shifts and rotates (SDM vol. 2: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD). A count of zero changes no flag. */
import type { Meaning, Val, Vocabulary, Width } from '../read/vocabulary.ts'

const rw = (run: Meaning['run']): Meaning => ({ access: ['rw', 'r'], run })
const count = (s: Vocabulary, w: Width, from: 1 | 2): Val =>
  s.keep(s.and(s.read(from, 8), s.const(w === 64 ? 63 : 31)))
const top = (w: Width) => w - 1

/** Writes the result and the flags, unless the count is zero; a 32-bit register is cleared above in any case. */
const finish = (
  s: Vocabulary,
  w: Width,
  n: Val,
  z: Val,
  cf: () => ReturnType<Vocabulary['bit']>,
  of: () => ReturnType<Vocabulary['bit']>,
) => {
  s.write(0, w, z)
  s.when(s.ne(n, s.const(0)), () => {
    // AF is undefined after shifts; processors clear it.
    s.flagsOfResult(w, z, s.bit(s.const(0), 0), s.keepBool(cf()), s.keepBool(of()))
  })
}

/** A rotation touches CF and OF only. OF is defined for counts of one; processors compute it for all the same way. */
const finishRotation = (s: Vocabulary, w: Width, n: Val, z: Val, left: boolean) => {
  s.write(0, w, z)
  s.when(s.ne(n, s.const(0)), () => {
    if (left) {
      const cf = s.keepBool(s.bit(z, 0))
      s.setFlags({ CF: cf, OF: s.differ(cf, s.bit(z, top(w))) })
    } else s.setFlags({ CF: s.bit(z, top(w)), OF: s.differ(s.bit(z, top(w)), s.bit(z, top(w) - 1)) })
  })
}

/** Rotation by a count already reduced modulo the width. */
const rotateLeft = (s: Vocabulary, w: Width, a: Val, n: Val): Val =>
  w === 64 ? s.rotl(a, n) : s.zext(w, s.or(s.shl(a, n), s.shr(a, s.sub(s.const(w), n))))

/** RCL and RCR rotate through CF: a word of w + 1 bits. */
const throughCarry = (left: boolean) => (s: Vocabulary, w: Width) => {
  const a = s.read(0, w)
  const masked = count(s, w, 1)
  const n = w === 8 || w === 16 ? s.keep(s.remU(masked, s.const(w + 1))) : masked
  const carry = s.keep(s.word(s.flag('CF')))
  // Bits: low part a, bit w the carry; written so that no shift count reaches 64.
  const up = left ? n : s.keep(s.sub(s.const(w + 1), n))
  const notAll = s.keep(s.and(up, s.const(63)))
  const down = s.keep(s.sub(s.const(w), up))
  const shifted = s.select(s.ltU(up, s.const(64)), s.shl(a, notAll), s.const(0))
  const carried = s.shl(carry, s.and(s.sub(up, s.const(1)), s.const(63)))
  const wrapped = s.select(
    s.ltU(s.const(1), up),
    s.shr(s.shr(a, s.const(1)), s.and(down, s.const(63))),
    s.const(0),
  )
  const turned = s.zext(w, s.or(s.or(shifted, carried), wrapped))
  const none = s.isZero(n)
  const z = s.keep(s.select(none, a, turned))
  const out = s.keepBool(s.bit(s.shr(a, s.and(left ? down : s.sub(n, s.const(1)), s.const(63))), 0))
  s.write(0, w, z)
  s.when(s.isNot(none), () => {
    const of = left ? s.differ(out, s.bit(z, top(w))) : s.differ(s.bit(z, top(w)), s.bit(z, top(w) - 1))
    s.setFlags({ CF: out, OF: of })
  })
}

/** SHLD and SHRD; 16-bit counts above 16 are undefined in the manual and treated as a shift of the doubled word. */
const double = (left: boolean): Meaning => ({
  access: ['rw', 'r', 'r'],
  run: (s, w) => {
    const a = s.read(0, w)
    const b = s.read(1, w)
    const n = count(s, w, 2)
    let z: Val
    let cf: () => ReturnType<Vocabulary['bit']>
    if (w === 64) {
      const rest = s.keep(s.and(s.sub(s.const(64), n), s.const(63)))
      const moved = left ? s.or(s.shl(a, n), s.shr(b, rest)) : s.or(s.shr(a, n), s.shl(b, rest))
      z = s.keep(s.select(s.isZero(n), a, moved))
      cf = () => s.bit(s.shr(a, left ? rest : s.and(s.sub(n, s.const(1)), s.const(63))), 0)
    } else if (w === 32) {
      const pair = s.keep(left ? s.or(s.shl(a, s.const(32)), b) : s.or(s.shl(b, s.const(32)), a))
      z = s.keep(s.zext(32, left ? s.shr(s.shl(pair, n), s.const(32)) : s.shr(pair, n)))
      cf = () => s.bit(s.shr(pair, left ? s.sub(s.const(64), n) : s.sub(n, s.const(1))), 0)
    } else {
      // a:b:a, so that counts up to 31 find bits.
      const wide = s.keep(
        left
          ? s.or(s.or(s.shl(a, s.const(32)), s.shl(b, s.const(16))), a)
          : s.or(s.or(s.shl(a, s.const(32)), s.shl(b, s.const(16))), a),
      )
      z = s.keep(s.zext(16, left ? s.shr(s.shl(wide, n), s.const(32)) : s.shr(wide, n)))
      cf = () => s.bit(left ? s.shr(wide, s.sub(s.const(48), n)) : s.shr(wide, s.sub(n, s.const(1))), 0)
    }
    finish(s, w, n, z, cf, () => s.differ(s.bit(z, top(w)), s.bit(a, top(w))))
  },
})

const shl: Meaning['run'] = (s, w) => {
  const a = s.read(0, w)
  const n = count(s, w, 1)
  const z = s.keep(s.zext(w, s.shl(a, n)))
  const out = () => s.bit(s.shr(a, s.and(s.sub(s.const(w), n), s.const(63))), 0)
  // Counts above the width of 8 and 16 bits push zeros out.
  const cf = () => (w >= 32 ? out() : s.allOf(s.ltU(n, s.const(w + 1)), out()))
  finish(s, w, n, z, cf, () => s.differ(s.bit(z, top(w)), cf()))
}

export const shift: Readonly<Record<string, Meaning>> = {
  SHL: rw(shl),
  SAL: rw(shl),
  SHR: rw((s, w) => {
    const a = s.read(0, w)
    const n = count(s, w, 1)
    const z = s.keep(s.shr(a, n))
    finish(
      s,
      w,
      n,
      z,
      () => s.bit(s.shr(a, s.and(s.sub(n, s.const(1)), s.const(63))), 0),
      () => s.bit(a, top(w)),
    )
  }),
  SAR: rw((s, w) => {
    const a = s.keep(s.sext(w, s.read(0, w)))
    const n = count(s, w, 1)
    const z = s.keep(s.zext(w, s.sar(a, n)))
    finish(
      s,
      w,
      n,
      z,
      () => s.bit(s.sar(a, s.and(s.sub(n, s.const(1)), s.const(63))), 0),
      () => s.bit(s.const(0), 0),
    )
  }),
  ROL: rw((s, w) => {
    const a = s.read(0, w)
    const n = count(s, w, 1)
    finishRotation(s, w, n, s.keep(rotateLeft(s, w, a, s.keep(s.and(n, s.const(w - 1))))), true)
  }),
  ROR: rw((s, w) => {
    const a = s.read(0, w)
    const n = count(s, w, 1)
    const back = s.keep(s.and(s.sub(s.const(w), n), s.const(w - 1)))
    finishRotation(s, w, n, s.keep(rotateLeft(s, w, a, back)), false)
  }),
  RCL: rw(throughCarry(true)),
  RCR: rw(throughCarry(false)),
  SHLD: double(true),
  SHRD: double(false),
}

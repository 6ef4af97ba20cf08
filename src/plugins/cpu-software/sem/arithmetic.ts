/** Addition, subtraction, comparison and logic (SDM vol. 2: ADD ADC SUB SBB CMP INC DEC NEG AND OR XOR NOT TEST XADD CMPXCHG). */
import type { Meaning, Vocabulary, Width } from '../read/vocabulary.ts'

const rw = (run: Meaning['run']): Meaning => ({ access: ['rw', 'r'], run })
const readOnly = (run: Meaning['run']): Meaning => ({ access: ['r', 'r'], run })

const sum = (s: Vocabulary, w: Width, carry: boolean) => {
  const a = s.read(0, w)
  const b = s.read(1, w)
  const total = carry ? s.add(s.add(a, b), s.word(s.flag('CF'))) : s.add(a, b)
  const z = s.keep(s.zext(w, total))
  s.write(0, w, z)
  s.flagsOfAdd(w, a, b, z)
}

const difference = (s: Vocabulary, w: Width, borrow: boolean, store: boolean) => {
  const a = s.read(0, w)
  const b = s.read(1, w)
  const rest = borrow ? s.sub(s.sub(a, b), s.word(s.flag('CF'))) : s.sub(a, b)
  const z = s.keep(s.zext(w, rest))
  if (store) s.write(0, w, z)
  s.flagsOfSub(w, a, b, z)
}

type Combine = (s: Vocabulary, w: Width) => ReturnType<Vocabulary['read']>
const logic = (combine: Combine, store: boolean) => (s: Vocabulary, w: Width) => {
  const z = s.keep(combine(s, w))
  if (store) s.write(0, w, z)
  s.flagsOfLogic(w, z)
}
const and: Combine = (s, w) => s.and(s.read(0, w), s.read(1, w))
const or: Combine = (s, w) => s.or(s.read(0, w), s.read(1, w))
const xor: Combine = (s, w) => s.xor(s.read(0, w), s.read(1, w))

/** INC and DEC leave CF alone; OF says that the sign changed the wrong way; AF that the low digit carried. */
const step = (by: 1 | -1) => (s: Vocabulary, w: Width) => {
  const a = s.read(0, w)
  const z = s.keep(s.zext(w, s.add(a, s.const(by))))
  const edge = by === 1 ? 1n << BigInt(w - 1) : (1n << BigInt(w - 1)) - 1n
  const digit = s.eq(s.and(z, s.const(15)), s.const(by === 1 ? 0 : 15))
  s.write(0, w, z)
  s.flagsOfResult(w, z, digit, s.flag('CF'), s.eq(z, s.const(edge)))
}

export const arithmetic: Readonly<Record<string, Meaning>> = {
  ADD: rw((s, w) => sum(s, w, false)),
  ADC: rw((s, w) => sum(s, w, true)),
  SUB: rw((s, w) => difference(s, w, false, true)),
  SBB: rw((s, w) => difference(s, w, true, true)),
  CMP: readOnly((s, w) => difference(s, w, false, false)),
  AND: rw(logic(and, true)),
  OR: rw(logic(or, true)),
  XOR: rw(logic(xor, true)),
  TEST: readOnly(logic(and, false)),
  INC: rw(step(1)),
  DEC: rw(step(-1)),
  NOT: rw((s, w) => s.write(0, w, s.zext(w, s.not(s.read(0, w))))),
  NEG: rw((s, w) => {
    const b = s.read(0, w)
    const z = s.keep(s.zext(w, s.neg(b)))
    s.write(0, w, z)
    s.flagsOfSub(w, s.const(0), b, z)
  }),
  // The sum goes to the destination first: with LOCK that write may have to be tried again.
  XADD: {
    access: ['rw', 'rw'],
    run: (s, w) => {
      const a = s.read(0, w)
      const b = s.read(1, w)
      const z = s.keep(s.zext(w, s.add(a, b)))
      if (s.isMemory(0)) {
        s.write(0, w, z)
        s.write(1, w, a)
      } else {
        // XADD r, r with one register: the sum stays.
        s.write(1, w, a)
        s.write(0, w, z)
      }
      s.flagsOfAdd(w, a, b, z)
    },
  },
  // The destination is always written, with its old value when they differ (SDM: "never produces a locked read without a locked write").
  CMPXCHG: {
    access: ['rw', 'r'],
    run: (s, w) => {
      const a = s.reg(0, w)
      const old = s.read(0, w)
      const z = s.keep(s.zext(w, s.sub(a, old)))
      const same = s.keepBool(s.isZero(z))
      const source = s.read(1, w)
      if (s.isMemory(0)) {
        s.write(0, w, s.select(same, source, old))
        s.when(s.isNot(same), () => s.setReg(0, w, old))
      } else
        s.when(
          same,
          () => s.write(0, w, source),
          () => s.setReg(0, w, old),
        )
      s.flagsOfSub(w, a, old, z)
    },
  },
}

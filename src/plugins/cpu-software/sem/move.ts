/** Data movement without arithmetic (SDM vol. 2: MOV MOVZX MOVSX MOVSXD LEA XCHG BSWAP CMOVcc SETcc CBW CWD LAHF SAHF XLAT MOVBE, flag bits, stack). */
import {
  CONDITIONS,
  type Condition,
  type Meaning,
  type Val,
  type Vocabulary,
  type Width,
} from '../read/vocabulary.ts'

const to = (run: Meaning['run']): Meaning => ({ access: ['w', 'r'], run })

export const push = (s: Vocabulary, w: Width, v: Val): void => {
  const pointer = s.keep(s.sub(s.stackPointer(), s.const(w / 8)))
  s.stackStore(w, pointer, v)
  s.setStackPointer(pointer)
}
export const moveStack = (s: Vocabulary, bytes: number): void =>
  s.setStackPointer(s.add(s.stackPointer(), s.const(bytes)))

const swapBytes = (s: Vocabulary, w: Width, v: Val): Val => {
  const even = s.const(0x00ff00ff00ff00ffn)
  const pairs = s.const(0x0000ffff0000ffffn)
  const a = s.keep(v)
  const b = s.keep(s.or(s.and(s.shr(a, s.const(8)), even), s.shl(s.and(a, even), s.const(8))))
  const c = s.keep(s.or(s.and(s.shr(b, s.const(16)), pairs), s.shl(s.and(b, pairs), s.const(16))))
  return s.shr(s.rotl(c, s.const(32)), s.const(64 - w))
}

/** An extension from a narrower source: the row's second operand says how narrow. */
const extend = (from: Width, signed: boolean): Meaning =>
  to((s, w) => {
    const v = s.read(1, from)
    s.write(0, w, signed ? s.zext(w, s.sext(from, v)) : v)
  })

const conditional: Record<string, Meaning> = {}
for (const cc of CONDITIONS) {
  // The source is read, and may fault, also when the condition is false; 32-bit destinations are cleared above either way.
  conditional[`CMOV${cc}`] = {
    access: ['rw', 'r'],
    run: (s, w) => s.write(0, w, s.select(s.condition(cc as Condition), s.read(1, w), s.read(0, w))),
  }
  conditional[`SET${cc}`] = to((s) => s.write(0, 8, s.word(s.condition(cc as Condition))))
}

export const move: Readonly<Record<string, Meaning>> = {
  MOV: to((s, w) => s.write(0, w, s.read(1, w))),
  MOVNTI: to((s, w) => s.write(0, w, s.read(1, w))),
  MOVBE: to((s, w) => s.write(0, w, swapBytes(s, w, s.read(1, w)))),
  'MOVZX:8': extend(8, false),
  'MOVZX:16': extend(16, false),
  'MOVSX:8': extend(8, true),
  'MOVSX:16': extend(16, true),
  'MOVSXD:16': extend(16, true),
  'MOVSXD:32': extend(32, true),
  LEA: { access: ['w', 'address'], run: (s, w) => s.write(0, w, s.zext(w, s.effectiveAddress(1))) },
  XCHG: {
    access: ['rw', 'rw'],
    run: (s, w) => {
      const a = s.read(0, w)
      const b = s.read(1, w)
      s.write(0, w, b)
      s.write(1, w, a)
    },
  },
  // BSWAP of a 16-bit register is undefined in the manual; processors clear it.
  BSWAP: {
    access: ['rw'],
    run: (s, w) => s.write(0, w, w === 16 ? s.const(0) : swapBytes(s, w, s.read(0, w))),
  },
  // CBW, CWDE, CDQE and CWD, CDQ, CQO by operand size.
  CBW: {
    access: [],
    run: (s, w) => s.setReg(0, w, s.zext(w, s.sext((w / 2) as Width, s.reg(0, (w / 2) as Width)))),
  },
  CWD: { access: [], run: (s, w) => s.setReg(2, w, s.zext(w, s.sar(s.sext(w, s.reg(0, w)), s.const(63)))) },
  LAHF: {
    access: [],
    run: (s) => {
      const bit = (f: 'CF' | 'PF' | 'AF' | 'ZF' | 'SF', at: number) => s.shl(s.word(s.flag(f)), s.const(at))
      const flags = s.or(
        s.or(s.or(bit('CF', 0), s.const(2)), s.or(bit('PF', 2), bit('AF', 4))),
        s.or(bit('ZF', 6), bit('SF', 7)),
      )
      s.setReg(0, 16, s.or(s.reg(0, 8), s.shl(flags, s.const(8))))
    },
  },
  SAHF: {
    access: [],
    run: (s) => {
      const ax = s.reg(0, 16)
      s.setFlags({
        CF: s.bit(ax, 8),
        PF: s.bit(ax, 10),
        AF: s.bit(ax, 12),
        ZF: s.bit(ax, 14),
        SF: s.bit(ax, 15),
      })
    },
  },
  SALC: { access: [], run: (s) => s.setReg(0, 8, s.zext(8, s.neg(s.word(s.flag('CF'))))) },
  CLC: { access: [], run: (s) => s.setFlags({ CF: s.ne(s.const(0), s.const(0)) }) },
  STC: { access: [], run: (s) => s.setFlags({ CF: s.eq(s.const(0), s.const(0)) }) },
  CMC: { access: [], run: (s) => s.setFlags({ CF: s.isNot(s.flag('CF')) }) },
  PUSH: { access: ['r'], run: (s, w) => push(s, w, s.read(0, w)) },
  // POP into memory addresses it with the already moved stack pointer (the decoder adds that to the displacement); a fault moves nothing.
  POP: {
    access: ['w'],
    run: (s, w) => {
      const v = s.stackLoad(w, s.stackPointer())
      if (s.isMemory(0)) {
        s.write(0, w, v)
        moveStack(s, w / 8)
      } else {
        moveStack(s, w / 8)
        s.write(0, w, v)
      }
    },
  },
  LEAVE: {
    access: [],
    run: (s, w) => {
      const frame = s.reg(5, 64)
      const saved = s.stackLoad(w, frame)
      s.setStackPointer(s.add(frame, s.const(w / 8)))
      s.setReg(5, w, saved)
    },
  },
  NOP: { access: ['address'], run: () => {} },
  ...conditional,
}

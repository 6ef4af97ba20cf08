/** Near control transfer (SDM vol. 2: JMP Jcc JrCXZ LOOPcc CALL RET). Far transfers are in system/. */
import {
  CONDITIONS,
  type Condition,
  type Meaning,
  type Val,
  type Vocabulary,
  type Width,
} from '../read/vocabulary.ts'
import { moveStack, push } from './move.ts'

/** In 64-bit code near branches are 64 bits wide whatever the prefix (Intel ignores 66h there). */
const size = (s: Vocabulary, w: Width): Width => (s.long ? 64 : w)

/** A target from a register or memory: one that is no canonical address is refused before anything changes. */
const checked = (s: Vocabulary, target: Val): Val => {
  if (s.long) s.when(s.ne(s.sar(s.shl(target, s.const(16)), s.const(16)), target), () => s.fault('GP'))
  return target
}

const conditional: Record<string, Meaning> = {}
for (const cc of CONDITIONS)
  conditional[`J${cc}`] = { access: [], run: (s) => s.when(s.condition(cc as Condition), () => s.branch()) }

/** LOOP counts rCX down in the address size, then jumps while it is not zero and the condition holds. */
const loop = (cc: Condition | undefined): Meaning => ({
  access: [],
  run: (s) => {
    const left = s.keep(s.sub(s.addressReg(1), s.const(1)))
    const more = s.keepBool(s.ne(left, s.const(0)))
    const go = cc === undefined ? more : s.keepBool(s.allOf(more, s.condition(cc)))
    s.setAddressReg(1, left)
    s.when(go, () => s.branch())
  },
})

export const branch: Readonly<Record<string, Meaning>> = {
  ...conditional,
  JRCXZ: { access: [], run: (s) => s.when(s.isZero(s.addressReg(1)), () => s.branch()) },
  LOOP: loop(undefined),
  LOOPE: loop('E'),
  LOOPNE: loop('NE'),
  'JMP:rel': { access: [], run: (s) => s.branch() },
  'JMP:near': { access: ['r'], run: (s, w) => s.jump(checked(s, s.read(0, size(s, w)))) },
  'CALL:rel': {
    access: [],
    run: (s, w) => {
      push(s, size(s, w), s.nextRip())
      s.branch()
    },
  },
  'CALL:near': {
    access: ['r'],
    run: (s, w) => {
      const target = checked(s, s.read(0, size(s, w)))
      push(s, size(s, w), s.nextRip())
      s.jump(target)
    },
  },
  'RET:near': {
    access: ['r'],
    run: (s, w) => {
      const target = checked(s, s.stackLoad(size(s, w), s.stackPointer()))
      moveStack(s, size(s, w) / 8)
      s.jump(target)
    },
  },
  'RET:near imm': {
    access: ['r'],
    run: (s, w) => {
      const target = checked(s, s.stackLoad(size(s, w), s.stackPointer()))
      s.setStackPointer(s.add(s.stackPointer(), s.add(s.read(0, 16), s.const(size(s, w) / 8))))
      s.jump(target)
    },
  },
}

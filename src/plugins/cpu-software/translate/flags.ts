/**
 * Which instructions make, need or let see the arithmetic flags: what the translator may leave out.
 */
import type { Handler } from '../handlers.ts'
import { UOP } from '../state.ts'

/** How much of the flags somebody behind wants: nothing; only that they are right when the region is left; their values. */
export const WANTED = { nothing: 0, onLeaving: 1, values: 2 } as const
export type Wanted = (typeof WANTED)[keyof typeof WANTED]

const ALL = /^(ADD|SUB|CMP|AND|OR|XOR|TEST|NEG|ADC|SBB|INC|DEC|XADD|CMPXCHG|POPCNT|PTEST.*)$/
const SHIFTS = /^(SHL|SAL|SHR|SAR|SHLD|SHRD)$/
/** These need the flags before, also to make some of those behind. */
const READS = /^(J(?!RCXZ$|MP)[A-Z]+|SET[A-Z]+|CMOV[A-Z]+|ADC|SBB|RCL|RCR|LAHF|CMC|LOOPN?E|SALC)$/
const KEEPS_CARRY = /^(INC|DEC)$/
const PARTIAL = /^(MUL|IMUL:.|BT[SRC]?|BSF|BSR|TZCNT|LZCNT|CLC|STC|SAHF|ROL|ROR|RCL|RCR)$/
const STACK = /^(PUSH|POP|CALL|RET|LEAVE|JMP:near|DIV|IDIV|AAM|MOVS|STOS|LODS|CMPS|SCAS)/
const STRING_FLAGS = /^(CMPS|SCAS)$/

export interface FlagUse {
  /** Sets all flags, whatever they were. */
  readonly makesAll: boolean
  /** Sets some, or sets them in some cases only. */
  readonly makesSome: boolean
  readonly reads: boolean
  readonly keepsCarry: boolean
  /** May leave the region before it is done. */
  readonly mayLeave: boolean
  /** Sets flags inside a condition. */
  readonly conditional: boolean
}

/** `uop`: the instruction's own micro-op, for the counts of shifts. */
export function flagUse(handler: Handler, uop: DataView): FlagUse {
  const { key, facts, vector } = handler
  if (vector) {
    const tests = /^(PTEST|U?COMIS)/.test(key)
    return {
      makesAll: tests,
      makesSome: false,
      reads: false,
      keepsCarry: false,
      mayLeave: true,
      conditional: false,
    }
  }
  const isShift = SHIFTS.test(key)
  const countKind = facts.kinds[key.startsWith('SH') && key.endsWith('D') ? 2 : 1]
  const count = uop.getInt32(UOP.immediate, true) & (handler.width === 64 ? 63 : 31)
  const fixedCount = countKind === 'i'
  const shifts = fixedCount && count !== 0
  const never = fixedCount && count === 0
  const rotates = /^(RO|RC)[LR]$/.test(key)
  return {
    makesAll: (isShift && shifts) || ALL.test(key) || STRING_FLAGS.test(key),
    makesSome: (isShift && !fixedCount) || (PARTIAL.test(key) && !(rotates && never)),
    reads: READS.test(key),
    keepsCarry: KEEPS_CARRY.test(key),
    mayLeave: facts.kinds.includes('m') || STACK.test(key),
    // Through carry the count is taken modulo the width plus one: only the code knows whether it is zero.
    conditional: ((isShift || rotates) && !fixedCount) || key.startsWith('RC'),
  }
}

/** What is wanted before an instruction, from what is wanted behind it. */
export function wantedBefore(use: FlagUse, behind: Wanted): Wanted {
  let wanted: Wanted = behind
  if (use.makesAll) wanted = use.keepsCarry && behind > WANTED.nothing ? WANTED.values : WANTED.nothing
  else if (use.makesSome && behind > WANTED.nothing) wanted = WANTED.values
  if (use.reads) return WANTED.values
  return use.mayLeave && wanted === WANTED.nothing ? WANTED.onLeaving : wanted
}

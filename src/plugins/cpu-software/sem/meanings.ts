/** Every instruction whose meaning is written in the vocabulary, and how a row of the table finds its own. */
import type { Row } from '../isa/row.ts'
import type { Meaning } from '../read/vocabulary.ts'
import { arithmetic } from './arithmetic.ts'
import { bit } from './bit.ts'
import { branch } from './branch.ts'
import { checksum } from './checksum.ts'
import { move } from './move.ts'
import { multiplyDivide } from './multiply-divide.ts'
import { shift } from './shift.ts'
import { string } from './string.ts'

export const MEANINGS: Readonly<Record<string, Meaning>> = {
  ...arithmetic,
  ...bit,
  ...branch,
  ...checksum,
  ...move,
  ...multiplyDivide,
  ...shift,
  ...string,
}

const SAME: Readonly<Record<string, string>> = {
  CWDE: 'CBW',
  CDQE: 'CBW',
  CDQ: 'CWD',
  CQO: 'CWD',
  // Hints, and orders that memory keeps anyway: nothing to do here.
  LFENCE: 'NOP',
  SFENCE: 'NOP',
  PREFETCHNTA: 'NOP',
  PREFETCHT0: 'NOP',
  PREFETCHT1: 'NOP',
  PREFETCHT2: 'NOP',
  PREFETCHW: 'NOP',
  ENDBR32: 'NOP',
  ENDBR64: 'NOP',
}

/** Key of a row in MEANINGS; `rep` is the prefix byte that applies, or 0. Undefined: not written in the vocabulary. */
export function meaningKey(row: Row, rep: number): string | undefined {
  const { mnemonic, operands } = row
  const key = ((): string => {
    const second = operands[1]
    switch (mnemonic) {
      case 'IMUL':
        return `IMUL:${operands.length}`
      case 'CRC32':
      case 'MOVZX':
      case 'MOVSX':
      case 'MOVSXD':
        return `${mnemonic}:${second?.width}`
      case 'JMP':
      case 'CALL':
        return `${mnemonic}:${operands[0]?.kind === 'rel' ? 'rel' : 'near'}`
      case 'RET':
        return operands.length === 0 ? 'RET:near' : 'RET:near imm'
      default:
        return SAME[mnemonic] ?? mnemonic
    }
  })()
  // Moves to and from segment, control and debug registers, and pushes of segment registers, check descriptors and rights: assists.
  if (
    operands.some((o) => o.kind === 'sreg' || o.kind === 'cr' || o.kind === 'dr' || /^[C-GS]S$/.test(o.text))
  )
    return undefined
  const full = rep === 0 || row.rep === '' ? key : `${key} ${rep === 0xf3 ? 'REP' : 'REPNE'}`
  return full in MEANINGS ? full : undefined
}

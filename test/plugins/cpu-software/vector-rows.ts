/** What makes the interesting cases of vector instructions likely: shift counts near the widths, equal lanes. */
import type { RegisterName } from '../../../src/plugins/cpu-software/isa/operand.ts'
import type { Row } from '../../../src/plugins/cpu-software/isa/row.ts'
import { MEMORY_ADDRESS } from '../../host-oracle/oracle.ts'
import { putMemory } from './integer-rows.ts'
import { type Adjust, type Draft, registerNumber } from './trials.ts'

const isRegister = (argument: unknown): argument is RegisterName => typeof argument === 'string'

/** Sets operand n, wherever it is. */
function put(draft: Draft, n: number, value: bigint): void {
  const argument = draft.args[n]
  if (!isRegister(argument)) putMemory(draft, value, 16)
  else if (argument.startsWith('xmm')) draft.xmm[registerNumber(argument)] = value
  else if (argument.startsWith('mm')) {
    // The image holds the stack from its top: MMn is physical register n.
    const at = (registerNumber(argument) - (draft.fsw >> 11)) & 7
    draft.st[at] = (draft.st[at]! & (0xffffn << 64n)) | (value & ((1n << 64n) - 1n))
  }
}

const shiftCount: Adjust = (draft) => {
  const { s, args } = draft
  const count = s.pick([0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 255])
  if (typeof args[1] === 'number' || typeof args[1] === 'bigint') args[1] = count
  else put(draft, 1, s.pick([BigInt(count), BigInt(count), (1n << 32n) | 1n, (1n << 64n) | 3n]))
}

/** Both operands alike but for a lane or two. */
const alike: Adjust = (draft) => {
  const value = draft.s.bits(128)
  put(draft, 0, value)
  put(draft, 1, value ^ draft.s.pick([0n, 1n << BigInt(draft.s.below(128)), draft.s.bits(16) << 64n]))
}

/** Masked stores go to rDI. MASKMOVQ does not fault here: AMD's processors have then entered MMX mode already. */
const toMemory: Adjust = (draft) => {
  draft.gpr[7] = BigInt(
    draft.row.mnemonic === 'MASKMOVDQU' && draft.s.below(4) === 0
      ? draft.target
      : MEMORY_ADDRESS + draft.offset + 100,
  )
  if (draft.s.below(4) === 0) put(draft, 1, 0n)
}

/** Bit 17 of MXCSR exists on AMD's processors only. */
const sharedMxcsr: Adjust = (draft) => {
  putMemory(draft, draft.s.bits(draft.s.pick([16, 16, 17])), 4)
}

export function vectorAdjustmentOf(row: Row): Adjust | undefined {
  if (/^PS[RL][AL][WDQ]/.test(row.mnemonic)) return shiftCount
  if (row.mnemonic === 'LDMXCSR') return sharedMxcsr
  if (/^MASKMOV/.test(row.mnemonic)) return toMemory
  if (/^(PCMP|PTEST|PSIGN)/.test(row.mnemonic)) {
    return (draft) => {
      if (draft.s.below(2) === 0) alike(draft)
    }
  }
  return undefined
}

/** Trials of string instructions: both directions, counts, address sizes, equal and different data, faults in the middle. */
import type { Row } from '../../../src/plugins/cpu-software/isa/row.ts'
import { MEMORY_ADDRESS, MEMORY_BYTES } from '../../host-oracle/oracle.ts'
import type { Source } from './fp/operands.ts'
import { type Draft, type Mode, type Trial, trial } from './trials.ts'

const DF = 0x400n
const RAX = 0
const RCX = 1
const RSI = 6
const RDI = 7

/** Where a string starts: in the trial's bytes, or so that it runs off the data pages after some elements. */
function start(draft: Draft, size: number, backwards: boolean): number {
  const { s } = draft
  if (s.below(6) !== 0) return MEMORY_ADDRESS + draft.offset + 96 + s.below(64)
  const elements = s.below(4)
  const odd = s.below(2) * s.below(size)
  return backwards
    ? MEMORY_ADDRESS + elements * size + odd
    : MEMORY_ADDRESS + MEMORY_BYTES - elements * size - odd
}

export function stringTrial(s: Source, row: Row, mode: Mode): Trial | undefined {
  const rep = row.rep === '' ? undefined : s.pick([undefined, 0xf3, 0xf3, 0xf2] as const)
  const addrSize = s.below(6) === 0 ? (mode === 64 ? (32 as const) : (16 as const)) : undefined
  // 16-bit addresses reach none of the mapped pages: a fault, unless the count is zero.
  const options = {
    ...(rep === undefined ? {} : { rep }),
    ...(addrSize === undefined ? {} : { addrSize }),
  } as const
  return trial(s, row, mode, false, options, (draft) => {
    const size = row.opSize / 8
    const backwards = s.below(2) === 0
    if (backwards) draft.rflags |= DF
    draft.gpr[RSI] = BigInt(start(draft, size, backwards))
    draft.gpr[RDI] = BigInt(start(draft, size, backwards))
    draft.gpr[RCX] = BigInt(s.pick([0, 1, 2, 3, 5, 8, 17]))
    if (addrSize === 32) for (const n of [RCX, RSI, RDI]) draft.gpr[n] = draft.gpr[n]! | (s.bits(32) << 32n)
    if (s.below(2) === 0) draft.bytes.fill(s.below(256))
    if (s.below(2) === 0)
      draft.gpr[RAX] = BigInt.asUintN(64, BigInt(draft.bytes[100]!) * 0x0101_0101_0101_0101n)
  })
}

/** Trials on the machine that the reference reading works on: the oracle's data pages, and nothing else. */
import { Decoded, decode } from '../../../src/plugins/cpu-software/isa/decode.ts'
import { FLAG, type Row } from '../../../src/plugins/cpu-software/isa/row.ts'
import { ROWS } from '../../../src/plugins/cpu-software/isa/table.ts'
import {
  Reference,
  ReferenceFault,
  type ReferenceMachine,
} from '../../../src/plugins/cpu-software/read/reference.ts'
import type { Flag } from '../../../src/plugins/cpu-software/read/vocabulary.ts'
import { MEANINGS, meaningKey } from '../../../src/plugins/cpu-software/sem/meanings.ts'
import { CODE_ADDRESS, MEMORY_ADDRESS, MEMORY_BYTES } from '../../host-oracle/oracle.ts'
import type { Trial } from './trials.ts'

export const STATUS_FLAGS = ['CF', 'PF', 'AF', 'ZF', 'SF', 'OF'] as const
const PAGE_FAULT = 14
const USER = 4
const WRITE = 2

/** Bytes of the data pages; anything else is a page fault, or #GP where the address is not canonical. */
function dataPages(one: Trial): { bytes: Uint8Array } & Pick<ReferenceMachine, 'load' | 'store'> {
  const bytes = new Uint8Array(MEMORY_BYTES)
  bytes.set(one.case.memory!.bytes, one.case.memory!.offset)
  const at = (address: bigint, length: number, error: number): number => {
    for (let i = 0n; i < BigInt(length); i++) {
      const one = BigInt.asUintN(64, address + i)
      const offset = one - BigInt(MEMORY_ADDRESS)
      if (BigInt.asIntN(48, one) !== BigInt.asIntN(64, one)) throw new ReferenceFault(13)
      if (offset < 0n || offset >= BigInt(MEMORY_BYTES)) throw new ReferenceFault(PAGE_FAULT, error, one)
    }
    return Number(address - BigInt(MEMORY_ADDRESS))
  }
  return {
    bytes,
    load: (address, length, modify) => {
      const from = at(address, length, modify ? USER | WRITE : USER)
      return bytes
        .subarray(from, from + length)
        .reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
    },
    store: (address, length, value) => {
      const to = at(address, length, USER | WRITE)
      for (let i = 0; i < length; i++) bytes[to + i] = Number((value >> BigInt(8 * i)) & 255n)
    },
  }
}

export interface ReferenceRun {
  readonly machine: ReferenceMachine
  readonly bytes: Uint8Array
  /** As decoded: an alias' row may be another than the trial's. */
  readonly row: Row
  readonly fault: ReferenceFault | undefined
}

/** Runs a trial; `watch` may put something between the instruction and its machine. */
export function runReference(
  one: Trial,
  watch = (machine: ReferenceMachine): ReferenceMachine => machine,
): ReferenceRun {
  const d = new Decoded()
  const code = Uint8Array.from([...one.case.code, ...new Array<number>(16).fill(0xcc)])
  decode(code, 0, code.length, one.mode, d)
  const row = ROWS[d.row]!
  const key = meaningKey(row, d.rep)!
  const { bytes, load, store } = dataPages(one)
  const rflags = Number(one.case.rflags)
  const flags = Object.fromEntries(STATUS_FLAGS.map((name) => [name, (rflags & FLAG[name]) !== 0])) as Record<
    Flag,
    boolean
  >
  const direction = rflags & FLAG.DF ? -1 : 1
  const machine: ReferenceMachine = {
    gpr: [...one.case.gpr!],
    flags,
    direction,
    rip: BigInt(CODE_ADDRESS),
    load,
    store,
  }
  try {
    new Reference(watch(machine), row, d, one.mode === 64).run(MEANINGS[key]!)
  } catch (thrown) {
    if (!(thrown instanceof ReferenceFault)) throw thrown
    return { machine, bytes, row, fault: thrown }
  }
  return { machine, bytes, row, fault: undefined }
}

/** The interpreter, made by the emitting reading, does what the reference reading says: for every integer meaning, all flags included. */
import t from 'tap'
import { Decoded, decode } from '../../../src/plugins/cpu-software/isa/decode.ts'
import { FLAG } from '../../../src/plugins/cpu-software/isa/row.ts'
import { ROWS } from '../../../src/plugins/cpu-software/isa/table.ts'
import {
  Reference,
  ReferenceFault,
  type ReferenceMachine,
} from '../../../src/plugins/cpu-software/read/reference.ts'
import type { Flag } from '../../../src/plugins/cpu-software/read/vocabulary.ts'
import { MEANINGS, meaningKey } from '../../../src/plugins/cpu-software/sem/meanings.ts'
import { CODE_ADDRESS, COMPLETED, MEMORY_ADDRESS, MEMORY_BYTES } from '../../host-oracle/oracle.ts'
import { describeTrial } from './compare.ts'
import { rowsOf } from './coverage.ts'
import { source } from './fp/operands.ts'
import { SEED, trialsPerForm } from './host-trials.ts'
import { adjustmentOf } from './integer-rows.ts'
import { CODE_PAGE, runOnSoftware } from './run-code.ts'
import { stringTrial } from './string-trials.ts'
import { formsOf, modesOf, type Trial, trial } from './trials.ts'

t.setTimeout(300_000)

const FLAGS = ['CF', 'PF', 'AF', 'ZF', 'SF', 'OF'] as const
const PAGE_FAULT = 14
const USER = 4
const WRITE = 2

interface Ended {
  readonly vector: number
  readonly errorCode: number
  readonly cr2: bigint
  readonly rip: bigint
  readonly gpr: readonly bigint[]
  readonly flags: string
  readonly memory: string
}

const shown = (flags: Record<Flag, boolean>): string => FLAGS.filter((name) => flags[name]).join(' ')

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

function byReference(one: Trial): Ended {
  const d = new Decoded()
  const code = Uint8Array.from([...one.case.code, ...new Array<number>(16).fill(0xcc)])
  decode(code, 0, code.length, one.mode, d)
  const row = ROWS[d.row]!
  const key = meaningKey(row, d.rep)!
  const { bytes, load, store } = dataPages(one)
  const rflags = Number(one.case.rflags)
  const flags = Object.fromEntries(FLAGS.map((name) => [name, (rflags & FLAG[name]) !== 0])) as Record<
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
  let fault: ReferenceFault | undefined
  try {
    new Reference(machine, row, d, one.mode === 64).run(MEANINGS[key]!)
  } catch (thrown) {
    if (!(thrown instanceof ReferenceFault)) throw thrown
    fault = thrown
  }
  const { offset, bytes: window } = one.case.memory!
  return {
    vector: fault?.vector ?? COMPLETED,
    errorCode: fault?.errorCode ?? 0,
    cr2: fault?.address ?? 0n,
    rip: machine.rip,
    gpr: machine.gpr,
    flags: shown(flags),
    memory: Buffer.from(bytes.subarray(offset, offset + window.length)).toString('hex'),
  }
}

function byInterpreter(one: Trial): Ended {
  const [r] = runOnSoftware([one.case])
  const flags = Object.fromEntries(FLAGS.map((name) => [name, (Number(r!.rflags) & FLAG[name]) !== 0]))
  return {
    vector: r!.vector,
    errorCode: r!.errorCode,
    cr2: r!.cr2,
    rip: BigInt(CODE_ADDRESS) + BigInt(r!.ripOffset),
    gpr: [...r!.gpr],
    flags: shown(flags as Record<Flag, boolean>),
    memory: Buffer.from(r!.memory).toString('hex'),
  }
}

/** Jumps out of the code page or into the instruction itself, and accesses to it are what paging is about, not meanings. */
const isAboutMeaning = (one: Trial, ended: Ended): boolean => {
  if (ended.vector !== COMPLETED) return true
  const landing = Number(ended.rip)
  const intoItself = landing >= CODE_ADDRESS && landing < CODE_ADDRESS + one.case.code.length
  return landing >= CODE_PAGE && landing < CODE_PAGE + 4096 && !intoItself
}
const touchesCode = (ended: Ended): boolean => ended.cr2 >> 12n === BigInt(CODE_PAGE) >> 12n

function trials(): Trial[] {
  const s = source(SEED)
  const found: (Trial | undefined)[] = []
  for (const row of rowsOf('integer', 'string')) {
    if (meaningKey(row, 0) === undefined) continue
    for (const mode of modesOf(row)) {
      for (const memory of formsOf(row))
        for (let n = trialsPerForm(6); n > 0; n--)
          found.push(
            row.rep === ''
              ? trial(s, row, mode, memory, {}, adjustmentOf(row.form, row.mnemonic))
              : stringTrial(s, row, mode),
          )
    }
  }
  return found.filter((drawn) => drawn !== undefined)
}

t.test('interpreter and reference reading agree on every integer meaning', async (t) => {
  const wrong = new Map<string, string>()
  let compared = 0
  const meanings = new Set<string>()
  for (const one of trials()) {
    const wanted = byReference(one)
    if (!isAboutMeaning(one, wanted) || touchesCode(wanted)) continue
    const found = byInterpreter(one)
    compared++
    meanings.add(meaningKey(one.row, one.options.rep ?? 0)!)
    for (const field of ['vector', 'errorCode', 'cr2', 'rip', 'gpr', 'flags', 'memory'] as const)
      if (String(found[field]) !== String(wanted[field]))
        wrong.set(
          one.row.form,
          `${field} ${String(found[field])}, reference ${String(wanted[field])}\n ${describeTrial(one)}`,
        )
  }
  for (const [form, what] of wrong) t.comment(`${form}: ${what}`)
  t.equal([...wrong.keys()].join('; '), '', `${compared} trials agree (seed ${SEED})`)
  const hidden = /^(CRC32|MOVBE|TZCNT|LZCNT)/
  const never = Object.keys(MEANINGS).filter(
    (key) => !meanings.has(key) && !hidden.test(key) && key !== 'SAL',
  )
  t.same(never, [], 'no meaning is left out')
})

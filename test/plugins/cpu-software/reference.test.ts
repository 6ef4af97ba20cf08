/** The interpreter, made by the emitting reading, does what the reference reading says: for every integer meaning, all flags included. */
import t from 'tap'
import { FLAG, type Row } from '../../../src/plugins/cpu-software/isa/row.ts'
import { type Audit, audited } from '../../../src/plugins/cpu-software/read/audit.ts'
import type { Flag } from '../../../src/plugins/cpu-software/read/vocabulary.ts'
import { MEANINGS, meaningKey } from '../../../src/plugins/cpu-software/sem/meanings.ts'
import { CODE_ADDRESS, COMPLETED } from '../../host-oracle/oracle.ts'
import { describeTrial } from './compare.ts'
import { rowsOf } from './coverage.ts'
import { source } from './fp/operands.ts'
import { SEED, trialsPerForm } from './host-trials.ts'
import { adjustmentOf } from './integer-rows.ts'
import { runReference, STATUS_FLAGS } from './reference-machine.ts'
import { CODE_PAGE, runOnSoftware } from './run-code.ts'
import { stringTrial } from './string-trials.ts'
import { formsOf, modesOf, type Trial, trial } from './trials.ts'

t.setTimeout(300_000)

const STACK_FAULT = 12
const GENERAL_PROTECTION = 13

interface Ended {
  readonly vector: number
  readonly errorCode: number
  readonly cr2: bigint
  readonly rip: bigint
  readonly gpr: readonly bigint[]
  readonly flags: string
  readonly memory: string
}

const shown = (flags: Record<Flag, boolean>): string => STATUS_FLAGS.filter((name) => flags[name]).join(' ')

function byReference(one: Trial): Ended {
  const { machine, bytes, fault } = runReference(one)
  const { offset, bytes: window } = one.case.memory!
  return {
    vector: fault?.vector ?? COMPLETED,
    errorCode: fault?.errorCode ?? 0,
    cr2: fault?.address ?? 0n,
    rip: machine.rip,
    gpr: machine.gpr,
    flags: shown(machine.flags),
    memory: Buffer.from(bytes.subarray(offset, offset + window.length)).toString('hex'),
  }
}

function byInterpreter(one: Trial): Ended {
  const [r] = runOnSoftware([one.case])
  const flags = Object.fromEntries(STATUS_FLAGS.map((name) => [name, (Number(r!.rflags) & FLAG[name]) !== 0]))
  return {
    // Which of the two a stack address raises is for the interpreter to find out, not for meanings.
    vector: r!.vector === STACK_FAULT ? GENERAL_PROTECTION : r!.vector,
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
        for (let n = trialsPerForm(5); n > 0; n--)
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

t.test('meanings write the flags that their rows declare, and fault before they write', async (t) => {
  const status = STATUS_FLAGS.reduce((bits, name) => bits | FLAG[name], 0)
  const written = new Map<Row, number>()
  const wrong = new Set<string>()
  for (const one of trials()) {
    if (one.options.rep !== undefined) continue
    let audit: Audit | undefined
    const { row, fault } = runReference(one, (machine) => {
      audit = audited(machine)
      return audit.machine
    })
    const { flagsWritten, flagsChanged, hasWritten, lateAccesses } = audit!
    written.set(row, (written.get(row) ?? 0) | flagsWritten)
    if (flagsChanged & ~row.flags.written) wrong.add(`${row.form} changes flags it does not declare`)
    if (lateAccesses > 0) wrong.add(`${row.form} accesses memory after it wrote`)
    if (fault !== undefined && hasWritten) wrong.add(`${row.form} faults after it wrote`)
  }
  for (const [row, flags] of written)
    if ((row.flags.computed | row.flags.cleared | row.flags.set) & status & ~flags)
      wrong.add(`${row.form} leaves declared flags alone`)
  t.same([...wrong], [])
  t.ok(written.size > 500, `${written.size} rows audited`)
})

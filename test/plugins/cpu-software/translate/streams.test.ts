/**
 * Random streams of instructions, in the interpreter and translated at their first execution: both end alike, with
 * the same registers, flags, memory and vector state. Streams branch forwards and back, call, fault, and write into
 * their own code; a counter proves that they were translated. And single instructions, translated, do what the host does.
 */
import t from 'tap'
import { planMachine } from '../../../../src/base/machine-memory.ts'
import { decode } from '../../../../src/plugins/cpu-software/isa/decode.ts'
import { HEAT, HEAT_BYTES, readCounters } from '../../../../src/plugins/cpu-software/state.ts'
import type { Heat, TranslationMode } from '../../../../src/plugins/cpu-software/translate/translator.ts'
import type { HostCase, HostResult } from '../../../host-oracle/oracle.ts'
import { COMPLETED, MEMORY_ADDRESS, TIMED_OUT } from '../../../host-oracle/oracle.ts'
import { rowsOf } from '../coverage.ts'
import { type Source, source } from '../fp/operands.ts'
import { agreesWithHost, SEED, skip } from '../host-trials.ts'
import { adjustmentOf, isComparable } from '../integer-rows.ts'
import { CodeRunner, compiledCore, silentLog } from '../run-code.ts'
import { formsOf, modesOf, type Trial, trial } from '../trials.ts'
import { vectorAdjustmentOf } from '../vector-rows.ts'

t.setTimeout(300_000)

const STREAMS = Number(process.env['XT_TEST_STREAMS'] ?? 60)
const runner = (mode: TranslationMode, heat?: Heat) => {
  const translation = { mode, port: undefined, ...(heat === undefined ? {} : { heat }) }
  return new CodeRunner(decode, compiledCore(), silentLog, planMachine(4 << 20, 1)!, translation)
}
const counters = ({ state }: CodeRunner) => readCounters(state.view, state.base)

const BRANCHES = /^(J|CALL|RET|LOOP|INT|UD|HLT)/
const integers = rowsOf('integer', 'system').filter(
  (row) => modesOf(row).includes(64) && !BRANCHES.test(row.mnemonic),
)
const vectors = rowsOf('vector').filter((row) => modesOf(row).includes(64))

function draw(s: Source): Trial | undefined {
  const isVector = s.below(4) === 0
  const row = s.pick(isVector ? vectors : integers)
  const adjust = isVector ? vectorAdjustmentOf(row) : adjustmentOf(row.form, row.mnemonic)
  return trial(s, row, 64, s.pick([...formsOf(row)]), {}, adjust)
}

/** mov byte [rip + to], value */
const writeCode = (to: number, value: number): number[] => {
  const bytes = new DataView(new ArrayBuffer(7))
  bytes.setUint16(0, 0xc605)
  bytes.setInt32(2, to, true)
  bytes.setUint8(6, value)
  return [...new Uint8Array(bytes.buffer)]
}

/** A place in the code that branches lead to, or a branch: its opcode, then 32 bits of distance. */
type Part =
  | readonly number[]
  | { readonly label: number }
  | { readonly opcode: readonly number[]; readonly to: number }

const JNZ = [0x0f, 0x85]
const CALL = [0xe8]
const JMP = [0xe9]
const RET = [0xc3]
const INT3 = [0xcc]
/** dec r15: what instructions leave of it counts the turns of loops. */
const DEC_R15 = [0x49, 0xff, 0xcf]
const LONGEST = 5
const MOST_BLOCKS = 8

function link(parts: readonly Part[]): Uint8Array {
  const size = (part: Part) => ('label' in part ? 0 : 'opcode' in part ? part.opcode.length + 4 : part.length)
  const labels = new Map<number, number>()
  let at = 0
  for (const part of parts) {
    if ('label' in part) labels.set(part.label, at)
    at += size(part)
  }
  at = 0
  return Uint8Array.from(
    parts.flatMap((part) => {
      at += size(part)
      if ('label' in part) return []
      if (!('opcode' in part)) return [...part]
      return [...part.opcode, ...new Uint8Array(Int32Array.of(labels.get(part.to)! - at).buffer)]
    }),
  )
}

/** Blocks that branch forwards, in loops around some of them, with calls of two functions; the immediate of a MOV is written now and then. */
function stream(s: Source): HostCase | undefined {
  const first = draw(s)
  if (first === undefined) return undefined
  const blocks = 1 + s.below(MOST_BLOCKS)
  const instructions = (most: number) =>
    Array.from({ length: s.below(most) + 1 }, () => draw(s)?.case.code).flatMap((code) =>
      code === undefined ? [] : [[...code]],
    )
  const jump = (to: number): Part => ({ opcode: [0x0f, 0x80 + s.below(16)], to })
  const functions = [blocks + 1, blocks + 2]
  const parts: Part[] = []
  for (let n = 0; n < blocks; n++) {
    parts.push({ label: n }, ...(n === 0 ? [[...first.case.code]] : []), ...instructions(LONGEST))
    if (s.below(2) === 0) parts.push(jump(n + 1 + s.below(blocks - n)), ...instructions(2))
    if (s.below(4) === 0) parts.push({ opcode: CALL, to: s.pick(functions) }, ...instructions(2))
    if (s.below(3) === 0) parts.push(DEC_R15, { opcode: JNZ, to: s.below(n + 1) })
  }
  // mov r11d, imm32: a store on the way there changes the first byte of its immediate.
  if (s.below(3) === 0) {
    const at = s.below(parts.length) + 1
    const written: Part[] = [...parts.slice(at), [0x41, 0xbb, 1, 2, 3, 4]]
    const between = written.reduce(
      (sum, part) => sum + ('label' in part ? 0 : 'opcode' in part ? part.opcode.length + 4 : part.length),
      0,
    )
    parts.splice(at, parts.length, writeCode(between - 4, s.below(256)), ...written)
  }
  parts.push({ label: blocks }, INT3)
  // One calls the other, and both end in the same RET.
  const [outer, inner, tail] = [...functions, blocks + 3] as [number, number, number]
  parts.push({ label: outer }, ...instructions(2), { opcode: CALL, to: inner }, ...instructions(3))
  parts.push({ opcode: JMP, to: tail }, { label: inner }, ...instructions(3), jump(tail), ...instructions(3))
  parts.push({ label: tail }, ...instructions(2), RET)
  const gpr = [...(first.case.gpr ?? [])]
  gpr[15] = BigInt(1 + s.below(5))
  return { ...first.case, code: link(parts), gpr }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const text = ({ gpr, memory, fx, ...rest }: HostResult) =>
  JSON.stringify({ ...rest, gpr: [...gpr], memory: hex(memory), fx: hex(fx) }, (_, v) =>
    typeof v === 'bigint' ? v.toString(16) : v,
  )

t.test('random streams end alike in the interpreter and translated', async (t) => {
  const s = source(SEED)
  // `warm` translates at the second execution, and only what was executed: ways that were not taken lead out.
  const plain = runner('off')
  const translated = {
    forced: runner('forced'),
    warm: runner('normal', { hotAfter: 2, warmAfter: 1, samplePeriod: 1 }),
  }
  const wrong: string[] = []
  let compared = 0
  for (let n = 0; n < STREAMS; n++) {
    const one = stream(s)
    if (one === undefined) continue
    const expected = plain.run(one)
    for (const [name, runner] of Object.entries(translated)) {
      const { memory, state } = runner
      memory.u8.fill(0, state.base + HEAT, state.base + HEAT + HEAT_BYTES)
      for (let warming = 0; warming < 4; warming++) runner.run(one)
      const found = runner.run(one)
      // Where patience ends depends on how branches are counted.
      if (expected.vector === TIMED_OUT || found.vector === TIMED_OUT) continue
      compared++
      if (text(found) !== text(expected))
        wrong.push(`${name}, stream ${n} ${hex(one.code)}\n  ${text(expected)}\n  ${text(found)}`)
    }
  }
  for (const line of wrong.slice(0, 2)) t.comment(line)
  t.equal(wrong.length, 0, `${compared} streams (seed ${SEED})`)
  t.ok(compared > STREAMS, 'most streams come to an end')
  const { regionsMade, regionEntries, regionsWritten } = counters(translated.forced)
  t.ok(regionsMade > compared / 4 && regionEntries >= regionsMade / 2, 'they were translated')
  t.ok(counters(translated.warm).regionsMade > compared / 20, 'also when they were warm')
  t.ok(regionsWritten > 0, 'some wrote into translated code')
  t.equal(counters(plain).regionsMade, 0, 'the interpreter alone translates nothing')
})

t.test(
  'a region that is entered in the middle of a loop loads what the head of the loop needs',
  async (t) => {
    const [main, outer, inner, tail] = [0, 1, 2, 3]
    const code = link([
      { label: main },
      { opcode: CALL, to: outer },
      DEC_R15,
      { opcode: JNZ, to: main },
      INT3,
      { label: outer },
      [0x53], // push rbx
      { opcode: CALL, to: inner },
      [0x5b], // pop rbx
      { opcode: JMP, to: tail },
      { label: inner },
      [0x48, 0x83, 0xff, 0x05], // cmp rdi, 5
      { opcode: [0x0f, 0x82], to: tail },
      [0x31, 0xc0], // xor eax, eax
      { label: tail },
      [0x49, 0x89, 0xf8], // mov r8, rdi
      [0xd9, 0xd0], // fnop: the interpreter's
      RET,
    ])
    const gpr: bigint[] = Array.from({ length: 16 }, () => 0n)
    gpr[4] = BigInt(MEMORY_ADDRESS + 4096)
    gpr[7] = 77n
    gpr[15] = 20n
    const warm = runner('normal', { hotAfter: 3, warmAfter: 1, samplePeriod: 1 })
    const { vector, gpr: after } = warm.run({ code, gpr })
    t.ok(counters(warm).regionEntries > 0, 'regions were entered')
    t.match({ vector, r8: after[8], r15: after[15] }, { vector: COMPLETED, r8: 77n, r15: 0n })
  },
)

t.test('translated instructions do what the host does', { skip }, async (t) => {
  const s = source(SEED)
  const trials: Trial[] = []
  for (const row of rowsOf('integer')) {
    if (!modesOf(row).includes(64)) continue
    for (const memory of formsOf(row))
      for (let n = 0; n < 3; n++) {
        const drawn = trial(s, row, 64, memory, {}, adjustmentOf(row.form, row.mnemonic))
        if (drawn !== undefined && isComparable(drawn)) trials.push(drawn)
      }
  }
  const forced = runner('forced')
  agreesWithHost(t, trials, false, forced)
  t.ok(counters(forced).regionsMade > trials.length / 2, 'they were translated')
})

/** Every integer instruction of the table, run by the software CPU and by the host's: registers, flags, memory and faults agree. */
import t from 'tap'
import { rowsOf } from './coverage.ts'
import { source } from './fp/operands.ts'
import { agreesWithHost, SEED, skip, trialsPerForm } from './host-trials.ts'
import { adjustmentOf, isComparable } from './integer-rows.ts'
import { runOnSoftware } from './run-code.ts'
import { stringTrial } from './string-trials.ts'
import { formsOf, type Mode, modesOf, type Trial, trial } from './trials.ts'

t.setTimeout(300_000)

function integerTrials(mode: Mode, locked: boolean): Trial[] {
  const s = source(SEED * 4 + mode + (locked ? 1 : 0))
  const found: Trial[] = []
  for (const row of rowsOf('integer', 'system')) {
    if (!modesOf(row).includes(mode) || (locked && !row.lockable)) continue
    const adjust = adjustmentOf(row.form, row.mnemonic)
    for (const memory of locked ? [true] : formsOf(row)) {
      for (let n = trialsPerForm(12); n > 0; n--) {
        const drawn = trial(s, row, mode, memory, locked ? { lock: true } : {}, adjust)
        if (drawn !== undefined && isComparable(drawn)) found.push(drawn)
      }
    }
  }
  return found
}

t.test('64-bit integer instructions do what the host does', { skip }, async (t) => {
  agreesWithHost(t, integerTrials(64, false))
})

t.test('32-bit integer instructions do what the host does', { skip }, async (t) => {
  agreesWithHost(t, integerTrials(32, false))
})

t.test('LOCK changes nothing for a single processor', { skip }, async (t) => {
  agreesWithHost(t, [...integerTrials(64, true), ...integerTrials(32, true)])
})

t.test(
  'string instructions and their REP forms do what the host does, faults in the middle included',
  { skip },
  async (t) => {
    const s = source(SEED)
    const trials = rowsOf('string').flatMap((row) =>
      modesOf(row).flatMap((mode) =>
        Array.from({ length: trialsPerForm(60) }, () => stringTrial(s, row, mode)),
      ),
    )
    agreesWithHost(
      t,
      trials.filter((drawn) => drawn !== undefined),
    )
  },
)

t.test('privileged instructions are refused to user code as by the host', { skip }, async (t) => {
  const s = source(SEED)
  const trials = rowsOf('privileged').flatMap((row) =>
    modesOf(row).flatMap((mode) => formsOf(row).map((memory) => trial(s, row, mode, memory, {}))),
  )
  agreesWithHost(
    t,
    trials.filter((drawn) => drawn !== undefined),
  )
})

t.test('INT1 is a trap that needs no right to its gate', async (t) => {
  const [ended] = runOnSoftware([{ code: Uint8Array.of(0xf1) }])
  t.match({ ...ended }, { vector: 1, errorCode: 0, ripOffset: 1 })
})

t.test('user code cannot jump to what only the supervisor may fetch, though it was run before', async (t) => {
  // The handler of vector 14 is run by the first case.
  const handler = 0xffff_ffff_8000_3070n
  const jump = { code: Uint8Array.of(0xff, 0xe0), gpr: [handler] }
  const [, second] = runOnSoftware([jump, jump])
  t.match({ ...second }, { vector: 14, errorCode: 0x15, cr2: handler })
})

t.test('a jump to the last address faults there', async (t) => {
  const last = 0xffff_ffff_ffff_ffffn
  const [ended] = runOnSoftware([{ code: Uint8Array.of(0xff, 0xe0), gpr: [last] }])
  t.match({ ...ended }, { vector: 14, cr2: last })
})

t.test('endless loops of indirect jumps and of 32-bit branches can be interrupted', async (t) => {
  const self = [0x1000_0800n]
  const ended = runOnSoftware([
    { code: Uint8Array.of(0xff, 0xe0), gpr: self },
    { code: Uint8Array.of(0xff, 0xe0), gpr: self, bits: 32 },
    { code: Uint8Array.of(0xeb, 0xfe), bits: 32 },
  ])
  t.same(
    ended.map((r) => r.vector),
    [255, 255, 255],
  )
})

t.test('a bit index far away wraps with 32-bit addresses', async (t) => {
  // BTS [ecx], rdx with bit 2^36 + 3: 2^33 bytes ahead, which is twice around.
  const memory = { offset: 0, bytes: new Uint8Array(1) }
  const gpr = [0n, 0x2000_0000n, (1n << 36n) | 3n]
  const [ended] = runOnSoftware([{ code: Uint8Array.of(0x67, 0x48, 0x0f, 0xab, 0x11), gpr, memory }])
  t.same([ended?.vector, ended?.memory[0]], [3, 8])
})

t.test(
  'returns and indirect jumps to an address that is not canonical fault before anything changes',
  async (t) => {
    const bad = 0x8000_0000_0000_0000n
    const stack = 0x2000_0000n
    const memory = { offset: 0, bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x80) }
    const gpr = [bad, 0n, 0n, 0n, stack]
    const codes = [[0xff, 0xe0], [0xff, 0xd0], [0xc3], [0xc2, 8, 0]]
    for (const r of runOnSoftware(codes.map((code) => ({ code: Uint8Array.from(code), gpr, memory }))))
      t.match({ ...r, rsp: r.gpr[4] }, { vector: 13, errorCode: 0, ripOffset: 0, rsp: stack })
  },
)

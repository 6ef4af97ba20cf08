/** What was hot once and is not translated any more, or was something else then, gets hot again. */
import t from 'tap'
import { planMachine } from '../../../../src/base/machine-memory.ts'
import { decode } from '../../../../src/plugins/cpu-software/isa/decode.ts'
import { readCounters } from '../../../../src/plugins/cpu-software/state.ts'
import { COMPLETED } from '../../../host-oracle/oracle.ts'
import { CodeRunner, compiledCore, silentLog } from '../run-code.ts'

const HEAT = { hotAfter: 20, warmAfter: 2, samplePeriod: 3 }
const INT3 = 0xcc

/** mov ecx, turns; then `body` until ecx is 0. */
const loop = (turns: number, ...body: number[]): Uint8Array =>
  Uint8Array.from([0xb9, turns & 255, turns >> 8, 0, 0, ...body, 0xff, 0xc9, 0x75, -(body.length + 4), INT3])

function runner() {
  const translation = { mode: 'normal', port: undefined, heat: HEAT } as const
  const made = new CodeRunner(decode, compiledCore(), silentLog, planMachine(8 << 20, 1)!, translation)
  const run = (code: Uint8Array) => made.run({ code, gpr: Array.from({ length: 16 }, () => 0n) })
  const count = () => readCounters(made.memory.view, made.state.base)
  return { run, count }
}

t.test('other code at an address that was hot before is translated when it is hot', async (t) => {
  const { run, count } = runner()
  for (let round = 1; round <= 4; round++) {
    // add eax, round: a program after the other at the same place, as the processes of a guest.
    const { vector, gpr } = run(loop(600, 0x83, 0xc0, round))
    t.match({ vector, rax: gpr[0] }, { vector: COMPLETED, rax: BigInt(600 * round) })
    t.equal(count().regionsMade, round, `region ${round}`)
  }
  t.equal(count().regionsWritten, 3, 'each but the last was overwritten')
})

t.test('a loop that begins with an instruction of the interpreter is translated behind it', async (t) => {
  const { run, count } = runner()
  // fnop; inc eax
  const { vector, gpr } = run(loop(600, 0xd9, 0xd0, 0xff, 0xc0))
  t.match({ vector, rax: gpr[0] }, { vector: COMPLETED, rax: 600n })
  t.equal(count().regionsMade, 1)
  t.ok(count().regionEntries > 100, 'and entered there')
})

/** Pages that had code and become data: after some writes nobody needs to see the others. */
import t from 'tap'
import { PAGE_SIZE, planMachine } from '../../../src/base/machine-memory.ts'
import { decode } from '../../../src/plugins/cpu-software/isa/decode.ts'
import { CODE_ADDRESS, COMPLETED } from '../../host-oracle/oracle.ts'
import { CodeRunner, compiledCore, silentLog } from './run-code.ts'

const gpr = Array.from({ length: 16 }, () => 0n)
/** mov eax, number; int3 */
const code = (number: number) => Uint8Array.from([0xb8, number, 0, 0, 0, 0xcc])

for (const mode of ['off', 'forced'] as const)
  t.test(`a page with code is written to as data (translation ${mode})`, async (t) => {
    const runner = new CodeRunner(decode, compiledCore(), silentLog, planMachine(8 << 20, 1)!, {
      mode,
      port: undefined,
    })
    const { cpu, memory } = runner
    const run = (number: number) => {
      const { vector, gpr: after } = runner.run({ code: code(number), gpr })
      t.match({ vector, rax: after[0] }, { vector: COMPLETED, rax: BigInt(number) })
    }
    run(1)
    const host = cpu.translateForFetch(BigInt(CODE_ADDRESS & ~(PAGE_SIZE - 1)))
    const flag = () => memory.u8[memory.layout.pageFlags + host / PAGE_SIZE]!
    /** Writes until they need not be seen any more: how many. */
    const writesUntilData = () => {
      for (let count = 1; count <= 100_000; count++) {
        cpu.codeWritten(host + ((count * 8) % PAGE_SIZE), 8)
        if (flag() === 0) return count
      }
      return Number.POSITIVE_INFINITY
    }
    t.equal(flag(), 1, 'the page has code')
    const first = writesUntilData()
    t.ok(first < 200, `${first} writes`)
    run(2)
    t.equal(flag(), 1, 'it has code again')
    const second = writesUntilData()
    t.equal(second, 2 * first, 'a page that has both is given up less and less often')
    for (let n = 0; n < 20; n++) {
      run(n)
      t.ok(writesUntilData() <= 16384)
    }
  })

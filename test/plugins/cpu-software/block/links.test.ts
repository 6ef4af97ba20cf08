/**
 * A branch whose target's decoding dropped every micro-op is not linked: what lies in its place may be the target's
 * own first micro-op.
 */
import t from 'tap'
import { PAGE_SIZE, planMachine } from '../../../../src/base/machine-memory.ts'
import { decode } from '../../../../src/plugins/cpu-software/isa/decode.ts'
import { readCounters } from '../../../../src/plugins/cpu-software/state.ts'
import { CODE_ADDRESS } from '../../../host-oracle/oracle.ts'
import { CodeRunner, compiledCore, silentLog } from '../run-code.ts'

const VALUE = 0x1122_3344_5566_7788n
/** JMP over ten bytes; MOV RAX, imm64, whose immediate lies where a branch has its link. */
const CODE = Uint8Array.of(
  0xeb,
  10,
  ...Array(10).fill(0xcc),
  0x48,
  0xb8,
  0x88,
  0x77,
  0x66,
  0x55,
  0x44,
  0x33,
  0x22,
  0x11,
)

t.test('decoding that makes room for a target forgets the branch that led there', async (t) => {
  // Little room for decoded code.
  const layout = { ...planMachine(4 << 20, 1)!, vcpuStride: 2 << 20 }
  const runner = new CodeRunner(decode, compiledCore(), silentLog, layout)
  const { cpu, state, memory } = runner
  const at = BigInt(CODE_ADDRESS)
  t.equal(runner.run({ code: CODE }).gpr[0], VALUE, 'the code does what it should')
  const hostPage = cpu.translateForFetch(at) / PAGE_SIZE
  const flushes = () => readCounters(memory.view, state.base).codeFlushes!

  /** Only the branch is decoded, as the first of all; then `count` other micro-ops, or as many as there is room for. */
  const fill = (count: number): number => {
    cpu.code.flush()
    cpu.code.decodeAt(at, hostPage)
    const before = flushes()
    for (let n = 0; n < count; n++) {
      cpu.code.decodeOne(at, hostPage)
      if (flushes() !== before) return n
    }
    return count
  }
  const room = fill(Number.POSITIVE_INFINITY)
  t.equal(fill(room), room)
  state.setHalf('codeFlushed', 0)
  state.regs[0] = 0n
  state.setInstructionPointer(at)
  const before = flushes()
  do cpu.run()
  while (cpu.leave.kind === 'poll')
  t.equal(cpu.leave.kind, 'halt')
  t.equal(flushes(), before + 1, 'the target was decoded into an empty arena')
  t.equal(state.regs[0], VALUE)
})

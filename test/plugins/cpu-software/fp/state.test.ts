import t from 'tap'
import {
  emms,
  enterMmx,
  FP_STATE,
  type FpCpu,
  getFcw,
  getFsw,
  getFtw,
  getMxcsr,
  getPhysical,
  getSt,
  getTop,
  hasPendingException,
  isEmpty,
  markMmxWritten,
  mmxOffset,
  resetFpState,
  setFcw,
  setFsw,
  setSt,
  setTop,
  updateErrorSummary,
} from '../../../../src/plugins/cpu-software/fp/state.ts'
import { x87Instructions } from '../../../../src/plugins/cpu-software/fp/x87.ts'

/** A state block that does not start at 0, so that a forgotten base shows. */
function freshCpu(): FpCpu {
  const cpu = { view: new DataView(new ArrayBuffer(64 + FP_STATE.bytes)), base: 64 }
  resetFpState(cpu)
  return cpu
}

const ONE = 0x3fff_8000_0000_0000_0000n
const operand = { i: 0, memory: 0n, eflags: 2, pointers: { opcode: () => 0x1e8, cs: 0x10, ip: 0x1234n } }
const run = (cpu: FpCpu, form: string, i = 0) => x87Instructions.get(form)!.run(cpu, { ...operand, i })

t.test('after reset the control words have their defaults and every register is empty', async (t) => {
  const cpu = freshCpu()
  t.same([getFcw(cpu), getFsw(cpu), getFtw(cpu), getMxcsr(cpu)], [0x37f, 0, 0, 0x1f80])
  t.equal(new DataView(cpu.view.buffer).getUint32(0), 0, 'nothing is written below the base')
})

t.test('registers keep to 16-byte places with 16-byte alignment', async (t) => {
  t.equal(FP_STATE.st % 16, 0)
  t.equal(FP_STATE.xmm % 16, 0)
  t.ok(FP_STATE.bytes < 640)
})

t.test('a push decrements TOP and ST(i) follows it', async (t) => {
  const cpu = freshCpu()
  run(cpu, 'FLD1')
  run(cpu, 'FLDZ')
  t.equal(getTop(cpu), 6)
  t.equal(getSt(cpu, 1), ONE)
  t.equal(getPhysical(cpu, 7), ONE)
  t.equal(getFtw(cpu), 0xc0)
})

t.test('the ninth push is a stack overflow: IE, SF, C1 and the indefinite', async (t) => {
  const cpu = freshCpu()
  for (let i = 0; i < 9; i++) run(cpu, 'FLD1')
  t.equal(getFsw(cpu) & 0x241, 0x241)
  t.equal(getSt(cpu, 0), 0xffff_c000_0000_0000_0000n)
})

t.test(
  'an unmasked exception waits for the next instruction, which becomes #MF and changes nothing',
  async (t) => {
    const cpu = freshCpu()
    setFcw(cpu, 0x37e)
    run(cpu, 'FCHS')
    t.equal(getFsw(cpu) & 0x80c1, 0x80c1, 'B, ES, SF, IE; C1 clear: underflow')
    t.ok(hasPendingException(cpu))
    t.ok(x87Instructions.get('FLD1')!.waits)
    t.notOk(x87Instructions.get('FNCLEX')!.waits)
    run(cpu, 'FNCLEX')
    t.notOk(hasPendingException(cpu))
  },
)

t.test(
  'instructions leave their pointers, the opcode only with an unmasked exception, control ones nothing',
  async (t) => {
    const cpu = freshCpu()
    const pointers = () => [
      cpu.view.getUint16(64 + FP_STATE.fop, true),
      cpu.view.getUint16(64 + FP_STATE.fcs, true),
      cpu.view.getBigUint64(64 + FP_STATE.fip, true),
    ]
    run(cpu, 'FLD1')
    t.same(pointers(), [0, 0x10, 0x1234n])
    run(cpu, 'FSTP ST(i)')
    setFcw(cpu, 0x37e)
    run(cpu, 'FCHS')
    t.same(pointers(), [0x1e8, 0x10, 0x1234n])
    x87Instructions.get('FNSTCW m16')!.run(cpu, { ...operand, pointers: { opcode: () => 1, cs: 2, ip: 3n } })
    t.same(pointers(), [0x1e8, 0x10, 0x1234n])
  },
)

t.test('ES and B follow the masks', async (t) => {
  const cpu = freshCpu()
  setFsw(cpu, 0x04)
  setFcw(cpu, 0x37b)
  updateErrorSummary(cpu)
  t.equal(getFsw(cpu), 0x8084)
  setFcw(cpu, 0x37f)
  updateErrorSummary(cpu)
  t.equal(getFsw(cpu), 0x04)
})

t.test(
  'MMX takes over the x87 registers: TOP 0, all in use, written ones look like NaNs; EMMS frees them',
  async (t) => {
    const cpu = freshCpu()
    setTop(cpu, 5)
    setSt(cpu, 0, ONE)
    enterMmx(cpu)
    t.equal(getTop(cpu), 0)
    t.equal(getFtw(cpu), 0xff)
    cpu.view.setBigUint64(64 + mmxOffset(3), 0x1122n, true)
    markMmxWritten(cpu, 3)
    t.equal(getSt(cpu, 3), 0xffff_0000_0000_0000_1122n)
    emms(cpu)
    t.ok(isEmpty(cpu, 3))
  },
)

import t from 'tap'
import { MachineMemory, planMachine } from '../../../../src/base/machine-memory.ts'
import type { AssistOp } from '../../../../src/plugins/cpu-software/block/code-cache.ts'
import { CpuState, CR0, CR4 } from '../../../../src/plugins/cpu-software/cpu-state.ts'
import { type FpMachine, floatingPointAssist } from '../../../../src/plugins/cpu-software/fp/assists.ts'
import {
  type FpCpu,
  getFcw,
  getFsw,
  getFtw,
  getMxcsr,
  getSt,
  resetFpState,
  setFcw,
  setFsw,
  setMxcsr,
  setSt,
  xmmOffset,
} from '../../../../src/plugins/cpu-software/fp/state.ts'
import { ROWS } from '../../../../src/plugins/cpu-software/isa/table.ts'
import { STATE } from '../../../../src/plugins/cpu-software/state.ts'

/** The guest has 8 KiB of memory from here, and only its first half can be written. */
const MEMORY = 0x10000n
const BYTES = 8192
const WRITABLE = 4096

/** What a raised exception looks like in these tests. */
class Raised extends Error {}

interface Machine extends FpMachine {
  readonly bytes: Uint8Array
  readonly fp: FpCpu
}

const memory = MachineMemory.create(planMachine(1 << 20, 1)!)

/** A CPU in 64-bit mode with SSE enabled, its x87 and SSE state as after reset, its memory zero. */
function machine(): Machine {
  const state = new CpuState(memory, memory.layout.vcpuAreas)
  memory.u8.fill(0, state.base, state.base + 65536)
  state.setWord('cr0', CR0.PE | CR0.PG | CR0.NE | CR0.MP)
  state.setWord('cr4', CR4.OSFXSR | CR4.OSXMMEXCPT)
  state.setWord('efer', 0x500n)
  state.setWord('rip', MEMORY)
  const fp = { view: state.view, base: state.base + STATE.fp }
  resetFpState(fp)
  const bytes = new Uint8Array(BYTES)
  const view = new DataView(bytes.buffer)
  const raise = (exception: string): never => {
    throw new Raised(exception)
  }
  const place = (address: bigint, size: number, limit: number): number => {
    const at = Number(address - MEMORY)
    return at >= 0 && at + size <= limit ? at : raise('PF')
  }
  const load = (address: bigint, size: 1 | 2 | 4 | 8): bigint => {
    const at = place(address, size, BYTES)
    return BigInt.asUintN(8 * size, size === 8 ? view.getBigUint64(at, true) : readSmall(view, at, size))
  }
  return {
    state,
    fp,
    bytes,
    load,
    store: (address, size, value) => {
      const at = place(address, size, WRITABLE)
      for (let i = 0; i < size; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n)
    },
    loadBytes: (address, length) => bytes.slice(place(address, length, BYTES)).subarray(0, length),
    storeBytes: (address, from) => bytes.set(from, place(address, from.length, WRITABLE)),
    probeStore: (address, size) => void place(address, size, WRITABLE),
    raise,
    undefinedInstruction: () => raise('UD'),
  }
}

const readSmall = (view: DataView, at: number, size: number): bigint =>
  BigInt(size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at))

/** Runs a form; returns the exception it raised, if any. */
function run(cpu: Machine, form: string, fields: Partial<AssistOp> & { address?: bigint } = {}): string {
  const row = ROWS.find((r) => r.form === form)
  const assist = row === undefined ? undefined : floatingPointAssist(row)
  if (row === undefined || assist === undefined) throw new Error(`no ${form}`)
  cpu.state.setWord('tmpAddress', fields.address ?? MEMORY)
  const op: AssistOp = {
    run: () => {},
    row,
    opSize: row.opSize,
    addrSize: 64,
    rep: 0,
    segment: 3,
    isMem: fields.address !== undefined,
    reg: 0,
    rm: 1,
    reg2: 0,
    imm: 0,
    immHi: 0,
    imm2: 0,
    lock: false,
    counter: 'assistsFloat',
    length: 2,
    ...fields,
  }
  try {
    assist(cpu, op)
    return 'none'
  } catch (error) {
    if (error instanceof Raised) return error.message
    throw error
  }
}

const fpBytes = (cpu: Machine): string =>
  Buffer.from(cpu.state.memory.u8.slice(cpu.fp.base, cpu.fp.base + 416)).toString('hex')

const ONE = 0x3fff_8000_0000_0000_0000n
const setXmm = (cpu: Machine, i: number, low: bigint): void =>
  cpu.fp.view.setBigUint64(cpu.fp.base + xmmOffset(i), low, true)
const xmm = (cpu: Machine, i: number): bigint => cpu.fp.view.getBigUint64(cpu.fp.base + xmmOffset(i), true)

t.test('FLD m64 and FSTP m80 move a value from and to memory', async (t) => {
  const cpu = machine()
  new DataView(cpu.bytes.buffer).setFloat64(0, 1, true)
  t.equal(run(cpu, 'FLD m64', { address: MEMORY }), 'none')
  t.equal(getSt(cpu.fp, 0), ONE)
  t.equal(run(cpu, 'FSTP m80', { address: MEMORY + 32n }), 'none')
  t.equal(Buffer.from(cpu.bytes.subarray(32, 44)).toString('hex'), '0000000000000080ff3f0000')
})

t.test('a store that faults leaves the x87 state as it was', async (t) => {
  const cpu = machine()
  run(cpu, 'FLD1')
  const before = fpBytes(cpu)
  t.equal(run(cpu, 'FSTP m80', { address: MEMORY + BigInt(WRITABLE - 4) }), 'PF')
  t.equal(run(cpu, 'FNSAVE m864', { address: MEMORY + BigInt(WRITABLE - 4) }), 'PF')
  t.equal(fpBytes(cpu), before)
})

t.test('CR0.TS makes every kind #NM, CR0.EM makes x87 #NM and SSE #UD', async (t) => {
  const forms = ['FLD1', 'FXSAVE m4096', 'ADDPS xmm, xmm/m128', 'EMMS']
  const withCr0 = (bits: bigint): string[] =>
    forms.map((form) => {
      const cpu = machine()
      cpu.state.setWord('cr0', cpu.state.word('cr0') | bits)
      return run(cpu, form)
    })
  t.same(withCr0(CR0.TS), ['NM', 'NM', 'NM', 'NM'])
  t.same(withCr0(CR0.EM), ['NM', 'NM', 'UD', 'UD'])
})

t.test('FWAIT looks at CR0.TS only together with CR0.MP', async (t) => {
  const cpu = machine()
  cpu.state.setWord('cr0', CR0.PE | CR0.TS)
  t.equal(run(cpu, 'FWAIT'), 'none')
  cpu.state.setWord('cr0', CR0.PE | CR0.TS | CR0.MP)
  t.equal(run(cpu, 'FWAIT'), 'NM')
})

t.test('without CR4.OSFXSR, SSE is #UD and FXSAVE leaves XMM registers out', async (t) => {
  const cpu = machine()
  cpu.state.setWord('cr4', 0n)
  t.equal(run(cpu, 'ADDPS xmm, xmm/m128'), 'UD')
  setXmm(cpu, 0, 0x1234n)
  t.equal(run(cpu, 'FXSAVE m4096', { address: MEMORY }), 'none')
  t.equal(cpu.bytes[160], 0)
})

t.test('a pending x87 exception is #MF for FADD, EMMS and MMX conversions, not for FNSTSW', async (t) => {
  const cpu = machine()
  setFcw(cpu.fp, 0x37e)
  setFsw(cpu.fp, 0x8081)
  t.equal(run(cpu, 'FADD ST(0), ST(i)'), 'MF')
  t.equal(run(cpu, 'EMMS'), 'MF')
  t.equal(run(cpu, 'CVTPI2PS xmm, mm/m64'), 'MF')
  t.equal(run(cpu, 'CVTPI2PS xmm, mm/m64', { address: MEMORY }), 'none')
  cpu.state.regs[0] = 0xffff_ffff_ffff_0000n
  t.equal(run(cpu, 'FNSTSW AX'), 'none')
  t.equal(cpu.state.regs[0], 0xffff_ffff_ffff_8081n)
})

t.test('an unmasked exception keeps its opcode for FNSTENV, prefixes left out', async (t) => {
  const cpu = machine()
  cpu.bytes.set([0x66, 0xd9, 0xe0])
  setFcw(cpu.fp, 0x37e)
  run(cpu, 'FCHS', { length: 3 })
  t.equal(run(cpu, 'FNSTENV m224', { address: MEMORY + 64n }), 'none')
  const image = new DataView(cpu.bytes.buffer, 64, 28)
  t.equal(image.getUint32(16, true) >>> 16, 0x1e0)
  t.equal(image.getUint32(12, true), Number(MEMORY))
  t.equal(getFcw(cpu.fp) & 0x3f, 0x3f)
})

t.test('FCOMI sets ZF PF CF and clears OF SF AF', async (t) => {
  const cpu = machine()
  run(cpu, 'FLD1')
  run(cpu, 'FLDZ')
  cpu.state.flags = 0x8d7
  t.equal(run(cpu, 'FCOMI ST(0), ST(i)', { rm: 1 }), 'none')
  t.equal(cpu.state.flags & 0x8d5, 0x01)
})

t.test('an unaligned 128-bit operand of ADDPS is #GP, of ADDSS there is none', async (t) => {
  const cpu = machine()
  t.equal(run(cpu, 'ADDPS xmm, xmm/m128', { address: MEMORY + 4n }), 'GP')
  t.equal(run(cpu, 'ADDSS xmm, xmm/m32', { address: MEMORY + 4n }), 'none')
})

t.test('an unmasked SSE exception is #XM, or #UD without CR4.OSXMMEXCPT; only MXCSR changes', async (t) => {
  const cpu = machine()
  setMxcsr(cpu.fp, 0x1f80 & ~0x200)
  setXmm(cpu, 0, 0x3f80_0000n)
  t.equal(run(cpu, 'DIVSS xmm, xmm/m32'), 'XM')
  t.equal(getMxcsr(cpu.fp) & 0x3f, 4)
  t.equal(xmm(cpu, 0), 0x3f80_0000n)
  cpu.state.setWord('cr4', CR4.OSFXSR)
  t.equal(run(cpu, 'DIVSS xmm, xmm/m32'), 'UD')
})

t.test('conversions take and give general registers, 32-bit results clear the upper half', async (t) => {
  const cpu = machine()
  cpu.state.regs[1] = 0xffff_ffff_ffff_fffen
  t.equal(run(cpu, 'CVTSI2SD xmm, r32/m32'), 'none')
  t.equal(xmm(cpu, 0), 0xc000_0000_0000_0000n)
  cpu.state.regs[3] = -1n
  t.equal(run(cpu, 'CVTTSD2SI r32, xmm/m64', { reg: 3, rm: 0 }), 'none')
  t.equal(cpu.state.regs[3], 0xffff_fffen)
})

t.test('a conversion into an MMX register takes over the x87 registers', async (t) => {
  const cpu = machine()
  setXmm(cpu, 1, 0x4000_0000_3f80_0000n)
  t.equal(run(cpu, 'CVTPS2PI mm, xmm/m64', { reg: 2 }), 'none')
  t.equal(getSt(cpu.fp, 2), 0xffff_0000_0002_0000_0001n)
  t.equal(getFtw(cpu.fp), 0xff)
  t.equal(run(cpu, 'EMMS'), 'none')
  t.equal(getFtw(cpu.fp), 0)
})

t.test('UCOMISD compares and leaves its operands alone', async (t) => {
  const cpu = machine()
  setXmm(cpu, 0, 0x7ff8_0000_0000_0000n)
  t.equal(run(cpu, 'UCOMISD xmm, xmm/m64'), 'none')
  t.equal(cpu.state.flags & 0x8d5, 0x45)
  t.equal(xmm(cpu, 0), 0x7ff8_0000_0000_0000n)
})

t.test('LDMXCSR refuses reserved bits and STMXCSR stores what was loaded', async (t) => {
  const cpu = machine()
  const view = new DataView(cpu.bytes.buffer)
  view.setUint32(0, 0x1_0000, true)
  t.equal(run(cpu, 'LDMXCSR m32', { address: MEMORY }), 'GP')
  view.setUint32(0, 0x9fc0, true)
  t.equal(run(cpu, 'LDMXCSR m32', { address: MEMORY }), 'none')
  t.equal(run(cpu, 'STMXCSR m32', { address: MEMORY + 8n }), 'none')
  t.equal(view.getUint32(8, true), 0x9fc0)
})

t.test('FXSAVE64 and FXRSTOR64 carry the state over, and want 16-byte alignment', async (t) => {
  const cpu = machine()
  run(cpu, 'FLD1')
  setXmm(cpu, 15, 0xfeedn)
  t.equal(run(cpu, 'FXSAVE64 m4096', { address: MEMORY + 8n }), 'GP')
  t.equal(run(cpu, 'FXSAVE64 m4096', { address: MEMORY }), 'none')
  const before = fpBytes(cpu)
  resetFpState(cpu.fp)
  t.equal(run(cpu, 'FXRSTOR64 m4096', { address: MEMORY }), 'none')
  t.equal(xmm(cpu, 15), 0xfeedn)
  t.equal(getSt(cpu.fp, 0), ONE)
  t.equal(fpBytes(cpu).slice(0, 784), before.slice(0, 784))
  cpu.bytes[27] = 1
  t.equal(run(cpu, 'FXRSTOR64 m4096', { address: MEMORY }), 'GP')
})

t.test('FNSAVE in real mode uses the 16-bit real layout and frees the registers', async (t) => {
  const cpu = machine()
  cpu.state.setWord('cr0', 0n)
  setSt(cpu.fp, 0, ONE)
  t.equal(run(cpu, 'FNSAVE m752', { address: MEMORY }), 'none')
  t.equal(Buffer.from(cpu.bytes.subarray(0, 2)).toString('hex'), '7f03')
  t.equal(cpu.bytes[14 + 7], 0x80)
  t.equal(getFtw(cpu.fp), 0)
  t.equal(getFsw(cpu.fp), 0)
})

t.test('every floating-point row has an assist, and integer rows have none', async (t) => {
  const rows = ROWS.filter((row) => row.feature === 'X87')
  t.same(
    rows.filter((row) => floatingPointAssist(row) === undefined).map((row) => row.form),
    [],
  )
  t.equal(floatingPointAssist(ROWS.find((row) => row.mnemonic === 'PADDB')!), undefined)
})

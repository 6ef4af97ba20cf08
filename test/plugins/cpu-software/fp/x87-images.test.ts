import t from 'tap'
import { f80 } from '../../../../src/plugins/cpu-software/fp/format.ts'
import {
  FP_STATE,
  type FpCpu,
  getFcw,
  getFsw,
  getFtw,
  getMxcsr,
  getSt,
  setMxcsr,
} from '../../../../src/plugins/cpu-software/fp/state.ts'
import {
  type EnvironmentLayout,
  fxBytes,
  fxrstor,
  fxsave,
  loadEnvironment,
  restoreState,
  saveState,
  stateBytes,
  storeEnvironment,
} from '../../../../src/plugins/cpu-software/fp/x87-images.ts'
import { fxImage, readFx } from '../../../host-oracle/fx-image.ts'
import { type HostCase, type HostResult, hostOracle, MEMORY_ADDRESS } from '../../../host-oracle/oracle.ts'
import { operand, type Source, source } from './operands.ts'
import { cpuOf } from './x87-trial.ts'

const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false
const runOnHost = oracle.kind === 'ready' ? oracle.runOnHost : () => []

/** State without a pending exception, with pointers that only a trap on the host could have set. */
function randomState(s: Source) {
  const fcw = 0x7f | (s.below(4) << 8) | (s.below(4) << 10)
  return {
    fcw,
    fsw: s.below(0x10000) & 0x7f7f,
    ftw: s.below(256),
    st: Array.from({ length: 8 }, () => (s.below(4) === 0 ? 0n : operand(s, f80))),
    mxcsr: 0x1f80 | s.below(64),
    xmm: Array.from({ length: 16 }, () => s.bits(128)),
  }
}

type State = ReturnType<typeof randomState>

function ourCpu(x: State): FpCpu {
  const cpu = cpuOf(x)
  setMxcsr(cpu, x.mxcsr)
  for (const [i, value] of x.xmm.entries()) {
    cpu.view.setBigUint64(FP_STATE.xmm + 16 * i, BigInt.asUintN(64, value), true)
    cpu.view.setBigUint64(FP_STATE.xmm + 16 * i + 8, value >> 64n, true)
  }
  return cpu
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Registers of a CPU in a shape that compares and prints well. */
const ours = (cpu: FpCpu) => ({
  fcw: getFcw(cpu),
  fsw: getFsw(cpu),
  ftw: getFtw(cpu),
  mxcsr: getMxcsr(cpu),
  st: Array.from({ length: 8 }, (_, i) => getSt(cpu, i).toString(16)),
  xmm: hex(new Uint8Array(cpu.view.buffer, FP_STATE.xmm, 256)),
})

const theirs = (h: HostResult) => {
  const fx = readFx(h.fx)
  const { fcw, fsw, ftw, mxcsr } = fx
  return { fcw, fsw, ftw, mxcsr, st: fx.st.map((v) => v.toString(16)), xmm: hex(h.fx.subarray(160, 416)) }
}

const hostCase = (x: State, code: number[], memory: Uint8Array): HostCase => ({
  code: Uint8Array.from(code),
  gpr: [0n, 0n, 0n, 0n, 0n, 0n, 0n, BigInt(MEMORY_ADDRESS)],
  fx: fxImage(x),
  memory: { offset: 0, bytes: memory },
})

const TRIALS = 200
const states = (seed: number): State[] => {
  const s = source(seed)
  return Array.from({ length: TRIALS }, () => randomState(s))
}

for (const operandSize of [32, 16] as const) {
  const layout: EnvironmentLayout = { operandSize, mode: 'protected' }
  const prefix = operandSize === 16 ? [0x66] : []

  t.test(
    `FNSTENV and FNSAVE write the host's ${operandSize}-bit image and leave its state`,
    { skip },
    async (t) => {
      for (const [code, run] of [
        [[0xd9, 0x37], storeEnvironment],
        [[0xdd, 0x37], saveState],
      ] as const) {
        const inputs = states(1)
        const host = runOnHost(inputs.map((x) => hostCase(x, [...prefix, ...code], new Uint8Array(108))))
        for (const [i, x] of inputs.entries()) {
          const cpu = ourCpu(x)
          const image = new Uint8Array(108)
          image.set(run(cpu, layout))
          t.equal(hex(image), hex(host[i]!.memory))
          t.same(ours(cpu), theirs(host[i]!))
        }
      }
    },
  )

  t.test(`FLDENV and FRSTOR load any ${operandSize}-bit image as the host does`, { skip }, async (t) => {
    for (const [code, run] of [
      [[0xd9, 0x27], loadEnvironment],
      [[0xdd, 0x27], restoreState],
    ] as const) {
      const s = source(2)
      const inputs = states(3)
      const images = inputs.map(() => Uint8Array.from({ length: stateBytes(layout) }, () => s.below(256)))
      const host = runOnHost(inputs.map((x, i) => hostCase(x, [...prefix, ...code], images[i]!)))
      for (const [i, x] of inputs.entries()) {
        const cpu = ourCpu(x)
        run(cpu, layout, images[i]!)
        t.same(ours(cpu), theirs(host[i]!))
      }
    }
  })

  t.test(`what FNSAVE wrote in real mode, ${operandSize}-bit, FRSTOR reads back`, async (t) => {
    const real: EnvironmentLayout = { operandSize, mode: 'real' }
    for (const x of states(4)) {
      const cpu = ourCpu(x)
      cpu.view.setBigUint64(FP_STATE.fip, 0x234n, true)
      cpu.view.setUint16(FP_STATE.fcs, 0xf000, true)
      cpu.view.setUint16(FP_STATE.fop, 0x1c1, true)
      const before = ours(cpu)
      const image = saveState(cpu, real)
      restoreState(cpu, real, image)
      t.same(ours(cpu), before)
      t.equal(cpu.view.getBigUint64(FP_STATE.fip, true), 0xf0234n, 'linear')
      t.equal(cpu.view.getUint16(FP_STATE.fop, true), 0x1c1)
    }
  })
}

t.test('an environment in real mode splits linear addresses at bit 16', async (t) => {
  const cpu = ourCpu(states(5)[0]!)
  cpu.view.setBigUint64(FP_STATE.fip, 0x5678n, true)
  cpu.view.setUint16(FP_STATE.fcs, 0xf000, true)
  cpu.view.setBigUint64(FP_STATE.fdp, 0x1_0000n, true)
  cpu.view.setUint16(FP_STATE.fds, 0x1234, true)
  cpu.view.setUint16(FP_STATE.fop, 0x7ff, true)
  const small = storeEnvironment(cpu, { operandSize: 16, mode: 'real' })
  t.equal(hex(small.subarray(6)), '7856fff740230020')
  const big = storeEnvironment(cpu, { operandSize: 32, mode: 'real' })
  t.equal(hex(big.subarray(12)), '7856fffffff700004023ffff00200000')
})

t.test("FXSAVE and FXSAVE64 write the host's image", { skip }, async (t) => {
  for (const wide of [false, true]) {
    const layout = { wide, xmmRegisters: 16 } as const
    const inputs = states(6)
    const code = wide ? [0x48, 0x0f, 0xae, 0x07] : [0x0f, 0xae, 0x07]
    const host = runOnHost(inputs.map((x) => hostCase(x, code, new Uint8Array(512))))
    for (const [i, x] of inputs.entries()) {
      const theirs = host[i]!.memory.slice(0, fxBytes(layout))
      // MXCSR_MASK is the processor's own; ours has no misaligned-exception mask (bit 17, AMD).
      theirs.set([0xff, 0xff, 0, 0], 28)
      t.equal(hex(fxsave(ourCpu(x), layout)), hex(theirs))
    }
  }
})

t.test('FXRSTOR loads any image as the host does, and refuses reserved MXCSR bits', { skip }, async (t) => {
  const layout = { wide: true, xmmRegisters: 16 } as const
  const s = source(7)
  const inputs = states(8)
  const images = inputs.map(() => {
    const image = Uint8Array.from({ length: 512 }, () => s.below(256))
    if (s.below(4) !== 0) image.fill(0, 26, 28)
    return image
  })
  const host = runOnHost(inputs.map((x, i) => hostCase(x, [0x48, 0x0f, 0xae, 0x0f], images[i]!)))
  for (const [i, x] of inputs.entries()) {
    const cpu = ourCpu(x)
    const loaded = fxrstor(cpu, layout, images[i]!)
    t.equal(loaded, host[i]!.vector !== 13)
    t.same(ours(cpu), theirs(host[i]!))
  }
})

t.test('in 32-bit code FXSAVE writes nothing behind XMM7, like the host', { skip }, async (t) => {
  const layout = { wide: false, xmmRegisters: 8 } as const
  const inputs = states(10)
  const old = new Uint8Array(512).fill(0xee)
  const host = runOnHost(inputs.map((x): HostCase => ({ ...hostCase(x, [0x0f, 0xae, 0x07], old), bits: 32 })))
  for (const [i, x] of inputs.entries()) {
    const ours = old.slice(160)
    ours.set(fxsave(ourCpu(x), layout).subarray(160))
    t.equal(hex(ours), hex(host[i]!.memory.subarray(160)))
  }
})

t.test('without OSFXSR FXSAVE stops after the x87 registers', async (t) => {
  const cpu = ourCpu(states(9)[0]!)
  const bare = fxsave(cpu, { wide: false, xmmRegisters: 0 })
  t.equal(bare.length, 160)
  t.equal(hex(bare.subarray(24, 32)), '0000000000000000')
})

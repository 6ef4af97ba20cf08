/**
 * The common ways of system instructions, exceptions and interrupts in WebAssembly against the assists: the same
 * random machine, once each way, must end in the same state. Descriptors, gates, task state, stacks and flags are
 * such that about half of the trials are uncommon somewhere.
 */
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { FP_STATE } from '../../../../src/plugins/cpu-software/fp/state.ts'
import { FLAG } from '../../../../src/plugins/cpu-software/isa/row.ts'
import { ATTENTION, SEGMENT, STATE } from '../../../../src/plugins/cpu-software/state.ts'
import { updateMode } from '../../../../src/plugins/cpu-software/system/descriptors.ts'
import { deliverException, deliverInterrupt } from '../../../../src/plugins/cpu-software/system/exceptions.ts'
import { refreshFloat } from '../../../../src/plugins/cpu-software/system/float.ts'
import { NATIVE_KEYS } from '../../../../src/plugins/cpu-software/system/native.ts'
import { CODE_ADDRESS, MEMORY_ADDRESS } from '../../../host-oracle/oracle.ts'
import { type Source, source } from '../fp/operands.ts'
import { CODE_PAGE, CodeRunner, KERNEL_ADDRESS } from '../run-code.ts'

const TRIALS = 1500

/** Bytes of each instruction that has a common way. */
const INSTRUCTIONS: Readonly<Record<string, readonly number[]>> = {
  CLI: [0xfa],
  STI: [0xfb],
  CLD: [0xfc],
  STD: [0xfd],
  PUSHFQ: [0x9c],
  POPFQ: [0x9d],
  IRETQ: [0x48, 0xcf],
  SYSCALL: [0x0f, 0x05],
  SYSRETQ: [0x48, 0x0f, 0x07],
  SWAPGS: [0x0f, 0x01, 0xf8],
  'MOV r64, cr0': [0x0f, 0x20, 0xc3],
  'MOV r64, cr2': [0x0f, 0x20, 0xd3],
  'MOV r64, cr3': [0x0f, 0x20, 0xdb],
  'MOV r64, cr4': [0x41, 0x0f, 0x20, 0xe3],
  'MOV cr3, r64': [0x0f, 0x22, 0xd9],
  'MOV r32, sreg': [0x41, 0x8c, 0xd8],
  'MOV r16, sreg': [0x66, 0x8c, 0xd8],
  'MOV m16, sreg': [0x8c, 0x27],
  MFENCE: [0x0f, 0xae, 0xf0],
  LDMXCSR: [0x0f, 0xae, 0x17],
  STMXCSR: [0x0f, 0xae, 0x1f],
  FXSAVE64: [0x48, 0x0f, 0xae, 0x07],
  FXRSTOR64: [0x48, 0x0f, 0xae, 0x0f],
  CMPXCHG16B: [0x48, 0x0f, 0xc7, 0x0f],
}

const runner = new CodeRunner()
const { cpu, state, memory } = runner
const { view, u8 } = memory

/** Guest-physical pages of CodeRunner: its kernel area and the data pages. */
const KERNEL = memory.hostOffset(0x10000)
const KERNEL_BYTES = 0x5000
const DATA = memory.hostOffset(0x30000)
const DATA_BYTES = 0x2000
const CODE = memory.hostOffset(0x20000)
const [GDT, IDT, TSS, STACK] = [0, 0x1000, 0x2000, 0x4000]
const FP_BYTES = FP_STATE.bytes
const STATE_END = STATE.fp + FP_BYTES
const CR3 = state.word('cr3')

const pick = <T>(s: Source, ...values: readonly T[]): T => values[s.below(values.length)]!
/** True once in `n`. */
const rarely = (s: Source, n: number): boolean => s.below(n) === 0

const address = (s: Source): bigint =>
  pick(
    s,
    () => KERNEL_ADDRESS + BigInt(STACK + 0x100 + s.below(0xe00)),
    () => (KERNEL_ADDRESS + BigInt(STACK + 0x100 + s.below(0xe00))) & ~15n,
    () => BigInt(MEMORY_ADDRESS + s.below(DATA_BYTES)),
    () => BigInt(MEMORY_ADDRESS + 0x1000 + s.below(64) - 32),
    () => KERNEL_ADDRESS + BigInt(pick(s, 0x4ff8, 0x5000, 0x5010, 0x3ff8, 0x4008)),
    () => s.bits(64),
    () => s.bits(47),
  )()
const target = (s: Source): bigint =>
  pick(
    s,
    () => BigInt(CODE_ADDRESS + s.below(64)),
    () => BigInt.asUintN(64, BigInt.asIntN(48, s.bits(48))),
  )()
const selector = (s: Source): number =>
  pick(s, 0x10, 0x10, 0x33, 0x33, 0x2b, 0x23, 0x50, 0x58, 0x18, 0, 3, 0x60, 0x14, 0xf0, s.below(0x10000))

const ATTRIBUTES = [
  0xa09b, 0xa09b, 0xa0fb, 0xc0f3, 0xc093, 0xc09b, 0xa09a, 0xa09f, 0xa01b, 0xe09b, 0x8b, 0xc091,
]

function writeGdt(s: Source): void {
  const put = (index: number, attributes: number) => {
    view.setUint32(KERNEL + GDT + index, rarely(s, 4) ? Number(s.bits(32)) : 0xffff, true)
    const base = rarely(s, 4) ? Number(s.bits(8)) : 0
    view.setUint32(KERNEL + GDT + index + 4, base | (attributes << 8) | 0xf0000, true)
  }
  for (const index of [0x50, 0x58, 0x60]) put(index, pick(s, ...ATTRIBUTES))
  put(0x10, rarely(s, 12) ? pick(s, ...ATTRIBUTES) : 0xa09b)
  put(0x18, 0xc093)
  put(0x28, 0xc0f3)
  put(0x30, rarely(s, 12) ? pick(s, ...ATTRIBUTES) : 0xa0fb)
}

function writeGate(s: Source, vector: number): void {
  const gate = KERNEL + IDT + vector * 16
  const to = target(s)
  const type = rarely(s, 8) ? s.below(256) : pick(s, 0x8e, 0x8f, 0xee, 0xef)
  const ist = rarely(s, 3) ? s.below(8) : 0
  const code = rarely(s, 6) ? selector(s) : 0x10
  view.setUint32(gate, Number(to & 0xffffn) | (code << 16), true)
  view.setUint32(gate + 4, ist | (type << 8) | Number(((to >> 16n) & 0xffffn) << 16n), true)
  view.setUint32(gate + 8, Number((to >> 32n) & 0xffff_ffffn), true)
}

function writeTask(s: Source): void {
  const stack = () => (rarely(s, 4) ? address(s) : KERNEL_ADDRESS + BigInt(STACK + 0x800 + s.below(0x800)))
  view.setBigUint64(KERNEL + TSS + 4, stack(), true)
  for (let n = 0; n < 7; n++) view.setBigUint64(KERNEL + TSS + 0x24 + n * 8, stack(), true)
  const limit = rarely(s, 6) ? pick(s, 0x0a, 0x0b, 0x2b, 0x40) : 0x67
  state.setSegment(SEGMENT.TR, 0x40, KERNEL_ADDRESS + BigInt(TSS), limit, 0x8b)
}

const flagsOf = (s: Source): number => {
  const common = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.DF | FLAG.OF | FLAG.IF | FLAG.AC
  const rare = rarely(s, 8) ? FLAG.NT | FLAG.IOPL | FLAG.ID | FLAG.RF | FLAG.TF : 0
  return (Number(s.bits(22)) & (common | rare)) | 2
}

function setRegisters(s: Source): void {
  for (let n = 0; n < 16; n++) state.regs[n] = rarely(s, 3) ? s.bits(64) : address(s)
  const user = rarely(s, 2)
  const [code, data] = user ? [0x33, 0x2b] : [0x10, 0x18]
  state.setSegment(SEGMENT.CS, code, 0n, 0xffff_ffff, user ? 0xa0fb : 0xa09b)
  if (rarely(s, 2)) state.setSegment(SEGMENT.SS, user ? 3 : 0, 0n, 0, 1 << 16)
  else state.setSegment(SEGMENT.SS, data, 0n, 0xffff_ffff, user ? 0xc0f3 : 0xc093)
  for (const segment of [SEGMENT.ES, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS])
    state.setSegment(
      segment,
      selector(s),
      s.bits(64),
      Number(s.bits(32)),
      pick(s, 0xc0f3, 0xc093, 1 << 16, 0xa0ff, 0xa09f),
    )
  state.privilege = user ? 3 : 0
  updateMode(cpu)
  state.flags = flagsOf(s) & ~FLAG.TF
  // Forms of the flag words that instructions leave behind.
  if (rarely(s, 2)) {
    state.setWord('flagResult', pick(s, 0n, s.bits(64)))
    state.setWord('flagCarries', s.bits(64))
    state.setWord('flagFixes', s.bits(64))
  }
}

/** Makes the whole machine anew. */
function arrange(s: Source): void {
  const random = (at: number, bytes: number) => {
    for (let n = 0; n < bytes; n += 8) view.setBigUint64(at + n, s.bits(64), true)
  }
  random(DATA + 0xf80, 0x100)
  random(state.base + STATE.fp, FP_BYTES)
  // An image that FXRSTOR and LDMXCSR take.
  random(DATA, 0x200)
  for (const at of [0, 0x10, 0x18, 0x28]) view.setUint32(DATA + at, s.below(0x10000), true)
  if (rarely(s, 8)) view.setUint32(DATA + 24, s.below(0x20000), true)
  state.setWord('cr0', (state.word('cr0') & ~0xcn) | (rarely(s, 8) ? pick(s, 4n, 8n) : 0n))
  state.setWord('cr4', (state.word('cr4') & ~0x200n) | (rarely(s, 8) ? 0n : 0x200n))
  refreshFloat(state)
  random(KERNEL + STACK + 0xf00, 0x100)
  writeGdt(s)
  writeTask(s)
  setRegisters(s)
  // Good operands of returns, and a return frame where RSP points, when that is memory.
  if (rarely(s, 2)) {
    state.regs[1] = target(s)
    state.regs[4] = KERNEL_ADDRESS + BigInt(STACK + 8 * s.below(0x1f8))
    state.regs[11] = BigInt(flagsOf(s))
  }
  const rsp = state.regs[4]!
  const offset = Number(BigInt.asIntN(64, rsp - KERNEL_ADDRESS))
  const user = rarely(s, 2)
  const [code, data] = user ? [0x33, 0x2b] : [0x10, pick(s, 0, 0x18)]
  const word = (usual: bigint, other: () => bigint) => (rarely(s, 8) ? other() : usual)
  const frame = [
    word(target(s), () => s.bits(64)),
    word(BigInt(code), () => BigInt(selector(s))),
    BigInt(flagsOf(s)),
    address(s),
    word(BigInt(data), () => BigInt(selector(s))),
  ]
  if (offset >= STACK && offset + 40 <= KERNEL_BYTES)
    frame.forEach((value, n) => {
      view.setBigUint64(KERNEL + offset + n * 8, value, true)
    })
  state.setWord('efer', rarely(s, 10) ? 0xd00n : 0xd01n)
  state.setWord('star', (s.bits(16) << 48n) | (s.bits(16) << 32n))
  state.setWord('lstar', target(s))
  state.setWord('sfmask', pick(s, 0x257fd5n, s.bits(32)))
  state.setWord('kernelGsBase', s.bits(48))
  state.setWord('cr2', s.bits(64))
  state.setWord('cr3', CR3)
  state.setHalf('idtLimit', rarely(s, 10) ? s.below(0x1000) : 0xfff)
  state.setHalf('attention', rarely(s, 3) ? ATTENTION.interrupt : 0)
  state.setHalf('lookSoon', 0)
  state.setWord('faultAddress', s.bits(64))
  if (rarely(s, 2)) {
    // As the exchange finds what it expects.
    const at = BigInt(MEMORY_ADDRESS + (s.below(0xff) << 4))
    state.regs[7] = at
    state.regs[0] = view.getBigUint64(DATA + Number(at) - MEMORY_ADDRESS, true)
    state.regs[2] = view.getBigUint64(DATA + Number(at) - MEMORY_ADDRESS + 8, true)
  }
  if (rarely(s, 2)) state.regs[3] = CR3
}

interface Image {
  readonly words: Uint8Array
  readonly kernel: Uint8Array
  readonly data: Uint8Array
}
const take = (): Image => ({
  words: u8.slice(state.base, state.base + STATE_END),
  kernel: u8.slice(KERNEL, KERNEL + KERNEL_BYTES),
  data: u8.slice(DATA, DATA + DATA_BYTES),
})
function restore(image: Image): void {
  u8.set(image.words, state.base)
  u8.set(image.kernel, KERNEL)
  u8.set(image.data, DATA)
  cpu.flushTlb()
}

/** What a program could see, and the privilege that goes with it. */
function visible(): Record<string, unknown> {
  const words = ['rip', 'cr0', 'cr2', 'cr3', 'cr4', 'efer', 'kernelGsBase', 'stackMask'] as const
  const segments = Array.from({ length: 8 }, (_, n) =>
    [state.selector(n), state.segmentBase(n), state.segmentLimit(n), state.segmentAttributes(n)].join(' '),
  )
  return {
    ...Object.fromEntries(words.map((name) => [name, state.word(name).toString(16)])),
    regs: Array.from(state.regs, (value) => value.toString(16)),
    flags: state.flags.toString(16),
    segments,
    cpl: state.cpl,
    mode: state.half('mode'),
    tlb: state.half('tlb') - state.base,
    kernel: Buffer.from(u8.subarray(KERNEL + TSS, KERNEL + KERNEL_BYTES)).toString('base64'),
    gdt: Buffer.from(u8.subarray(KERNEL, KERNEL + 0x80)).toString('base64'),
    fp: Buffer.from(u8.subarray(state.base + STATE.fp, state.base + STATE_END)).toString('base64'),
    data: Buffer.from(u8.subarray(DATA, DATA + DATA_BYTES)).toString('base64'),
  }
}

/** Reports a difference; one is enough. */
function differs(t: Test, natively: object, byAssist: object, trial: number): boolean {
  if (isDeepStrictEqual(natively, byAssist)) return false
  t.same(natively, byAssist, `trial ${trial}`)
  return true
}

t.test('every common way of an instruction is compared', async (t) => {
  t.same(Object.keys(INSTRUCTIONS).sort(), [...NATIVE_KEYS].sort())
})

for (const [index, [name, bytes]] of Object.entries(INSTRUCTIONS).entries()) {
  t.test(`${name} ends alike natively and in its assist`, async (t) => {
    const s = source(0xa551 + index)
    const at = CODE + (CODE_ADDRESS - CODE_PAGE)
    u8.set(bytes, at)
    cpu.codeWritten(at, 16)
    for (let vector = 0; vector < 32; vector++) writeGate(source(vector), vector)
    let assists = 0
    for (let trial = 0; trial < TRIALS; trial++) {
      arrange(s)
      state.setInstructionPointer(BigInt(CODE_ADDRESS))
      const before = take()
      const run = (natives: boolean) => {
        restore(before)
        cpu.code.usesNatives = natives
        const why = cpu.stepOver()
        return { why, leave: cpu.leave.kind, ...visible() }
      }
      const { assist } = cpu.code
      cpu.code.assist = function (uop) {
        assists++
        return assist.call(this, uop)
      }
      const natively = run(true)
      cpu.code.assist = assist
      if (differs(t, natively, run(false), trial)) break
    }
    cpu.code.usesNatives = true
    t.ok(assists < TRIALS * 0.9, `the assist was needed in ${assists} of ${TRIALS} trials`)
  })
}

t.test('exceptions and interrupts enter alike both ways', async (t) => {
  const s = source(0x1d7)
  const { enterNatively } = cpu
  let taken = 0
  for (let trial = 0; trial < 4 * TRIALS; trial++) {
    const vector = pick(s, 14, 14, 13, 3, 1, 6, 0x20 + s.below(0xe0), s.below(32))
    const external = rarely(s, 2)
    const error = s.below(0x10000)
    arrange(s)
    writeGate(s, vector)
    state.setInstructionPointer(target(s))
    const before = take()
    restore(before)
    const start = visible()
    const address = state.word('faultAddress')
    const done = enterNatively.call(cpu, vector, error, external)
    const natively = visible()
    if (!done) {
      const fault = external ? address : state.word('faultAddress')
      if (differs(t, { ...natively, fault }, { ...start, fault: address }, trial)) break
      continue
    }
    taken++
    restore(before)
    cpu.enterNatively = () => false
    // What the interpreter's own delivery does first.
    if (vector === 14 && !external) state.setWord('cr2', address)
    const why = external ? deliverInterrupt(cpu, vector) : deliverException(cpu, vector, error)
    cpu.enterNatively = enterNatively
    if (differs(t, { why: undefined, ...natively }, { why, ...visible() }, trial)) break
  }
  t.ok(taken > TRIALS, `${taken} of ${4 * TRIALS} trials went the common way`)
})

/**
 * Runs machine code on the software CPU under the host oracle's conditions: user mode under four-level paging,
 * code and data at the oracle's addresses with nothing mapped around them, flat segments, 64-bit or compatibility
 * mode. Exceptions take their real way: through an IDT into a supervisor handler that halts. Cases and results
 * have the oracle's shape, so that the two can be compared field by field.
 */
import type { Log } from '../../../src/base/log.ts'
import {
  type MachineLayout,
  MachineMemory,
  PAGE_SIZE,
  planMachine,
} from '../../../src/base/machine-memory.ts'
import { buildCore } from '../../../src/plugins/cpu-software/core.ts'
import { type CoreModules, Cpu, type CpuHost } from '../../../src/plugins/cpu-software/cpu.ts'
import { CpuState, CR0, CR4, EFER, UNUSABLE } from '../../../src/plugins/cpu-software/cpu-state.ts'
import { fxrstor, fxsave } from '../../../src/plugins/cpu-software/fp/x87-images.ts'
import { type Decode, decode } from '../../../src/plugins/cpu-software/isa/decode.ts'
import { powerOn } from '../../../src/plugins/cpu-software/reset.ts'
import { SEGMENT, STATE } from '../../../src/plugins/cpu-software/state.ts'
import { refreshPaging } from '../../../src/plugins/cpu-software/system/control.ts'
import { updateMode } from '../../../src/plugins/cpu-software/system/descriptors.ts'
import { refreshFloat } from '../../../src/plugins/cpu-software/system/float.ts'
import type { Translation, TranslationMode } from '../../../src/plugins/cpu-software/translate/translator.ts'
import { fxImage } from '../../host-oracle/fx-image.ts'
import {
  CODE_ADDRESS,
  COMPLETED,
  type HostCase,
  type HostResult,
  MEMORY_ADDRESS,
  MEMORY_BYTES,
  TIMED_OUT,
} from '../../host-oracle/oracle.ts'

export const CODE_PAGE = CODE_ADDRESS & ~(PAGE_SIZE - 1)
/** Where the supervisor's tables are; user code may not touch it. */
export const KERNEL_ADDRESS = 0xffff_ffff_8000_0000n

/** Guest-physical addresses. */
const PHYSICAL = {
  pml4: 0x1000,
  lowPdpt: 0x2000,
  lowPd: 0x3000,
  codePt: 0x4000,
  dataPt: 0x5000,
  highPdpt: 0x6000,
  highPd: 0x7000,
  kernelPt: 0x8000,
  kernel: 0x10000,
  code: 0x20000,
  data: 0x30000,
} as const
/** Pages of the kernel area, by offset. */
const KERNEL = { gdt: 0, idt: 0x1000, tss: 0x2000, handlers: 0x3000, stack: 0x4000, bytes: 0x5000 } as const
const STACK_TOP = KERNEL.stack + PAGE_SIZE
/** Bytes between two handlers; each is one HLT. */
const HANDLER_STRIDE = 8

const PRESENT = 1n
const WRITABLE = 2n
const USER = 4n
const NO_EXECUTE = 1n << 63n

/** Selectors as Linux has them, so that PUSH CS and kin agree with the host. */
const SELECTOR = { kernelCode: 0x10, user32Code: 0x23, userData: 0x2b, user64Code: 0x33, tss: 0x40 } as const
const ATTRIBUTES = {
  kernelCode: 0xa09b,
  user32Code: 0xc0fb,
  userData: 0xc0f3,
  user64Code: 0xa0fb,
  tss: 0x8b,
} as const
const LIMIT_4G = 0xffff_ffff
/** INT3, INTO and INT 80h may be used from user mode. */
const USER_GATES = new Set([3, 4, 0x80])
/** Looks of the interpreter (some hundred branches each) before a case counts as endless. */
const PATIENCE = 400
/** Only what the kernel lets a signal handler restore. */
const USER_FLAGS = 0x240dd5n | 0x2n

const nothing = (): void => {}
export const silentLog: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLog,
}

/** XT_TRANSLATION, as the plugin reads it; the interpreter alone without one. */
const defaultTranslation = (): TranslationMode =>
  process.env['XT_TRANSLATION'] === 'forced' ? 'forced' : 'off'

/** One software CPU ready to run cases. */
export class CodeRunner {
  readonly cpu: Cpu
  readonly state: CpuState
  readonly memory: MachineMemory
  /** Host offsets of the code and data pages and the kernel area. */
  readonly #code: number
  readonly #data: number
  readonly #kernel: number
  #codeLength = 0
  #looks = 0

  constructor(
    decoder: Decode = decode,
    modules: CoreModules = compiledCore(),
    log: Log = silentLog,
    layout: MachineLayout = planMachine(4 << 20, 1)!,
    translation: Translation = { mode: defaultTranslation(), port: undefined },
  ) {
    this.memory = MachineMemory.create(layout)
    this.state = new CpuState(this.memory, this.memory.layout.vcpuAreas)
    this.cpu = new Cpu(this.state, this.#host(log), modules, decoder, translation)
    powerOn(this.cpu)
    this.#code = this.memory.hostOffset(PHYSICAL.code)
    this.#data = this.memory.hostOffset(PHYSICAL.data)
    this.#kernel = this.memory.hostOffset(PHYSICAL.kernel)
    this.memory.u8.fill(0xcc, this.#code, this.#code + PAGE_SIZE)
    this.#mapPages()
    this.#writeTables()
    this.#enterLongMode()
  }

  run(one: HostCase): HostResult {
    const { cpu, memory } = this
    this.#placeCode(one.code)
    const offset = one.memory?.offset ?? 0
    memory.u8.fill(0, this.#data, this.#data + MEMORY_BYTES)
    memory.u8.set(one.memory?.bytes ?? [], this.#data + offset)
    this.#enterUser(one)
    this.#looks = 0
    while (this.#looks < PATIENCE) {
      cpu.run()
      if (cpu.leave.kind === 'halt') break
      if (cpu.leave.kind === 'shutdown') throw new Error(cpu.leave.why)
    }
    const length = one.memory?.bytes.length ?? 0
    return {
      ...this.#ending(),
      fx: this.#fx(),
      memory: memory.u8.slice(this.#data + offset, this.#data + offset + length),
    }
  }

  #host(log: Log): CpuHost {
    return {
      log,
      index: 0,
      mustLeave: () => ++this.#looks >= PATIENCE,
      ticks: () => 0,
      deviceRead: () => -1n,
      deviceWrite: nothing,
      cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
      rdmsr: () => undefined,
      interruptWaits: () => false,
      wrmsr: () => false,
      portIn: () => -1,
      portOut: nothing,
      hypercall: () => false,
      spinning: nothing,
      taskPriority: () => 0,
      codeMarked: nothing,
      codeWritten: nothing,
      serialize: nothing,
    }
  }

  #placeCode(code: Uint8Array): void {
    const at = this.#code + (CODE_ADDRESS - CODE_PAGE)
    const { u8 } = this.memory
    // The same once more: what has been decoded and translated stays.
    const present = u8.subarray(at, at + code.length)
    if (this.#codeLength === code.length && Buffer.compare(present, code) === 0) return
    u8.fill(0xcc, at, at + this.#codeLength)
    // A case may have pushed into the code page.
    const isClean = Buffer.compare(u8.subarray(this.#code, this.#code + PAGE_SIZE), TRAPS) === 0
    if (!isClean) u8.set(TRAPS, this.#code)
    u8.set(code, at)
    if (isClean) this.cpu.codeWritten(at, Math.max(code.length, this.#codeLength))
    else this.cpu.codeWritten(this.#code, PAGE_SIZE)
    this.#codeLength = code.length
  }

  #enterUser(one: HostCase): void {
    const { cpu, state } = this
    for (let n = 0; n < 16; n++) state.regs[n] = one.gpr?.[n] ?? 0n
    const long = (one.bits ?? 64) === 64
    const code = long ? 'user64Code' : 'user32Code'
    state.setSegment(SEGMENT.CS, SELECTOR[code], 0n, LIMIT_4G, ATTRIBUTES[code])
    for (const segment of [SEGMENT.ES, SEGMENT.SS, SEGMENT.DS])
      state.setSegment(segment, SELECTOR.userData, 0n, LIMIT_4G, ATTRIBUTES.userData)
    for (const segment of [SEGMENT.FS, SEGMENT.GS]) state.setSegment(segment, 0, 0n, 0, UNUSABLE)
    state.privilege = 3
    updateMode(cpu)
    state.flags = Number(((one.rflags ?? 0x202n) & USER_FLAGS) | 0x202n)
    state.setWord('cr2', 0n)
    state.setInstructionPointer(BigInt(CODE_ADDRESS))
    const fp = { view: state.view, base: state.base + STATE.fp }
    if (!fxrstor(fp, { wide: true, xmmRegisters: 16 }, one.fx ?? DEFAULT_FX))
      throw new Error('the FXSAVE image of a case sets reserved bits of MXCSR')
  }

  /** What the halted handler knows of the interrupted code. */
  #ending(): Omit<HostResult, 'fx' | 'memory'> {
    const { state, memory } = this
    const halted = this.cpu.leave.kind === 'halt'
    const gpr = BigUint64Array.from(state.regs)
    const at = BigInt(CODE_ADDRESS)
    const rip = state.word('rip')
    if (!halted)
      return {
        vector: TIMED_OUT,
        errorCode: 0,
        cr2: 0n,
        ripOffset: Number(rip - at),
        gpr,
        rflags: BigInt(state.flags),
      }
    const vector = Number(rip - KERNEL_ADDRESS - BigInt(KERNEL.handlers)) >> Math.log2(HANDLER_STRIDE)
    const frame = (word: number): bigint =>
      memory.view.getBigUint64(this.#kernel + STACK_TOP - 8 * word, true)
    const pushed = Number(KERNEL_ADDRESS + BigInt(STACK_TOP) - gpr[4]!) / 8
    gpr[4] = frame(2)
    return {
      vector,
      errorCode: pushed === 6 ? Number(frame(6)) : 0,
      cr2: vector === 14 ? state.word('cr2') : 0n,
      ripOffset: Number(BigInt.asIntN(64, frame(5) - at)) - (vector === COMPLETED ? 1 : 0),
      gpr,
      rflags: frame(3),
    }
  }

  #fx(): Uint8Array {
    const image = new Uint8Array(512)
    const fp = { view: this.state.view, base: this.state.base + STATE.fp }
    image.set(fxsave(fp, { wide: true, xmmRegisters: 16 }))
    return image
  }

  #mapPages(): void {
    const { view } = this.memory
    const put = (table: number, index: number, entry: bigint): void =>
      view.setBigUint64(this.memory.hostOffset(table) + index * 8, entry, true)
    const all = PRESENT | WRITABLE | USER
    put(PHYSICAL.pml4, 0, BigInt(PHYSICAL.lowPdpt) | all)
    put(PHYSICAL.pml4, 511, BigInt(PHYSICAL.highPdpt) | all)
    put(PHYSICAL.lowPdpt, 0, BigInt(PHYSICAL.lowPd) | all)
    put(PHYSICAL.lowPd, CODE_ADDRESS >> 21, BigInt(PHYSICAL.codePt) | all)
    put(PHYSICAL.lowPd, MEMORY_ADDRESS >> 21, BigInt(PHYSICAL.dataPt) | all)
    put(PHYSICAL.codePt, (CODE_ADDRESS >> 12) & 511, BigInt(PHYSICAL.code) | all)
    for (let page = 0; page < MEMORY_BYTES / PAGE_SIZE; page++)
      put(
        PHYSICAL.dataPt,
        ((MEMORY_ADDRESS >> 12) & 511) + page,
        BigInt(PHYSICAL.data + page * PAGE_SIZE) | all | NO_EXECUTE,
      )
    put(PHYSICAL.highPdpt, 510, BigInt(PHYSICAL.highPd) | all)
    put(PHYSICAL.highPd, 0, BigInt(PHYSICAL.kernelPt) | all)
    for (let at = 0; at < KERNEL.bytes; at += PAGE_SIZE)
      put(PHYSICAL.kernelPt, at / PAGE_SIZE, BigInt(PHYSICAL.kernel + at) | PRESENT | WRITABLE)
  }

  #writeTables(): void {
    const { view } = this.memory
    const gdt = this.#kernel + KERNEL.gdt
    const entries = [
      [SELECTOR.kernelCode, ATTRIBUTES.kernelCode],
      [SELECTOR.user32Code, ATTRIBUTES.user32Code],
      [SELECTOR.userData, ATTRIBUTES.userData],
      [SELECTOR.user64Code, ATTRIBUTES.user64Code],
    ] as const
    for (const [selector, attributes] of entries) {
      view.setUint32(gdt + (selector & ~7), 0xffff, true)
      view.setUint32(gdt + (selector & ~7) + 4, (attributes << 8) | 0xf0000, true)
    }
    view.setBigUint64(this.#kernel + KERNEL.tss + 4, KERNEL_ADDRESS + BigInt(STACK_TOP), true)
    // The I/O permission map lies beyond the limit: no port is allowed.
    view.setUint16(this.#kernel + KERNEL.tss + 0x66, 0x68, true)
    for (let vector = 0; vector < 256; vector++) {
      const offset = KERNEL.handlers + vector * HANDLER_STRIDE
      const target = KERNEL_ADDRESS + BigInt(offset)
      const gate = this.#kernel + KERNEL.idt + vector * 16
      const rights = USER_GATES.has(vector) ? 0xeen : 0x8en
      const low = (target & 0xffffn) | (BigInt(SELECTOR.kernelCode) << 16n) | (rights << 40n)
      view.setBigUint64(gate, low | (((target >> 16n) & 0xffffn) << 48n), true)
      view.setUint32(gate + 8, Number((target >> 32n) & 0xffff_ffffn), true)
      this.memory.u8[this.#kernel + offset] = 0xf4
    }
  }

  #enterLongMode(): void {
    const { cpu, state } = this
    state.setWord('efer', EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE)
    state.setWord('cr0', CR0.PE | CR0.MP | CR0.ET | CR0.NE | CR0.WP | CR0.PG)
    state.setWord('cr4', CR4.PAE | CR4.PGE | CR4.OSFXSR | CR4.OSXMMEXCPT)
    state.setWord('cr3', BigInt(PHYSICAL.pml4))
    state.setWord('gdtBase', KERNEL_ADDRESS + BigInt(KERNEL.gdt))
    state.setHalf('gdtLimit', 0x7f)
    state.setWord('idtBase', KERNEL_ADDRESS + BigInt(KERNEL.idt))
    state.setHalf('idtLimit', 0xfff)
    state.setSegment(SEGMENT.TR, SELECTOR.tss, KERNEL_ADDRESS + BigInt(KERNEL.tss), 0x67, ATTRIBUTES.tss)
    refreshPaging(cpu)
    refreshFloat(state)
    cpu.flushTlb()
  }
}

const DEFAULT_FX = fxImage({})
/** A page of INT3. */
const TRAPS = new Uint8Array(PAGE_SIZE).fill(0xcc)

let core: CoreModules | undefined
/** The interpreter, compiled once for all runners of a process. */
export function compiledCore(): CoreModules {
  if (core === undefined) {
    const bytes = buildCore()
    core = { core: new WebAssembly.Module(bytes.core), rest: new WebAssembly.Module(bytes.rest) }
  }
  return core
}

let shared: CodeRunner | undefined
/** Runs cases on one shared software CPU, as `runOnHost` does on the host's. */
export function runOnSoftware(cases: readonly HostCase[], runner?: CodeRunner): HostResult[] {
  shared ??= new CodeRunner()
  const chosen = runner ?? shared
  return cases.map((one) => chosen.run(one))
}

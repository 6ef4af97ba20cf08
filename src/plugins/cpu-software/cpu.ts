/**
 * One software CPU: the interpreter instance, its state block, and everything the interpreter asks the
 * TypeScript side for. It knows nothing of threads, interrupt controllers or Xen: those come as `CpuHost`.
 */

import type { Log } from '../../base/log.ts'
import { MACHINE_LOCK, PAGE_SIZE } from '../../base/machine-memory.ts'
import { CodeCache } from './block/code-cache.ts'
import type { CpuState } from './cpu-state.ts'
import { GUEST_FAULT } from './fault.ts'
import type { Decode } from './isa/decode.ts'
import { ACCESS, NOT_CANONICAL, TRANSLATED } from './mmu/emit-mmu.ts'
import { walkLegacy } from './mmu/walk.ts'
import { EXCEPTION } from './read/vocabulary.ts'
import {
  ATTENTION,
  COUNTERS,
  type CounterName,
  counterOffset,
  LARGE_MARKS,
  LARGE_MARKS_BYTES,
  OUTCOME,
  SEGMENT,
  STATE,
  STATE_BYTES,
  TLB_ENTRIES,
  TLB_ENTRY,
  TLB_SUPERVISOR,
  TLB_USER,
} from './state.ts'
import { deliverException } from './system/exceptions.ts'
import { MsrStore } from './system/msr.ts'
import type { Traced } from './trace/emit-trace.ts'
import { type Translation, Translator } from './translate/translator.ts'

/** Why the interpreter came back. */
export type Leave =
  | { readonly kind: 'poll' }
  | { readonly kind: 'halt' }
  /** One more instruction runs before interrupts are looked at. */
  | { readonly kind: 'shadow' }
  | { readonly kind: 'shutdown'; readonly why: string }

/** What surrounds the CPU. */
export interface CpuHost {
  readonly log: Log
  readonly index: number
  /** Called every few hundred branches: true when the run loop must look (requests, deadlines). */
  mustLeave(): boolean
  /** TSC value, a whole number. */
  ticks(): number
  deviceRead(gpa: number, size: number): bigint
  deviceWrite(gpa: number, size: number, value: bigint): void
  cpuid(leaf: number, subleaf: number): { eax: number; ebx: number; ecx: number; edx: number }
  /** Undefined: #GP(0). */
  rdmsr(index: number): bigint | undefined
  wrmsr(index: number, value: bigint): boolean
  portIn(port: number, size: 1 | 2 | 4): number
  portOut(port: number, size: 1 | 2 | 4, value: number): void
  /** VMCALL, VMMCALL. False: #UD. */
  hypercall(): boolean
  /** An interrupt may be delivered once the guest takes any. */
  interruptWaits(): boolean
  /** The guest executed PAUSE. */
  spinning(): void
  /** Priority of the task, CR8. */
  taskPriority(value?: number): number
  /** Other vCPUs may hold code of this page, or may write to it unseen. */
  codeMarked(hostPage: number): void
  codeWritten(host: number, size: number): void
  /** The guest executed a serializing instruction: what others wrote into code before is executed from here on. */
  serialize(): void
}

/** The interpreter, compiled (core.ts). */
export interface CoreModules {
  readonly core: WebAssembly.Module
  readonly rest: WebAssembly.Module
  /** Whether they were built for a trace. */
  readonly traced?: Traced | undefined
}

interface CoreExports {
  run(state: number, first: number): number
  flush(state: number): void
  /** The common way of an exception or interrupt; 0: not done. */
  enter(state: number, vector: number, error: number, external: number): number
  flushJumps(state: number): void
  translate(state: number, address: bigint, kind: number): number
  loadSlow(state: number, address: bigint, size: number): number
  storeOpen(state: number, address: bigint, size: number, preload: number): number
  storeCommit(state: number): void
  segmentAddress(state: number, segment: number, offset: bigint, size: number, write: number): bigint
  /** Of a traced core: an event; whether to poll. */
  readonly trace?: (state: number, target: bigint) => number
}

/** What regions import of the core, and the table that they are entered through. */
interface RegionExports {
  readonly table: WebAssembly.Table
  readonly loadSlow: unknown
  readonly regionStore: unknown
  readonly divWide: unknown
  readonly regionPage: unknown
  readonly settleFlags: unknown
  readonly trace?: unknown
}

/** A page's flags have a bit for each vCPU that decoded code there; the ninth shares that of the first. */
const CODE_BITS = 8

/** DR6.BS. */
const DR6_SINGLE_STEP = 1n << 14n

export class Cpu {
  readonly state: CpuState
  readonly host: CpuHost
  readonly code: CodeCache
  readonly translator: Translator
  readonly #core: CoreExports
  readonly #base: number
  readonly #view: DataView<SharedArrayBuffer>
  readonly #u8: Uint8Array<SharedArrayBuffer>
  readonly #u32: Uint32Array<SharedArrayBuffer>
  /** Word index of each counter. */
  readonly #counters: Readonly<Record<CounterName, number>>
  /** Set by whoever makes `run` return. */
  leave: Leave = { kind: 'poll' }
  /** An error of ours that reached the interpreter; the run loop throws it on. */
  failure: unknown
  /** Gets events of a traced core: the target of a taken branch, and the hash of the registers there (trace/trace.ts). */
  onEvent: (target: bigint, hash: bigint) => void = () => {}
  /** IA32_SYSENTER_CS, ESP, EIP. */
  readonly sysenter = { cs: 0n, esp: 0n, eip: 0n }
  readonly #msrs = new MsrStore()
  #unimplemented = new Set<string>()

  /** `decoder`: of a processor with other features than CPUID advertises. */
  constructor(
    state: CpuState,
    host: CpuHost,
    modules: CoreModules,
    decoder?: Decode,
    translation: Translation = { mode: 'off', port: undefined },
  ) {
    this.state = state
    this.host = host
    this.#base = state.base
    this.#view = state.view
    this.#u8 = state.memory.u8
    this.#u32 = state.memory.u32
    this.#counters = Object.fromEntries(
      COUNTERS.map((name) => [name, (state.base + counterOffset(name)) / 4]),
    ) as Record<CounterName, number>
    const guarded =
      <A extends number[]>(run: (...args: A) => number) =>
      (...args: A): number => {
        try {
          return run(...args)
        } catch (error) {
          if (error === GUEST_FAULT) return OUTCOME.fault
          this.failure = error
          return OUTCOME.leave
        }
      }
    const instance = new WebAssembly.Instance(modules.core, {
      env: { memory: state.memory.memory },
      host: {
        assist: guarded((uop: number) => {
          const op = this.code.assist(uop)
          this.count(op.counter)
          const outcome = op.run(this, op)
          return typeof outcome === 'number' ? outcome : OUTCOME.next
        }),
        deliver: guarded(() => this.#deliver()),
        decode: () => this.#decode(),
        poll: () => {
          this.count('polls')
          const answers = this.state.half('answers')
          if (answers !== this.state.half('answersTaken')) {
            this.state.setHalf('answersTaken', answers)
            this.translator.takeUp()
          }
          const stepping = (this.state.half('attention') & ATTENTION.step) !== 0
          if (!stepping && !this.host.mustLeave()) return OUTCOME.next
          this.leave = { kind: 'poll' }
          return OUTCOME.leave
        },
        hot: () => this.translator.hot(),
        event: (target: bigint, hash: bigint) => this.onEvent(target, hash),
        walk: (kind: number) => walkLegacy(this, kind),
        deviceRead: (size: number) => {
          const value = this.host.deviceRead(Number(this.state.word('mmioAddress')), size)
          this.#view.setBigUint64(this.#base + STATE.loadScratch, BigInt.asUintN(64, value), true)
          this.#view.setBigUint64(this.#base + STATE.loadScratch + 8, 0n, true)
        },
        deviceWrite: (size: number) => {
          const raw = this.#view.getBigUint64(this.#base + STATE.storeScratch, true)
          this.host.deviceWrite(Number(this.state.word('mmioAddress')), size, BigInt.asUintN(size * 8, raw))
        },
        codeWritten: (host: number, size: number) => this.codeWritten(host >>> 0, size),
      },
    })
    this.#core = instance.exports as unknown as CoreExports
    this.flushJumps()
    new WebAssembly.Instance(modules.rest, { env: { memory: state.memory.memory }, core: instance.exports })
    this.code = new CodeCache(this, decoder)
    // Until somebody says otherwise, nobody asks from outside: a word that is always zero.
    state.setHalf('requestAt', state.base + STATE.zero)
    const exports = instance.exports as unknown as RegionExports
    const { table, loadSlow, regionStore, divWide, regionPage, settleFlags, trace } = exports
    const functions = { loadSlow, storeOpen: regionStore, divWide, regionPage, settleFlags, trace }
    this.translator = new Translator(this, { table, functions, traced: modules.traced }, translation)
    this.flushTlb()
  }

  /** Runs until something must be looked at; `leave` says what. */
  run(): void {
    this.#enter(0)
  }
  #enter(first: number): void {
    const outcome = this.#core.run(this.#base, first)
    if (this.failure !== undefined) {
      const failure = this.failure
      this.failure = undefined
      throw failure
    }
    if (outcome !== OUTCOME.leave) throw new Error(`the interpreter ended with outcome ${outcome}`)
  }

  /** The run loop brought the guest elsewhere, by an interrupt: an event of a traced core. */
  arrived(): void {
    this.#core.trace?.(this.#base, BigInt.asIntN(64, this.state.word('rip')))
  }

  /** Executes one instruction. Undefined, or why the processor shuts down. */
  stepOver(): string | undefined {
    const linear = this.state.word('rip')
    this.leave = { kind: 'poll' }
    const host = this.#core.translate(this.#base, BigInt.asIntN(64, linear), ACCESS.execute) >>> 0
    if (host === TRANSLATED.device) this.recordFault(EXCEPTION.UD, 0)
    const first = host > TRANSLATED.device ? this.code.decodeOne(linear, host / PAGE_SIZE) : 0
    if (first === 0) this.#deliver()
    else {
      this.attend(ATTENTION.step, true)
      try {
        this.#enter(first)
      } finally {
        this.attend(ATTENTION.step, false)
      }
    }
    return this.#whyDown()
  }
  /** Set by `#enter` and `#deliver` behind the compiler's back. */
  #whyDown(): string | undefined {
    return this.leave.kind === 'shutdown' ? this.leave.why : undefined
  }
  /** One instruction with TF set, then #DB unless it ended in another exception or an INT. Undefined, or why the processor shuts down. */
  trap(): string | undefined {
    this.state.setHalf('entered', 0)
    const why = this.stepOver()
    if (why !== undefined || this.state.half('entered') !== 0) return why
    this.setDebugRegister(6, this.debugRegister(6) | DR6_SINGLE_STEP)
    this.leave = { kind: 'poll' }
    return deliverException(this, EXCEPTION.DB, 0)
  }

  #decode(): number {
    const linear = this.state.word('rip')
    const host = this.#core.translate(this.#base, linear, ACCESS.execute) >>> 0
    if (host === TRANSLATED.fault) return 0
    if (host === TRANSLATED.device) {
      // Nothing is there: the bus answers all ones, which is no instruction.
      this.recordFault(EXCEPTION.UD, 0)
      return 0
    }
    if (
      this.state.half('mode') !== 0 &&
      Number(this.state.offsetInCode(linear)) > this.state.segmentLimit(SEGMENT.CS)
    ) {
      this.recordFault(EXCEPTION.GP, 0)
      return 0
    }
    return this.code.decodeAt(linear, host / PAGE_SIZE)
  }

  /** Decodes the code at `rip`, unless that faults or has no room. */
  decodeForTranslation(): boolean {
    if (this.code.isFull) return false
    const linear = BigInt.asIntN(64, this.state.word('rip'))
    const host = this.#core.translate(this.#base, linear, ACCESS.execute) >>> 0
    return host > TRANSLATED.device && this.code.decodeIfNew(this.state.word('rip'), host / PAGE_SIZE)
  }

  #deliver(): number {
    this.count('exceptions')
    let vector = this.state.half('faultVector')
    if (vector === NOT_CANONICAL) vector = this.#addressesStack() ? EXCEPTION.SS : EXCEPTION.GP
    const error = this.state.half('faultError')
    if (vector === EXCEPTION.PF) this.state.setWord('cr2', this.state.word('faultAddress'))
    const why = deliverException(this, vector, error)
    if (why === undefined) return OUTCOME.jump
    this.leave = { kind: 'shutdown', why }
    return OUTCOME.leave
  }

  /** Whether the instruction at `rip` reaches memory through SS: asked when its address was no canonical one. */
  #addressesStack(): boolean {
    const rip = this.state.word('rip')
    const host = this.#core.translate(this.#base, BigInt.asIntN(64, rip), ACCESS.execute) >>> 0
    return host > TRANSLATED.device && this.code.addressesStack(host + Number(rip & 4095n))
  }

  /** Counts one event (state.ts, COUNTERS). */
  count(name: CounterName, more = 1): void {
    const low = this.#counters[name]
    const sum = this.#u32[low]! + more
    this.#u32[low] = sum
    if (sum >= 2 ** 32) this.#u32[low + 1]!++
  }

  setCount(name: CounterName, value: number): void {
    this.#u32[this.#counters[name]] = value
  }

  // Faults

  recordFault(vector: number, error: number): void {
    this.state.setHalf('faultVector', vector)
    this.state.setHalf('faultError', error)
  }
  /** Ends the current instruction with an exception. */
  raise(exception: keyof typeof EXCEPTION, error = 0): never {
    this.recordFault(EXCEPTION[exception], error)
    throw GUEST_FAULT
  }
  undefinedInstruction(): never {
    return this.raise('UD')
  }
  /** An instruction of the table that this CPU does not implement: loud once, then #UD. */
  unimplementedInstruction(form: string): never {
    if (!this.#unimplemented.has(form)) {
      this.#unimplemented.add(form)
      const rip = this.state.word('rip')
      const host = this.#core.translate(this.#base, rip, ACCESS.execute) >>> 0
      const bytes =
        host > 1
          ? this.#u8.slice(host + Number(rip & 4095n), host + Number(rip & 4095n) + 15)
          : new Uint8Array()
      const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ')
      this.host.log.warn(
        `instruction not implemented: ${form} at rip 0x${rip.toString(16)}, bytes ${hex}: the guest gets #UD`,
      )
    }
    return this.raise('UD')
  }

  readMsr(index: number): bigint | undefined {
    return this.#msrs.read(this, index)
  }
  /** False: #GP(0). */
  writeMsr(index: number, value: bigint): boolean {
    return this.#msrs.write(this, index, value)
  }
  debugRegister(n: number): bigint {
    return this.#view.getBigUint64(this.#base + STATE.dr + n * 8, true)
  }
  setDebugRegister(n: number, value: bigint): void {
    this.#view.setBigUint64(this.#base + STATE.dr + n * 8, value, true)
  }
  /** Sets or clears an ATTENTION bit. */
  attend(bit: number, on: boolean): void {
    const attention = this.state.half('attention')
    this.state.setHalf('attention', on ? attention | bit : attention & ~bit)
  }
  /** An exception or interrupt by its common way; false: nothing is done. */
  enterNatively(vector: number, error: number, external: boolean): boolean {
    return this.#core.enter(this.#base, vector, error, external ? 1 : 0) !== 0
  }
  /** The poll comes at the next taken branch instead of some hundred branches later. */
  lookSoon(): void {
    this.state.setHalf('lookSoon', 1)
  }
  fence(): void {
    Atomics.load(this.state.memory.i32, 0)
  }
  /** EDX:EAX = TSC; guests read it often. */
  setTimeStamp(): void {
    const ticks = this.host.ticks()
    const rax = this.#base + STATE.gpr
    const rdx = rax + 2 * 8
    this.#view.setUint32(rax, ticks % 2 ** 32, true)
    this.#view.setUint32(rax + 4, 0, true)
    this.#view.setUint32(rdx, Math.floor(ticks / 2 ** 32), true)
    this.#view.setUint32(rdx + 4, 0, true)
  }
  /** PAUSE: the guest spins; let other threads of the machine have the core now and then. */
  pause(): void {
    this.host.spinning()
  }

  // Memory, by linear address; faults throw GUEST_FAULT

  load(address: bigint, size: 1 | 2 | 4 | 8): bigint {
    const host = this.#core.loadSlow(this.#base, BigInt.asIntN(64, address), size) >>> 0
    if (host === 0) throw GUEST_FAULT
    if (size === 8) return this.#view.getBigUint64(host, true)
    if (size === 4) return BigInt(this.#view.getUint32(host, true))
    return BigInt(size === 2 ? this.#view.getUint16(host, true) : this.#view.getUint8(host))
  }
  store(address: bigint, size: 1 | 2 | 4 | 8, value: bigint): void {
    const host = this.#core.storeOpen(this.#base, BigInt.asIntN(64, address), size, 0) >>> 0
    if (host === 0) throw GUEST_FAULT
    if (size === 8) this.#view.setBigUint64(host, BigInt.asUintN(64, value), true)
    else if (size === 4) this.#view.setUint32(host, Number(value & 0xffffffffn), true)
    else if (size === 2) this.#view.setUint16(host, Number(value & 0xffffn), true)
    else this.#view.setUint8(host, Number(value & 0xffn))
    this.#core.storeCommit(this.#base)
  }
  /** Faults now if a store would. */
  probeStore(address: bigint, size: number): void {
    if (this.#core.storeOpen(this.#base, BigInt.asIntN(64, address), size, 0) === 0) throw GUEST_FAULT
  }
  /** CMPXCHG8B and 16B on two words; returns what was found. Serialised against itself by a lock word of the machine. */
  exchangePair(
    address: bigint,
    half: 4 | 8,
    expected: readonly [bigint, bigint],
    wanted: readonly [bigint, bigint],
  ): readonly [bigint, bigint] {
    const host = this.#core.storeOpen(this.#base, BigInt.asIntN(64, address), half * 2, 1) >>> 0
    if (host === 0) throw GUEST_FAULT
    const read = (at: number) =>
      half === 8 ? this.#view.getBigUint64(at, true) : BigInt(this.#view.getUint32(at, true))
    const write = (at: number, value: bigint) =>
      half === 8 ? this.#view.setBigUint64(at, value, true) : this.#view.setUint32(at, Number(value), true)
    const lock = MACHINE_LOCK / 4
    const { i32 } = this.state.memory
    while (Atomics.compareExchange(i32, lock, 0, 1) !== 0);
    try {
      const found = [read(host), read(host + half)] as const
      if (found[0] === expected[0] && found[1] === expected[1]) {
        write(host, wanted[0])
        write(host + half, wanted[1])
      }
      return found
    } finally {
      Atomics.store(i32, lock, 0)
      this.#core.storeCommit(this.#base)
    }
  }
  /** Any number of bytes; nothing is read or written if any page faults. */
  loadBytes(address: bigint, length: number): Uint8Array {
    const out = new Uint8Array(length)
    this.#pieces(address, length, ACCESS.read, (host, done, count) => {
      if (host > 1) out.set(this.#u8.subarray(host, host + count), done)
      else out.fill(0xff, done, done + count)
    })
    return out
  }
  storeBytes(address: bigint, bytes: Uint8Array): void {
    this.#pieces(address, bytes.length, ACCESS.write, (host, done, count) => {
      if (host <= 1) return
      this.#u8.set(bytes.subarray(done, done + count), host)
      if (this.#u8[this.state.memory.layout.pageFlags + Math.floor(host / PAGE_SIZE)] !== 0)
        this.codeWritten(host, count)
    })
  }
  #pieces(
    address: bigint,
    length: number,
    kind: number,
    visit: (host: number, done: number, count: number) => void,
  ): void {
    const places: [number, number, number][] = []
    for (let done = 0; done < length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done))
      const offset = Number(at & 4095n)
      const count = Math.min(length - done, PAGE_SIZE - offset)
      const page = this.#core.translate(this.#base, BigInt.asIntN(64, at), kind) >>> 0
      if (page === TRANSLATED.fault) throw GUEST_FAULT
      places.push([page > 1 ? page + offset : page, done, count])
      done += count
    }
    for (const place of places) visit(...place)
  }
  /** Runs with supervisor rights: descriptor tables, task state, and what the hypervisor itself reads. */
  asSupervisor<T>(run: () => T): T {
    const { cpl } = this.state
    if (cpl !== 3) return run()
    this.state.privilege = 0
    try {
      return run()
    } finally {
      this.state.privilege = cpl
    }
  }
  /** Host address of the page to fetch from, 0 with a fault recorded, 1 where nothing is. */
  translateForFetch(address: bigint): number {
    return this.#core.translate(this.#base, BigInt.asIntN(64, address), ACCESS.execute) >>> 0
  }
  /** Guest-physical address behind a linear one with supervisor read rights, or -1. The current fault record is kept. */
  physical(address: bigint): number {
    const { state } = this
    const saved = [state.half('faultVector'), state.half('faultError'), state.word('faultAddress')] as const
    const host = this.asSupervisor(
      () => this.#core.translate(this.#base, BigInt.asIntN(64, address), ACCESS.read) >>> 0,
    )
    state.setHalf('faultVector', saved[0])
    state.setHalf('faultError', saved[1])
    state.setWord('faultAddress', saved[2])
    if (host === TRANSLATED.fault) return -1
    if (host === TRANSLATED.device) return Number(state.word('mmioAddress'))
    return this.state.memory.gpaOf(host) + Number(address & 4095n)
  }
  /** Linear address of segment:offset with all checks; throws GUEST_FAULT. */
  linear(segment: number, offset: bigint, size: number, write: boolean): bigint {
    if (this.state.half('mode') === 0)
      return segment >= SEGMENT.FS ? this.state.segmentBase(segment) + offset : offset
    const linear = this.#core.segmentAddress(
      this.#base,
      segment,
      BigInt.asIntN(64, offset),
      size,
      write ? 1 : 0,
    )
    if (linear === -1n) throw GUEST_FAULT
    return linear
  }

  // Cached translations

  /** Drops all linear-address translations; decoded code stays. */
  flushTlb(): void {
    this.count('tlbFlushes')
    this.#core.flush(this.#base)
  }
  flushJumps(): void {
    this.#core.flushJumps(this.#base)
  }
  /** INVLPG: one page, or everything when a large page may be mapped there. */
  flushPage(address: bigint): void {
    const region = Number((address >> 21n) & BigInt(LARGE_MARKS_BYTES * 8 - 1))
    if (this.#u8[this.#base + LARGE_MARKS + (region >> 3)]! & (1 << (region & 7))) {
      this.flushTlb()
      return
    }
    this.count('pageFlushes')
    const index = Number((address >> 12n) & BigInt(TLB_ENTRIES - 1))
    for (const tlb of [TLB_SUPERVISOR, TLB_USER]) {
      const entry = this.#base + tlb + index * TLB_ENTRY.size
      this.#u8.fill(0xff, entry, entry + TLB_ENTRY.addend)
    }
    this.flushJumps()
  }
  /** The first code of a page was decoded: stores to it must be seen from now on, by every vCPU. */
  markCode(hostPage: number): void {
    const flags = this.state.memory.layout.pageFlags
    const bit = 1 << (this.host.index % CODE_BITS)
    // ORDER: the flag is visible before any write tag is dropped; a fill after that sees it.
    if (atomicOrByte(this.state.memory.i32, flags + hostPage, bit)) return
    this.dropWriteTags(hostPage)
    this.host.codeMarked(hostPage)
  }
  /** This CPU has no decoded code of a page any more. Where vCPUs share a bit, it stays. */
  unmarkCode(hostPage: number): void {
    const { layout, i32 } = this.state.memory
    if (layout.vcpus > CODE_BITS) return
    const at = layout.pageFlags + hostPage
    Atomics.and(i32, at >> 2, ~(1 << (this.host.index + (at & 3) * 8)))
  }
  /** Drops this CPU's permission to store to a host page without asking. */
  dropWriteTags(hostPage: number): void {
    const u32 = this.#u32
    const first = (this.#base + TLB_SUPERVISOR) / 4
    const wanted = (hostPage * PAGE_SIZE) >>> 0
    for (let n = 0; n < 2 * TLB_ENTRIES; n++) {
      const entry = first + (n * TLB_ENTRY.size) / 4
      const tag = entry + TLB_ENTRY.writeTag / 4
      if ((u32[tag]! + u32[entry + TLB_ENTRY.addend / 4]!) >>> 0 === wanted) {
        u32[tag] = 0xffffffff
        u32[tag + 1] = 0xffffffff
      }
    }
  }
  codeWritten(host: number, size: number): void {
    this.count('invalidations')
    this.code.written(host, size)
    this.host.codeWritten(host, size)
  }
}

/** Sets bits of a byte in shared memory; true if they were all set before. */
function atomicOrByte(i32: Int32Array<SharedArrayBuffer>, at: number, bits: number): boolean {
  const shift = (at & 3) * 8
  const before = Atomics.or(i32, at >> 2, bits << shift) >>> shift
  return (before & bits) === bits
}

/** Clears a state block for a CPU that was just switched on; counters and settings stay. */
export function clearState(state: CpuState): void {
  const { base } = state
  state.memory.u8.fill(0, base, base + STATE.counters)
  state.memory.u8.fill(0, base + STATE.requestAt + 4, base + STATE_BYTES)
}

/**
 * A vCPU thread's run loop around one software CPU: requests from other threads, interrupts, timers, sleep,
 * and the services that exit parts use (base/vcpu.ts).
 */
import type { Log } from '../../base/log.ts'
import type { MachineMemory } from '../../base/machine-memory.ts'
import { REG, type Vcpu, type VcpuStart } from '../../base/vcpu.ts'
import {
  announceWrite,
  CODE_GRAIN,
  CONTROL_WORD,
  controlWord,
  requestVcpu,
  takeCodeMailbox,
  VCPU_REQUEST,
  VCPU_STATE,
} from '../../base/vcpu-control.ts'
import { type CoreModules, Cpu, type CpuHost } from './cpu.ts'
import { CpuState } from './cpu-state.ts'
import { ARCH_CAPABILITIES, cpuid } from './cpuid.ts'
import { applyRules, type CpuidRule } from './cpuid-policy.ts'
import type { ExitTable } from './exit-table.ts'
import { GUEST_FAULT } from './fault.ts'
import { FLAG } from './isa/row.ts'
import { LAPIC_BASE, LAPIC_WORD, Lapic, raiseVector } from './lapic.ts'
import { powerOn, startFlat, startSipi } from './reset.ts'
import { ATTENTION } from './state.ts'
import { deliverInterrupt } from './system/exceptions.ts'
import { MSR } from './system/msr.ts'
import type { Translation } from './translate/translator.ts'

/** The guest's TSC ticks once a nanosecond. */
export const TSC_KHZ = 1_000_000
/** Polls (of some hundred branches each) between two looks at the clock. */
const POLLS_PER_CLOCK = 16
/** PAUSE instructions in a row after which a vCPU of several lets go of its core for a moment. */
const SPIN_LIMIT = 256
const SPIN_REST_MS = 0.05
const NMI_VECTOR = 2
const ALL_ONES = (1n << 64n) - 1n

/** What the thread tells the domain process. */
export interface VcpuEvents {
  /** The guest ended the machine. */
  shutdown(reason: number, detail?: string): void
  /** Somebody began or ceased to watch what the thread's time goes into. */
  profile(): void
  /** The thread is about to wait. */
  resting(): void
}

/** sched.h SHUTDOWN_* that the CPU itself brings about. */
const SHUTDOWN_POWEROFF = 0
const SHUTDOWN_CRASH = 3

export const stateBase = (memory: MachineMemory, vcpu: number): number =>
  memory.layout.vcpuAreas + vcpu * memory.layout.vcpuStride

export class SoftwareVcpu implements Vcpu, CpuHost {
  readonly index: number
  readonly memory: MachineMemory
  readonly log: Log
  readonly tscKhz = TSC_KHZ
  readonly cpu: Cpu
  readonly lapic: Lapic
  readonly #state: CpuState
  readonly #events: VcpuEvents
  readonly #clock: () => number
  #exits!: ExitTable
  /** What the configuration changes of CPUID's answers. */
  cpuidRules: readonly CpuidRule[] = []
  #spins = 0
  #deadline = Number.POSITIVE_INFINITY
  #sleep: { deadline: number; ready: () => boolean } | undefined
  #halted = false
  #nmi = false
  #ranSince = 0

  /** `clock`: system time in ns, the same on every thread of the machine. */
  constructor(
    memory: MachineMemory,
    index: number,
    modules: CoreModules,
    log: Log,
    clock: () => number,
    events: VcpuEvents,
    translation: Translation,
  ) {
    this.memory = memory
    this.index = index
    this.log = log
    this.#clock = clock
    this.#events = events
    this.#state = new CpuState(memory, stateBase(memory, index))
    this.lapic = new Lapic(memory, index, clock, TSC_KHZ)
    this.cpu = new Cpu(this.#state, this, modules, undefined, translation)
    this.#state.setHalf('requestAt', controlWord(memory, index, CONTROL_WORD.request) * 4)
    this.lapic.onEnabled = () => {
      for (const part of this.#exits.parts) part.lapicEnabled?.()
    }
  }
  get #interruptMayWait(): boolean {
    return (this.#state.half('attention') & ATTENTION.interrupt) !== 0
  }
  set #interruptMayWait(on: boolean) {
    this.cpu.attend(ATTENTION.interrupt, on)
  }
  get #lookNow(): boolean {
    return (this.#state.half('attention') & ATTENTION.look) !== 0
  }
  set #lookNow(on: boolean) {
    this.cpu.attend(ATTENTION.look, on)
  }
  /** Waits for a request, or until a moment of the clock; Infinity for none. Another one where the clock is no real one. */
  sleep = (until: number): void => {
    const ms = until === Number.POSITIVE_INFINITY ? undefined : Math.max(0, (until - this.#clock()) / 1e6)
    if (ms === undefined || ms > 0) Atomics.wait(this.memory.i32, this.#word(CONTROL_WORD.request), 0, ms)
  }
  set exits(exits: ExitTable) {
    this.#exits = exits
  }

  // The run loop

  /** State as after power-on; the vCPU waits to be started. */
  prepare(): void {
    this.#enterOffline()
  }

  /** Never returns; an error of ours is thrown. */
  run(): never {
    for (;;) {
      this.#serveRequests()
      const now = this.#clock()
      this.#expire(now)
      if (this.#sleep !== undefined && this.#rest(this.#sleep.deadline, this.#sleep.ready)) continue
      if (this.#deliver()) continue
      if (this.#halted) {
        const enabled = this.#state.interruptsEnabled
        if (!enabled) this.#goDown()
        this.#rest(
          enabled ? this.#deadline : Number.POSITIVE_INFINITY,
          () => false,
          enabled ? VCPU_STATE.blocked : VCPU_STATE.down,
        )
        continue
      }
      this.#setState(VCPU_STATE.running)
      if (this.#state.half('systemFlags') & FLAG.TF) {
        const why = this.cpu.trap()
        if (why !== undefined) this.cpu.leave = { kind: 'shutdown', why }
      } else this.cpu.run()
      const { leave } = this.cpu
      if (leave.kind === 'shadow') this.#shadow()
      else if (leave.kind === 'halt') this.#halted = true
      else if (leave.kind === 'shutdown') {
        this.#events.shutdown(SHUTDOWN_CRASH, leave.why)
        this.#parkMyself()
      }
    }
  }

  /** The instruction behind STI; a HLT there sleeps with interrupts on. */
  #shadow(): void {
    const why = this.cpu.stepOver()
    if (why !== undefined) {
      this.#events.shutdown(SHUTDOWN_CRASH, why)
      this.#parkMyself()
    } else if (this.cpu.leave.kind === 'halt') this.#halted = true
  }
  interruptWaits(): boolean {
    return this.#interruptMayWait || Atomics.load(this.memory.i32, this.#word(CONTROL_WORD.request)) !== 0
  }

  mustLeave(): boolean {
    const request = Atomics.load(this.memory.i32, this.#word(CONTROL_WORD.request))
    if (request !== 0 || this.#lookNow || this.#state.half('systemFlags') & FLAG.TF) return true
    if (this.#interruptMayWait && this.#state.interruptsEnabled) return true
    this.#state.setHalf('quietPolls', POLLS_PER_CLOCK - 1)
    return this.#clock() >= this.#deadline
  }

  #word(word: number): number {
    return controlWord(this.memory, this.index, word)
  }
  #setState(state: number): void {
    const { i32 } = this.memory
    const index = this.#word(CONTROL_WORD.state)
    const before = Atomics.exchange(i32, index, state)
    if (before === state) return
    const now = this.#clock()
    if (before === VCPU_STATE.running) this.#account(now)
    if (state === VCPU_STATE.running) this.#ranSince = now
    const name =
      state === VCPU_STATE.running
        ? 'running'
        : state === VCPU_STATE.offline
          ? 'offline'
          : state === VCPU_STATE.parked
            ? 'runnable'
            : 'blocked'
    for (const part of this.#exits.parts) part.runstate?.(name, now)
    Atomics.notify(i32, index)
    // ORDER: who saw us not running did not wait for us; what it asked for is served before the first instruction.
    if (state === VCPU_STATE.running) this.#serveFlushes()
  }
  #account(now: number): void {
    const { u32 } = this.memory
    const low = this.#word(CONTROL_WORD.ranNsLow)
    const total = u32[low]! + u32[low + 1]! * 2 ** 32 + (now - this.#ranSince)
    u32[low] = total % 2 ** 32
    u32[low + 1] = Math.floor(total / 2 ** 32)
    this.#ranSince = now
  }

  #serveRequests(): void {
    this.#lookNow = false
    const { i32 } = this.memory
    const index = this.#word(CONTROL_WORD.request)
    for (;;) {
      // The park bit stays until whoever set it takes it back; all others are ours to clear.
      const bits = Atomics.and(i32, index, VCPU_REQUEST.park | VCPU_REQUEST.flushTlb | VCPU_REQUEST.flushCode)
      if (bits & (VCPU_REQUEST.flushTlb | VCPU_REQUEST.flushCode)) this.#serveFlushes()
      if (bits & (VCPU_REQUEST.kick | VCPU_REQUEST.nmi)) this.#interruptMayWait = true
      if (bits & VCPU_REQUEST.nmi) this.#nmi = true
      if (bits & VCPU_REQUEST.profile) this.#events.profile()
      if (bits & VCPU_REQUEST.init && this.#currentState() !== VCPU_STATE.offline) this.#init()
      if (bits & VCPU_REQUEST.sipi && this.#currentState() === VCPU_STATE.offline) {
        startSipi(this.cpu, Atomics.load(i32, this.#word(LAPIC_WORD.sipiVector)))
        this.#wake()
      }
      if (bits & VCPU_REQUEST.start && this.#currentState() === VCPU_STATE.offline) this.#wake()
      if (bits & VCPU_REQUEST.park) {
        this.#park()
        continue
      }
      if (this.#currentState() !== VCPU_STATE.offline) return
      Atomics.wait(i32, index, 0)
    }
  }
  #serveFlushes(): void {
    const { i32 } = this.memory
    const index = this.#word(CONTROL_WORD.request)
    if (Atomics.load(i32, index) & VCPU_REQUEST.flushCode) {
      Atomics.and(i32, index, ~VCPU_REQUEST.flushCode)
      this.#emptyCodeMailbox()
    }
    this.#serveTlbFlush()
  }
  #serveTlbFlush(): void {
    const { i32 } = this.memory
    const index = this.#word(CONTROL_WORD.request)
    if ((Atomics.load(i32, index) & VCPU_REQUEST.flushTlb) === 0) return
    this.cpu.flushTlb()
    // ORDER: the bit goes last; who waits for it may then rely on the flush.
    Atomics.and(i32, index, ~VCPU_REQUEST.flushTlb)
  }
  #emptyCodeMailbox(): void {
    const written = takeCodeMailbox(this.memory, this.index)
    if (written === undefined) this.cpu.code.flush()
    else for (const host of written) this.cpu.code.written(host, CODE_GRAIN)
  }

  #currentState(): number {
    return Atomics.load(this.memory.i32, this.#word(CONTROL_WORD.state))
  }
  #enterOffline(): void {
    powerOn(this.cpu)
    this.#setState(VCPU_STATE.offline)
  }
  #wake(): void {
    this.#halted = false
    this.#sleep = undefined
    this.cpu.flushTlb()
    this.#setState(VCPU_STATE.running)
  }
  /** INIT: everything as after power-on but memory, the APIC's base and what Xen keeps. The boot processor would start its firmware: a PVH machine has none. */
  #init(): void {
    if (this.index === 0) {
      this.#events.shutdown(SHUTDOWN_CRASH, 'INIT of the boot processor')
      this.#parkMyself()
      return
    }
    powerOn(this.cpu)
    this.lapic.reset(true)
    this.#halted = false
    this.#sleep = undefined
    this.#setState(VCPU_STATE.offline)
  }
  #parkMyself(): void {
    Atomics.or(this.memory.i32, this.#word(CONTROL_WORD.request), VCPU_REQUEST.park)
  }
  #park(): void {
    const { i32 } = this.memory
    const request = this.#word(CONTROL_WORD.request)
    const before = this.#currentState()
    Atomics.store(i32, this.#word(CONTROL_WORD.stateBeforePark), before)
    this.#events.resting()
    this.#setState(VCPU_STATE.parked)
    for (;;) {
      const bits = Atomics.load(i32, request)
      if ((bits & VCPU_REQUEST.park) === 0) break
      Atomics.wait(i32, request, bits)
    }
    if (Atomics.load(i32, this.#word(CONTROL_WORD.stateBeforePark)) === RESET_MARK) {
      this.#reset()
      return
    }
    this.#setState(before)
  }
  /** The machine starts anew: RAM has been rebuilt by the engine meanwhile. */
  #reset(): void {
    this.lapic.reset()
    this.#halted = false
    this.#sleep = undefined
    this.#nmi = false
    this.#interruptMayWait = false
    this.cpu.code.flush()
    for (const part of this.#exits.parts) part.reset?.()
    this.#enterOffline()
    this.cpu.flushTlb()
  }

  #goDown(): void {
    Atomics.store(this.memory.i32, this.#word(CONTROL_WORD.state), VCPU_STATE.down)
    for (let vcpu = 0; vcpu < this.memory.layout.vcpus; vcpu++) {
      const state = Atomics.load(this.memory.i32, controlWord(this.memory, vcpu, CONTROL_WORD.state))
      if (state !== VCPU_STATE.down && state !== VCPU_STATE.offline) return
    }
    this.#events.shutdown(SHUTDOWN_POWEROFF)
    this.#parkMyself()
  }

  /** Sleeps once; true if nothing ended the wait for good (the loop must look again). */
  #rest(deadline: number, ready: () => boolean, state: number = VCPU_STATE.blocked): boolean {
    if (ready() || this.#clock() >= deadline || (this.#state.interruptsEnabled && this.#hasInterrupt())) {
      this.#sleep = undefined
      return false
    }
    this.#setState(state)
    this.#events.resting()
    this.sleep(Math.min(deadline, this.#timersDeadline()))
    return true
  }

  #timersDeadline(): number {
    this.#deadline = Math.min(this.lapic.deadline, this.#exits.deadline())
    return this.#deadline
  }
  #expire(now: number): void {
    if (now >= this.#timersDeadline()) {
      this.lapic.expire(now)
      this.#exits.expire(now)
      this.#timersDeadline()
      this.#interruptMayWait = true
    }
  }

  #hasInterrupt(): boolean {
    return this.#nmi || this.#exits.pendingVector() >= 0 || this.lapic.pending() >= 0
  }
  /** Delivers one interrupt if the guest takes any now. */
  #deliver(): boolean {
    if (!this.#interruptMayWait) return false
    let vector = -1
    if (this.#nmi) {
      this.#nmi = false
      vector = NMI_VECTOR
    } else {
      // Asked also while interrupts are off: the answer may move an event into the LAPIC.
      const level = this.#exits.pendingVector()
      const edge = this.lapic.pending()
      if (level < 0 && edge < 0) this.#interruptMayWait = this.#lapicHolds()
      else if (this.#state.interruptsEnabled) {
        vector = level >= 0 ? level : edge
        if (level < 0) this.lapic.accept(edge)
      }
    }
    if (vector < 0) return false
    this.#halted = false
    this.#sleep = undefined
    const why = deliverInterrupt(this.cpu, vector)
    if (why !== undefined) {
      this.#events.shutdown(SHUTDOWN_CRASH, why)
      this.#parkMyself()
    } else this.cpu.arrived()
    return true
  }
  /** A request below the current priority waits for EOI or a lower TPR. */
  #lapicHolds(): boolean {
    for (let n = 0; n < 8; n++)
      if (Atomics.load(this.memory.i32, this.#word(LAPIC_WORD.irr + n)) !== 0) return true
    return false
  }

  // Vcpu: for exit parts

  get regs(): BigUint64Array<SharedArrayBuffer> {
    return this.#state.regs
  }
  get mode(): 64 | 32 | 16 {
    return this.#state.codeSize
  }
  get cpl(): number {
    return this.#state.cpl
  }
  now(): number {
    return this.#clock()
  }
  readVirtual(address: bigint, length: number): Uint8Array | undefined {
    return this.#quietly(() => this.cpu.loadBytes(address, length))
  }
  writeVirtual(address: bigint, bytes: Uint8Array): boolean {
    return this.#quietly(() => this.cpu.storeBytes(address, bytes) ?? true) ?? false
  }
  /** Runs with supervisor rights; a fault is an answer, not an exception of the guest. */
  #quietly<T>(run: () => T): T | undefined {
    try {
      return this.cpu.asSupervisor(run)
    } catch (error) {
      if (error === GUEST_FAULT) return undefined
      throw error
    }
  }
  translate(address: bigint): number {
    return this.cpu.physical(address)
  }
  physmapChanged(): void {
    this.cpu.flushTlb()
    this.#flushOthers()
  }
  kick(vcpu: number): void {
    requestVcpu(this.memory, vcpu, VCPU_REQUEST.kick)
  }
  raiseVector(vcpu: number, vector: number): void {
    raiseVector(this.memory, vcpu, vector)
  }
  block(deadlineNs: number, ready: () => boolean): void {
    this.#sleep = { deadline: deadlineNs, ready }
    this.#lookNow = true
  }
  startVcpu(vcpu: number, context: VcpuStart): boolean {
    const word = controlWord(this.memory, vcpu, CONTROL_WORD.state)
    if (Atomics.load(this.memory.i32, word) !== VCPU_STATE.offline) return false
    startFlat(new CpuState(this.memory, stateBase(this.memory, vcpu)), context)
    requestVcpu(this.memory, vcpu, VCPU_REQUEST.start)
    return true
  }
  stopVcpu(vcpu: number): void {
    if (vcpu === this.index) {
      this.#setState(VCPU_STATE.offline)
      this.#lookNow = true
    } else requestVcpu(this.memory, vcpu, VCPU_REQUEST.init)
  }
  shutdown(reason: number): void {
    this.#events.shutdown(reason)
    this.#parkMyself()
    this.#lookNow = true
  }

  // CpuHost: for the interpreter

  ticks(): number {
    return Math.floor((this.#clock() * TSC_KHZ) / 1e6)
  }
  deviceRead(gpa: number, size: number): bigint {
    if (gpa >= LAPIC_BASE && gpa < LAPIC_BASE + 4096) {
      const word = this.lapic.mmioRead(gpa)
      return size > 4 ? BigInt(word >>> 0) | (ALL_ONES << 32n) : BigInt(word >>> 0) >> BigInt((gpa & 3) * 8)
    }
    return this.#exits.mmioRead(gpa, size)
  }
  deviceWrite(gpa: number, size: number, value: bigint): void {
    this.#lookNow = true
    if (gpa >= LAPIC_BASE && gpa < LAPIC_BASE + 4096) {
      if (size >= 4) this.lapic.mmioWrite(gpa, Number(value & 0xffffffffn))
    } else this.#exits.mmioWrite(gpa, size, value)
  }
  cpuid(leaf: number, subleaf: number): { eax: number; ebx: number; ecx: number; edx: number } {
    const out = cpuid(leaf, subleaf, {
      vcpu: this.index,
      vcpus: this.memory.layout.vcpus,
      apicOn: (this.lapic.base & 0x800n) !== 0n,
      tscKhz: TSC_KHZ,
    })
    applyRules(this.cpuidRules, leaf, subleaf, out)
    this.#exits.cpuid(leaf, subleaf, out)
    return out
  }
  rdmsr(index: number): bigint | undefined {
    if (index >= 0x800 && index <= 0x8ff) return this.lapic.rdmsr(index)
    switch (index) {
      case MSR.APIC_BASE:
        return this.lapic.base
      case MSR.TSC_DEADLINE:
        return this.lapic.tscDeadline
      case MSR.ARCH_CAPABILITIES:
        return ARCH_CAPABILITIES
    }
    return this.#exits.rdmsr(index)
  }
  wrmsr(index: number, value: bigint): boolean {
    this.#lookNow = true
    if (index >= 0x800 && index <= 0x8ff) return this.lapic.wrmsr(index, value)
    switch (index) {
      case MSR.APIC_BASE:
        return this.lapic.writeBase(value)
      case MSR.TSC_DEADLINE:
        this.lapic.tscDeadline = value
        return true
    }
    return this.#exits.wrmsr(index, value)
  }
  portIn(port: number, size: 1 | 2 | 4): number {
    return this.#exits.portIn(port, size)
  }
  portOut(port: number, size: 1 | 2 | 4, value: number): void {
    this.#exits.portOut(port, size, value)
  }
  hypercall(): boolean {
    if (!this.#exits.hasHypercalls) return false
    this.#lookNow = true
    const nr = Number(this.regs[REG.rax]! & 0xffffffffn)
    // Nobody claimed it: -ENOSYS, as Xen answers (xen-abi: unknown numbers).
    if (!this.#exits.hypercall(nr))
      this.regs[REG.rax] = this.mode === 64 ? BigInt.asUintN(64, -38n) : 0xffffffdan
    return true
  }
  taskPriority(value?: number): number {
    if (value !== undefined) {
      this.lapic.taskPriority = value
      this.#interruptMayWait = true
    }
    return this.lapic.taskPriority
  }
  spinning(): void {
    if (this.memory.layout.vcpus === 1 || ++this.#spins < SPIN_LIMIT) return
    this.#spins = 0
    Atomics.wait(this.memory.i32, this.#word(CONTROL_WORD.request), 0, SPIN_REST_MS)
  }
  codeMarked(_hostPage: number): void {
    this.#flushOthers()
  }
  codeWritten(host: number, size: number): void {
    announceWrite(this.memory, host, size, this.index)
  }
  serialize(): void {
    this.#serveFlushes()
  }

  /** Every other vCPU that runs drops its translations before this returns. */
  #flushOthers(): void {
    const { i32, layout } = this.memory
    for (let vcpu = 0; vcpu < layout.vcpus; vcpu++) {
      if (vcpu === this.index) continue
      requestVcpu(this.memory, vcpu, VCPU_REQUEST.flushTlb)
    }
    for (let vcpu = 0; vcpu < layout.vcpus; vcpu++) {
      if (vcpu === this.index) continue
      const request = controlWord(this.memory, vcpu, CONTROL_WORD.request)
      const state = controlWord(this.memory, vcpu, CONTROL_WORD.state)
      while (
        Atomics.load(i32, request) & VCPU_REQUEST.flushTlb &&
        Atomics.load(i32, state) === VCPU_STATE.running
      ) {
        // It may be waiting for us the same way. Written code waits: this may be the middle of decoding some.
        this.#serveTlbFlush()
      }
    }
  }
}

/** In the word of the state before parking: do not go on, start anew. */
export const RESET_MARK = -1

/**
 * The local APIC of one vCPU: xAPIC at 0xfee00000 and x2APIC through MSRs (SDM vol. 3, chapter 11).
 *
 * Interrupt requests arrive from any thread: the request register (IRR) and the logical id are words of the
 * vCPU's control block; everything else belongs to the vCPU's own thread. Not here: focus processors, lowest
 * priority arbitration (the first match takes it), external interrupts (a PVH machine has no IOAPIC or PIC).
 */
import { type MachineMemory, PAGE_SIZE } from '../../base/machine-memory.ts'
import { CONTROL_WORD, controlWord, requestVcpu, VCPU_REQUEST } from '../../base/vcpu-control.ts'

export const LAPIC_BASE = 0xfee00000
/** APIC id of a vCPU, as Xen gives it and the MADT says. */
export const apicId = (vcpu: number): number => vcpu * 2

/** Words of the backend's part of a control block. */
export const LAPIC_WORD = {
  /** Eight words: a bit per vector. */
  irr: CONTROL_WORD.backend,
  /** Logical destination register as other vCPUs match it: xAPIC logical id (bits 0..7), model in bit 31 (flat). */
  logical: CONTROL_WORD.backend + 8,
  sipiVector: CONTROL_WORD.backend + 9,
} as const
const FLAT = 1 << 31

/** Register numbers: offset / 16. */
const REGISTER = {
  id: 0x02,
  version: 0x03,
  tpr: 0x08,
  apr: 0x09,
  ppr: 0x0a,
  eoi: 0x0b,
  ldr: 0x0d,
  dfr: 0x0e,
  svr: 0x0f,
  isr: 0x10,
  tmr: 0x18,
  irr: 0x20,
  esr: 0x28,
  lvtCmci: 0x2f,
  icrLow: 0x30,
  icrHigh: 0x31,
  lvtTimer: 0x32,
  lvtThermal: 0x33,
  lvtPerf: 0x34,
  lvtLint0: 0x35,
  lvtLint1: 0x36,
  lvtError: 0x37,
  initialCount: 0x38,
  currentCount: 0x39,
  divide: 0x3e,
  selfIpi: 0x3f,
} as const
const MASKED = 1 << 16
const ENABLED = 1 << 8
/** APIC_BASE bits. */
const BASE = { bsp: 1n << 8n, x2apic: 1n << 10n, enable: 1n << 11n } as const
const DELIVERY = { fixed: 0, lowest: 1, smi: 2, nmi: 4, init: 5, startup: 6 } as const

/** Sets a vector's request bit and wakes the vCPU. Any thread. */
export function raiseVector(memory: MachineMemory, vcpu: number, vector: number): void {
  Atomics.or(memory.i32, controlWord(memory, vcpu, LAPIC_WORD.irr + (vector >> 5)), 1 << (vector & 31))
  requestVcpu(memory, vcpu, VCPU_REQUEST.kick)
}

export class Lapic {
  readonly #memory: MachineMemory
  readonly #vcpu: number
  readonly #now: () => number
  readonly #tscKhz: number
  readonly #isr = new Uint32Array(8)
  readonly #lvt = new Map<number, number>()
  #tpr = 0
  #svr = 0xff
  #ldr = 0
  #dfr = 0xffffffff
  #esr = 0
  #icrHigh = 0
  #icrLow = 0
  #divide = 0
  #initialCount = 0
  /** System time at which the counter was loaded. */
  #started = 0
  /** System time of the next expiry, Infinity when the timer is off. */
  #deadline = Number.POSITIVE_INFINITY
  #tscDeadline = 0n
  #base = 0n
  /** Told when the guest software-enables the APIC. */
  onEnabled: () => void = () => {}

  constructor(memory: MachineMemory, vcpu: number, now: () => number, tscKhz: number) {
    this.#memory = memory
    this.#vcpu = vcpu
    this.#now = now
    this.#tscKhz = tscKhz
    this.reset()
  }

  /** Power-on, and INIT except that the base register stays then. */
  reset(keepBase = false): void {
    this.#isr.fill(0)
    this.#lvt.clear()
    this.#tpr = 0
    this.#svr = 0xff
    this.#ldr = 0
    this.#dfr = 0xffffffff
    this.#esr = 0
    this.#icrHigh = 0
    this.#icrLow = 0
    this.#divide = 0
    this.#initialCount = 0
    this.#deadline = Number.POSITIVE_INFINITY
    this.#tscDeadline = 0n
    if (!keepBase) this.#base = BigInt(LAPIC_BASE) | BASE.enable | (this.#vcpu === 0 ? BASE.bsp : 0n)
    for (let n = 0; n < 8; n++) Atomics.store(this.#memory.i32, this.#word(LAPIC_WORD.irr + n), 0)
    this.#publishLogical()
  }

  #word(word: number): number {
    return controlWord(this.#memory, this.#vcpu, word)
  }
  #publishLogical(): void {
    const flat = this.#dfr >>> 28 === 15
    Atomics.store(this.#memory.i32, this.#word(LAPIC_WORD.logical), (this.#ldr >>> 24) | (flat ? FLAT : 0))
  }
  get isX2apic(): boolean {
    return (this.#base & BASE.x2apic) !== 0n
  }
  get #isOn(): boolean {
    return (this.#base & BASE.enable) !== 0n
  }

  get taskPriority(): number {
    return this.#tpr >> 4
  }
  set taskPriority(value: number) {
    this.#tpr = (value & 15) << 4
  }

  /** Highest vector that may be delivered now, -1 for none. */
  pending(): number {
    if (!this.#isOn || (this.#svr & ENABLED) === 0) return -1
    const vector = this.#highestRequest()
    return vector >= 0 && vector >> 4 > this.#ppr() >> 4 ? vector : -1
  }
  #highestRequest(): number {
    for (let n = 7; n >= 0; n--) {
      const bits = Atomics.load(this.#memory.i32, this.#word(LAPIC_WORD.irr + n))
      if (bits !== 0) return n * 32 + 31 - Math.clz32(bits)
    }
    return -1
  }
  #highestService(): number {
    for (let n = 7; n >= 0; n--) if (this.#isr[n] !== 0) return n * 32 + 31 - Math.clz32(this.#isr[n]!)
    return -1
  }
  #ppr(): number {
    const service = Math.max(0, this.#highestService())
    return this.#tpr >> 4 >= service >> 4 ? this.#tpr : service & 0xf0
  }
  /** The processor takes the vector: request becomes in-service. */
  accept(vector: number): void {
    Atomics.and(this.#memory.i32, this.#word(LAPIC_WORD.irr + (vector >> 5)), ~(1 << (vector & 31)))
    this.#isr[vector >> 5]! |= 1 << (vector & 31)
  }

  /** System time at which `expire` must run. */
  get deadline(): number {
    return this.#deadline
  }
  expire(now: number): void {
    if (now < this.#deadline) return
    const lvt = this.#lvtOf(REGISTER.lvtTimer)
    const mode = (lvt >> 17) & 3
    if (mode === 1 && this.#initialCount > 0) {
      const period = this.#initialCount * this.#divisor()
      this.#deadline += period * Math.max(1, Math.ceil((now - this.#deadline) / period))
    } else {
      this.#deadline = Number.POSITIVE_INFINITY
      this.#tscDeadline = 0n
    }
    if ((lvt & MASKED) === 0 && (lvt & 0xff) >= 16) raiseVector(this.#memory, this.#vcpu, lvt & 0xff)
  }
  #lvtOf(register: number): number {
    return this.#lvt.get(register) ?? MASKED
  }
  /** The timer counts at 1 GHz before division. */
  #divisor(): number {
    const code = (this.#divide & 3) | ((this.#divide >> 1) & 4)
    return code === 7 ? 1 : 2 << code
  }
  #timerMode(): number {
    return (this.#lvtOf(REGISTER.lvtTimer) >> 17) & 3
  }
  #startTimer(): void {
    this.#started = this.#now()
    this.#deadline =
      this.#initialCount === 0
        ? Number.POSITIVE_INFINITY
        : this.#started + this.#initialCount * this.#divisor()
  }
  #currentCount(): number {
    if (this.#initialCount === 0 || this.#timerMode() === 2 || this.#deadline === Number.POSITIVE_INFINITY)
      return 0
    return Math.max(0, Math.floor((this.#deadline - this.#now()) / this.#divisor()))
  }

  get tscDeadline(): bigint {
    return this.#timerMode() === 2 ? this.#tscDeadline : 0n
  }
  set tscDeadline(value: bigint) {
    if (this.#timerMode() !== 2) return
    this.#tscDeadline = value
    this.#deadline = value === 0n ? Number.POSITIVE_INFINITY : (Number(value) * 1e6) / this.#tscKhz
  }

  /** APIC_BASE. Disabling and moving are allowed; leaving x2APIC mode other than through disabled is not. */
  get base(): bigint {
    return this.#base
  }
  writeBase(value: bigint): boolean {
    const mode = value & (BASE.x2apic | BASE.enable)
    if (mode === BASE.x2apic) return false
    if (this.isX2apic && mode === BASE.enable) return false
    if (value & ~(0xfffffff00n | 0xd00n) || (value & 0xfffffff000n) !== BigInt(LAPIC_BASE)) return false
    const before = this.#base
    this.#base = (value & ~BASE.bsp) | (before & BASE.bsp)
    if (mode === 0n) this.reset(true)
    return true
  }

  /** xAPIC window; 32-bit accesses at 16-byte steps. */
  mmioRead(gpa: number): number {
    if (!this.#isOn || this.isX2apic) return 0xffffffff
    return this.read((gpa % PAGE_SIZE) >> 4) >>> 0
  }
  mmioWrite(gpa: number, value: number): void {
    if (!this.#isOn || this.isX2apic || gpa % 16 !== 0) return
    this.write((gpa % PAGE_SIZE) >> 4, value >>> 0)
  }
  /** MSRs 0x800..0x8ff. Undefined and false: #GP(0). */
  rdmsr(index: number): bigint | undefined {
    if (!this.isX2apic) return undefined
    const register = index - 0x800
    if (register === REGISTER.id) return BigInt(apicId(this.#vcpu))
    if (register === REGISTER.ldr) return BigInt(x2apicLogical(this.#vcpu))
    if (register === REGISTER.icrLow) return BigInt(this.#icrLow) | (BigInt(this.#icrHigh) << 32n)
    if (
      register === REGISTER.eoi ||
      register === REGISTER.selfIpi ||
      register === REGISTER.icrHigh ||
      register === REGISTER.dfr
    )
      return undefined
    return isRegister(register) ? BigInt(this.read(register) >>> 0) : undefined
  }
  wrmsr(index: number, value: bigint): boolean {
    if (!this.isX2apic) return false
    const register = index - 0x800
    if (register === REGISTER.icrLow) {
      this.#icrHigh = Number(value >> 32n)
      this.#icrLow = Number(value & 0xffffffffn)
      this.#send(this.#icrLow, this.#icrHigh)
      return true
    }
    if (value >> 32n !== 0n) return false
    if (register === REGISTER.selfIpi) {
      raiseVector(this.#memory, this.#vcpu, Number(value & 0xffn))
      return true
    }
    const readOnly: readonly number[] = [
      REGISTER.id,
      REGISTER.version,
      REGISTER.ppr,
      REGISTER.ldr,
      REGISTER.dfr,
      REGISTER.currentCount,
      REGISTER.icrHigh,
    ]
    if (!isRegister(register) || readOnly.includes(register)) return false
    if ((register === REGISTER.eoi || register === REGISTER.esr) && value !== 0n) return false
    this.write(register, Number(value))
    return true
  }

  read(register: number): number {
    if (register >= REGISTER.isr && register < REGISTER.isr + 8) return this.#isr[register - REGISTER.isr]!
    if (register >= REGISTER.irr && register < REGISTER.irr + 8)
      return Atomics.load(this.#memory.i32, this.#word(LAPIC_WORD.irr + register - REGISTER.irr))
    switch (register) {
      case REGISTER.id:
        return apicId(this.#vcpu) << 24
      case REGISTER.version:
        return 0x00050014
      case REGISTER.tpr:
        return this.#tpr
      case REGISTER.ppr:
        return this.#ppr()
      case REGISTER.ldr:
        return this.#ldr
      case REGISTER.dfr:
        return this.#dfr
      case REGISTER.svr:
        return this.#svr
      case REGISTER.esr:
        return this.#esr
      case REGISTER.icrLow:
        return this.#icrLow
      case REGISTER.icrHigh:
        return this.#icrHigh
      case REGISTER.initialCount:
        return this.#initialCount
      case REGISTER.currentCount:
        return this.#currentCount()
      case REGISTER.divide:
        return this.#divide
    }
    return register >= REGISTER.lvtCmci && register <= REGISTER.lvtError ? this.#lvtOf(register) : 0
  }

  write(register: number, value: number): void {
    switch (register) {
      case REGISTER.tpr:
        this.#tpr = value & 0xff
        return
      case REGISTER.eoi: {
        const vector = this.#highestService()
        if (vector >= 0) this.#isr[vector >> 5]! &= ~(1 << (vector & 31))
        return
      }
      case REGISTER.ldr:
        this.#ldr = value & 0xff000000
        this.#publishLogical()
        return
      case REGISTER.dfr:
        this.#dfr = value | 0x0fffffff
        this.#publishLogical()
        return
      case REGISTER.svr: {
        const wasEnabled = (this.#svr & ENABLED) !== 0
        this.#svr = value & 0x1ff
        if (!wasEnabled && (value & ENABLED) !== 0) this.onEnabled()
        return
      }
      case REGISTER.esr:
        this.#esr = 0
        return
      case REGISTER.icrHigh:
        this.#icrHigh = value
        return
      case REGISTER.icrLow:
        this.#icrLow = value & ~(1 << 12)
        this.#send(value, this.#icrHigh >>> 24)
        return
      case REGISTER.initialCount:
        if (this.#timerMode() === 2) return
        this.#initialCount = value
        this.#startTimer()
        return
      case REGISTER.divide:
        this.#divide = value & 11
        return
      case REGISTER.lvtTimer:
        // A change between one-shot or periodic and TSC-deadline mode disarms.
        if (((value >> 17) & 3) !== this.#timerMode()) {
          this.#deadline = Number.POSITIVE_INFINITY
          this.#initialCount = 0
        }
    }
    if (
      register >= REGISTER.lvtCmci &&
      register <= REGISTER.lvtError &&
      register !== REGISTER.icrLow &&
      register !== REGISTER.icrHigh
    )
      this.#lvt.set(
        register,
        (value & 0x000707ff) |
          (register === REGISTER.lvtTimer ? value & 0x60000 : value & 0x1a000) |
          (value & MASKED),
      )
  }

  /** Interprocessor interrupt. `destination`: 8 bits in xAPIC mode, 32 in x2APIC mode. */
  #send(low: number, destination: number): void {
    const vector = low & 0xff
    const delivery = (low >> 8) & 7
    const logical = (low & (1 << 11)) !== 0
    const shorthand = (low >> 18) & 3
    const deassert = delivery === DELIVERY.init && (low & (1 << 14)) === 0 && (low & (1 << 15)) !== 0
    if (deassert) return
    for (let vcpu = 0; vcpu < this.#memory.layout.vcpus; vcpu++) {
      const wanted =
        shorthand === 1
          ? vcpu === this.#vcpu
          : shorthand === 2 ||
            (shorthand === 3 && vcpu !== this.#vcpu) ||
            (shorthand === 0 && this.#matches(vcpu, destination, logical))
      if (!wanted) continue
      this.#deliver(vcpu, delivery, vector)
      if (delivery === DELIVERY.lowest) return
    }
  }
  #matches(vcpu: number, destination: number, logical: boolean): boolean {
    if (this.isX2apic) {
      if (destination >>> 0 === 0xffffffff) return true
      if (!logical) return destination === apicId(vcpu)
      const own = x2apicLogical(vcpu)
      return own >>> 16 === destination >>> 16 && (own & destination & 0xffff) !== 0
    }
    if (destination === 0xff) return true
    if (!logical) return destination === apicId(vcpu)
    const word = Atomics.load(this.#memory.i32, controlWord(this.#memory, vcpu, LAPIC_WORD.logical))
    const id = word & 0xff
    if (word & FLAT) return (id & destination) !== 0
    return id >> 4 === destination >> 4 && (id & destination & 15) !== 0
  }
  #deliver(vcpu: number, delivery: number, vector: number): void {
    if (delivery === DELIVERY.fixed || delivery === DELIVERY.lowest) {
      if (vector >= 16) raiseVector(this.#memory, vcpu, vector)
      else this.#esr |= 0x20
    } else if (delivery === DELIVERY.nmi) requestVcpu(this.#memory, vcpu, VCPU_REQUEST.nmi)
    else if (delivery === DELIVERY.init) requestVcpu(this.#memory, vcpu, VCPU_REQUEST.init)
    else if (delivery === DELIVERY.startup) {
      Atomics.store(this.#memory.i32, controlWord(this.#memory, vcpu, LAPIC_WORD.sipiVector), vector)
      requestVcpu(this.#memory, vcpu, VCPU_REQUEST.sipi)
    }
  }
}

/** Logical x2APIC id: cluster in the high half, one bit in the low. */
const x2apicLogical = (vcpu: number): number => ((apicId(vcpu) >> 4) << 16) | (1 << (apicId(vcpu) & 15))
const isRegister = (register: number): boolean =>
  (register >= REGISTER.isr && register < REGISTER.irr + 8) ||
  (register >= REGISTER.lvtCmci && register <= REGISTER.currentCount) ||
  (Object.values(REGISTER) as number[]).includes(register)

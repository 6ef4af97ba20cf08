/**
 * What runs inside a vCPU's thread besides the CPU itself: the interfaces between a CPU backend (software or
 * KVM) and the parts that serve its exits (the Xen shim, a third-party plugin).
 *
 * Everything here is synchronous: it runs between two guest instructions.
 */
import type { Log } from './log.ts'
import type { MachineMemory } from './machine-memory.ts'

/** Index of a general-purpose register in `Vcpu.regs`, in encoding order (SDM vol. 2, table 3-1). */
export const REG = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const

/** The vCPU as an exit handler sees it. */
export interface Vcpu {
  readonly index: number
  readonly memory: MachineMemory
  readonly log: Log
  /** The 16 general-purpose registers, live: writes take effect. */
  readonly regs: BigUint64Array<SharedArrayBuffer>
  /** Operand size of the code that runs: 64, 32 or 16. */
  readonly mode: 64 | 32 | 16
  /** Current privilege level 0..3. */
  readonly cpl: number
  /** System time: nanoseconds since the machine started. The same on all threads of the domain. */
  now(): number
  /** Frequency of the guest's TSC, constant; TSC = now() * tscKhz / 1e6. */
  readonly tscKhz: number
  /** Copies from guest-virtual memory with the guest's current page tables and supervisor rights; undefined where that would fault. */
  readVirtual(address: bigint, length: number): Uint8Array | undefined
  /** Copies to guest-virtual memory; false where that would fault (earlier pages may have been written, as with copy_to_guest). */
  writeVirtual(address: bigint, bytes: Uint8Array): boolean
  /** Guest-physical address behind a guest-virtual one, or -1. */
  translate(address: bigint): number
  /** After a change of the physmap: every vCPU drops its translations before it runs another instruction. */
  physmapChanged(): void
  /** Makes a vCPU (this or another) look at its pending events. */
  kick(vcpu: number): void
  /** An edge interrupt through the LAPIC of a vCPU. */
  raiseVector(vcpu: number, vector: number): void
  /**
   * When the current instruction is done, sleep until `ready()` answers true, an interrupt can be delivered or
   * the deadline (system time in ns, Infinity for none) has passed.
   */
  block(deadlineNs: number, ready: () => boolean): void
  /** Starts an offline vCPU in the given state (VCPUOP_up). False if it is not offline. */
  startVcpu(vcpu: number, context: VcpuStart): boolean
  /** Takes this or another vCPU offline (VCPUOP_down). */
  stopVcpu(vcpu: number): void
  /** The guest ends the domain: sched.h SHUTDOWN_*; this vCPU does not run on. */
  shutdown(reason: number): void
}

/** Register state of a vCPU that starts: flat segments, no paging unless cr0 says so. */
export interface VcpuStart {
  readonly mode: 64 | 32 | 16
  readonly rip: bigint
  readonly regs?: Readonly<Partial<Record<keyof typeof REG, bigint>>>
  readonly rflags?: bigint
  readonly cr0?: bigint
  readonly cr3?: bigint
  readonly cr4?: bigint
  readonly efer?: bigint
  /** Real mode only: code segment selector. */
  readonly cs?: number
}

export interface CpuidResult {
  eax: number
  ebx: number
  ecx: number
  edx: number
}

/** The part of a plugin that lives in each vCPU's thread. All members are optional. */
export interface VcpuExits {
  /** VMCALL or VMMCALL with a claimed number (low 32 bits of RAX); the handler writes RAX itself. */
  hypercall?(nr: number): void
  /** A claimed leaf. `out` comes preset with the CPU backend's own answer. */
  cpuid?(leaf: number, subleaf: number, out: CpuidResult): void
  /** A claimed MSR: undefined or false means #GP(0). */
  rdmsr?(index: number): bigint | undefined
  wrmsr?(index: number, value: bigint): boolean
  /** Claimed ports; width 1, 2 or 4 bytes. */
  portIn?(port: number, width: 1 | 2 | 4): number
  portOut?(port: number, width: 1 | 2 | 4, value: number): void
  /** Claimed guest-physical ranges without RAM; width 1, 2, 4 or 8 bytes. */
  mmioRead?(gpa: number, width: number): bigint
  mmioWrite?(gpa: number, width: number, value: bigint): void
  /** System time in ns at which `expire` wants to be called; Infinity for never. */
  deadline?(): number
  expire?(nowNs: number): void
  /** Vector of a level-like interrupt outside the LAPIC (Xen's callback vector), -1 for none. Asked whenever the vCPU was kicked. */
  pendingVector?(): number
  /** The LAPIC was software-enabled. */
  lapicEnabled?(): void
  /** The vCPU goes to sleep, runs on, or goes offline (runstate accounting). */
  runstate?(state: 'running' | 'runnable' | 'blocked' | 'offline', nowNs: number): void
  /** The machine was reset (guest reboot within the same process) before `runstate('running')`. */
  reset?(): void
}

/** Shape of the module named by `ExitClaims.module`: its default export. */
export type CreateVcpuExits = (vcpu: Vcpu, data: unknown) => VcpuExits

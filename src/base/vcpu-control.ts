/**
 * The control block of a vCPU: the words through which other threads reach it.
 *
 * Each block lies in shared machine memory at `layout.control + index * CONTROL_STRIDE`. Requests are bits
 * that anyone sets and only the vCPU's own thread clears; a vCPU that sleeps waits on the request word.
 */
import { CONTROL_STRIDE, type MachineMemory, PAGE_SIZE } from './machine-memory.ts'

/** Bits of the request word. */
export const VCPU_REQUEST = {
  /** An interrupt or event may be pending: look again. */
  kick: 1,
  /** Park until resumed (pause, reset, stop). */
  park: 2,
  /** Guest-physical mappings changed: drop all cached translations. */
  flushTlb: 4,
  /** Pages this vCPU may have decoded code of were written: see the CPU backend. */
  flushCode: 8,
  /** LAPIC INIT, SIPI and NMI from another vCPU. */
  init: 16,
  sipi: 32,
  nmi: 64,
  /** An offline vCPU's registers have been set: run. */
  start: 128,
  /** Somebody began or ceased to watch what the vCPU's time goes into: see the CPU backend. */
  profile: 256,
} as const

/** Values of the state word. `down`: halted with interrupts off; when every vCPU is down or offline the domain has powered off. */
export const VCPU_STATE = { offline: 0, running: 1, blocked: 2, down: 3, parked: 4 } as const

/** Word indices inside a block. */
export const CONTROL_WORD = {
  request: 0,
  state: 1,
  /** State to return to after parked. */
  stateBeforePark: 2,
  /** Nanoseconds this vCPU ran, low and high word: xl list's Time(s). */
  ranNsLow: 4,
  ranNsHigh: 5,
  /** From word 8 on: free for the CPU backend. */
  backend: 8,
  /** Writes to decoded code that the vCPU has yet to look at: see announceWrite. */
  codeLock: 31,
  codeCount: 32,
  codeEntries: 33,
} as const
/** Entries of the code mailbox, one word each: byte address of CODE_GRAIN bytes that were written. A count above it says that there were more. */
export const CODE_MAILBOX = 16
/** Bytes that one mailbox entry stands for. */
export const CODE_GRAIN = 16

/** Index into `memory.i32` of a control word. */
export function controlWord(memory: MachineMemory, vcpu: number, word: number): number {
  return (memory.layout.control + vcpu * CONTROL_STRIDE) / 4 + word
}

/** Sets request bits and wakes the vCPU if it sleeps. Callable from any thread. */
export function requestVcpu(memory: MachineMemory, vcpu: number, bits: number): void {
  const index = controlWord(memory, vcpu, CONTROL_WORD.request)
  const before = Atomics.or(memory.i32, index, bits)
  // ORDER: the bit must be visible before the wake-up; a vCPU re-reads the word before it sleeps.
  if ((before & bits) !== bits) Atomics.notify(memory.i32, index)
}

export function requestAllVcpus(memory: MachineMemory, bits: number, except = -1): void {
  for (let vcpu = 0; vcpu < memory.layout.vcpus; vcpu++) if (vcpu !== except) requestVcpu(memory, vcpu, bits)
}

/**
 * Tells every vCPU that holds decoded code of the page that bytes of it were written by somebody else: another
 * vCPU, or a host thread that wrote guest memory (a backend, a hypercall). Processors see such writes by
 * themselves; ours must be told. `host` is a byte offset in machine memory; the bytes lie in one page.
 */
export function announceWrite(memory: MachineMemory, host: number, length: number, except = -1): void {
  const flags = Atomics.load(memory.u8, memory.layout.pageFlags + Math.floor(host / PAGE_SIZE))
  if (flags === 0) return
  for (let vcpu = 0; vcpu < memory.layout.vcpus; vcpu++) {
    if (vcpu === except || (flags & (1 << (vcpu & 7))) === 0) continue
    const from = host - (host % CODE_GRAIN)
    withCodeMailbox(memory, vcpu, (count, entries) => {
      let next = count
      for (let at = from; at < host + length && next <= CODE_MAILBOX; at += CODE_GRAIN) {
        if (next < CODE_MAILBOX) memory.i32[entries + next] = at | 0
        next++
      }
      return next
    })
    requestVcpu(memory, vcpu, VCPU_REQUEST.flushCode)
  }
}

/** Takes all entries out of a vCPU's code mailbox: byte addresses, or undefined when there were more than it holds. */
export function takeCodeMailbox(memory: MachineMemory, vcpu: number): readonly number[] | undefined {
  let taken: readonly number[] | undefined
  withCodeMailbox(memory, vcpu, (count, entries) => {
    if (count <= CODE_MAILBOX) taken = Array.from({ length: count }, (_, n) => memory.u32[entries + n]!)
    return 0
  })
  return taken
}

/** Runs `use` with the mailbox locked; it answers the new count. A few instructions: whoever waits spins. */
function withCodeMailbox(
  memory: MachineMemory,
  vcpu: number,
  use: (count: number, entries: number) => number,
): void {
  const { i32 } = memory
  const lock = controlWord(memory, vcpu, CONTROL_WORD.codeLock)
  const count = controlWord(memory, vcpu, CONTROL_WORD.codeCount)
  while (Atomics.compareExchange(i32, lock, 0, 1) !== 0);
  i32[count] = use(i32[count]!, controlWord(memory, vcpu, CONTROL_WORD.codeEntries))
  // ORDER: what was written above is seen by whoever takes the lock next.
  Atomics.store(i32, lock, 0)
}

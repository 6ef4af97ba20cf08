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
  codeOverflow: 31,
  codeTail: 32,
  codeHead: 33,
  codeEntries: 34,
} as const
/** Entries of the code mailbox, one word each: byte address of up to 16 written bytes, plus one so that 0 is empty. */
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
    const word = (n: number) => controlWord(memory, vcpu, n)
    const from = host - (host % CODE_GRAIN)
    const grains = Math.ceil((host + length - from) / CODE_GRAIN)
    for (let n = 0; n < grains; n++) {
      const tail = Atomics.add(memory.i32, word(CONTROL_WORD.codeTail), 1)
      const waiting = (tail - Atomics.load(memory.i32, word(CONTROL_WORD.codeHead))) >>> 0
      if (waiting >= CODE_MAILBOX) {
        // No room: the vCPU drops all its code instead. The reserved entry is taken back by whoever empties the box.
        Atomics.store(memory.i32, word(CONTROL_WORD.codeOverflow), 1)
        break
      }
      Atomics.store(
        memory.i32,
        word(CONTROL_WORD.codeEntries + ((tail >>> 0) % CODE_MAILBOX)),
        (from + n * CODE_GRAIN + 1) | 0,
      )
    }
    requestVcpu(memory, vcpu, VCPU_REQUEST.flushCode)
  }
}

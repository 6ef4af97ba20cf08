/**
 * The local APIC for micro-guests, through its registers at FEE00000 (SDM vol. 3, chapter 11), and the start of
 * other processors by INIT and SIPI.
 */
import { Assembler, at, label, mem } from '../../plugins/cpu-software/isa/assemble.ts'
import type { Argument } from '../../plugins/cpu-software/isa/operand.ts'
import type { GuestBuilder } from './guest.ts'
import { SELECTOR } from './layout.ts'
import { emitDataSegments, emitLongMode } from './start.ts'

const BASE = 0xfee00000 | 0
export const LAPIC = {
  id: 0x20,
  version: 0x30,
  taskPriority: 0x80,
  eoi: 0xb0,
  spurious: 0xf0,
  inService: 0x100,
  request: 0x200,
  icrLow: 0x300,
  icrHigh: 0x310,
  lvtTimer: 0x320,
  initialCount: 0x380,
  currentCount: 0x390,
  divide: 0x3e0,
} as const

/** Memory operand of a register. Absolute addresses are sign-extended, so it goes through R15. */
export const lapicWrite = (g: GuestBuilder, register: number, value: Argument): GuestBuilder => {
  g.emit('MOV', 'r15d', BASE >>> 0)
  if (typeof value === 'string') g.emit('MOV', mem({ base: 'r15', disp: register }), value)
  else g.emit('MOV', mem({ base: 'r15', disp: register, size: 32 }), value)
  return g
}

export const lapicRead = (g: GuestBuilder, register: number): GuestBuilder => {
  g.emit('MOV', 'r15d', BASE >>> 0).emit('MOV', 'eax', mem({ base: 'r15', disp: register }))
  return g
}

/** Software enable, with spurious vector FF. */
export const enableLapic = (g: GuestBuilder): GuestBuilder => lapicWrite(g, LAPIC.spurious, 0x1ff)

const TRAMPOLINE = 0x8000
const GDT_POINTER = 0x100
const ENTRY = 0x110
/** Where the trampoline leaves its CS for the test to see. */
export const TRAMPOLINE_CS = TRAMPOLINE + 0x120
const STACK_BYTES = 4096

/**
 * Starts all other processors. Each runs `body` in 64-bit mode on a stack of its own, with its number from 1 on in
 * EBX, then counts `processors_done` up and halts with interrupts on. Waits until `count` of them got there.
 */
export function startProcessors(g: GuestBuilder, count: number, body: () => void): void {
  const code = realModeCode()
  const after = g.unique('after')
  enableLapic(g)
  g.emit('MOV', 'esi', label('trampoline'))
    .emit('MOV', 'edi', TRAMPOLINE)
    .emit('MOV', 'ecx', code.length)
    .string('MOVS', 8, 'REP')
  g.emit('MOV', 'edi', TRAMPOLINE).emit('MOV', mem({ base: 'rdi', disp: GDT_POINTER, size: 16 }), 16 * 8 - 1)
  g.emit('MOV', mem({ base: 'rdi', disp: GDT_POINTER + 2, size: 32 }), label('gdt'))
  g.emit('MOV', mem({ base: 'rdi', disp: ENTRY, size: 32 }), label('processor32'))
  g.emit('MOV', mem({ base: 'rdi', disp: ENTRY + 4, size: 16 }), SELECTOR.kernelCode32)
  // All but this one: INIT, then start at page 8.
  lapicWrite(g, LAPIC.icrLow, 0xc4500)
  lapicWrite(g, LAPIC.icrLow, 0xc4600 | (TRAMPOLINE >> 12))
  waitFor(g, 'processors_done', count)
  g.jmp(after)

  g.align(16)
    .label('trampoline')
    .bytes(...code)
  g.label('processors_started').u32(0).label('processors_done').u32(0).align(16)
  g.label('processor_stacks').zero(count * STACK_BYTES)
  g.mode(32).label('processor32').emit('MOV', 'eax', SELECTOR.kernelData)
  for (const segment of ['ds', 'es', 'ss'] as const) g.emit('MOV', segment, 'ax')
  emitLongMode(g, 'processor64')
  g.mode(64).label('processor64')
  emitDataSegments(g)
  g.emit('MOV', 'ebx', 1).emitWith({ lock: true }, 'XADD', at('processors_started'), 'ebx').emit('INC', 'ebx')
  g.emit('IMUL', 'esp', 'ebx', STACK_BYTES).emit('ADD', 'rsp', label('processor_stacks'))
  g.emit('LIDT', at('idt_pointer'))
  enableLapic(g)
  body()
  g.emitWith({ lock: true }, 'INC', at('processors_done', { size: 32 }))
  g.label('processor_idle').emit('STI').emit('HLT').jmp('processor_idle')
  g.label(after)
}

/** Waits until the 32-bit variable has the value, for some seconds at most. */
export function waitFor(g: GuestBuilder, variable: string, value: number): void {
  const wait = g.unique('wait')
  const seen = g.unique('seen')
  g.emit('MOV', 'ecx', 20_000_000)
    .label(wait)
    .emit('CMP', at(variable, { size: 32 }), value)
    .jcc('E', seen)
  g.emit('PAUSE').emit('DEC', 'ecx').jcc('NZ', wait).fail(`${variable} never was ${value}`).label(seen)
}

/** Runs at TRAMPOLINE with CS based there; the GDT pointer and the 32-bit entry were put behind it. */
function realModeCode(): Uint8Array {
  const t = new Assembler(16)
  t.emit('CLI')
    .emit('MOV', 'ax', 'cs')
    .emit('MOV', 'ds', 'ax')
    .emit('MOV', mem({ disp: TRAMPOLINE_CS - TRAMPOLINE }), 'ax')
  t.emitWith({ size: 32 }, 'LGDT', mem({ disp: GDT_POINTER }))
  t.emit('MOV', 'eax', 'cr0').emit('OR', 'eax', 1).emit('MOV', 'cr0', 'eax')
  t.emitWith({ size: 32 }, 'JMPF', mem({ disp: ENTRY }))
  return t.assemble()
}

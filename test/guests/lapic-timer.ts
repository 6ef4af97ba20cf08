/** SDM vol. 3, section 11.5.4: the three timer modes, masking, priorities and in-service rules of the local APIC. */
import { at } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { enableLapic, LAPIC, lapicRead, lapicWrite } from '../../src/testkit/micro-guests/lapic.ts'

const VECTOR = 0x50
const PERIODIC = 1 << 17
const TSC_DEADLINE = 1 << 18
const MASKED = 1 << 16
const IA32_TSC_DEADLINE = 0x6e0

/** Halts until the handler ran `count` times in all. */
function halt(g: GuestBuilder, count: number): void {
  const again = g.unique('again')
  g.label(again)
    .emit('STI')
    .emit('HLT')
    .emit('CLI')
    .emit('CMP', at('ticks', { size: 32 }), count)
    .jcc('B', again)
}

/** Lets a timer of `count` run out without halting. */
function letRunOut(g: GuestBuilder): void {
  const again = g.unique('again')
  lapicWrite(g, LAPIC.initialCount, 50_000)
  g.label(again)
  lapicRead(g, LAPIC.currentCount).emit('TEST', 'eax', 'eax').jcc('NZ', again)
}

export const guest = microGuest(
  'lapic-timer',
  'the LAPIC timer fires once, periodically and at a TSC deadline',
  (g) => {
    g.handler(VECTOR, () => {
      g.emit('INC', at('ticks', { size: 32 }))
      lapicWrite(g, LAPIC.eoi, 0)
    })
    enableLapic(g)
    lapicWrite(g, LAPIC.divide, 0xb)
    lapicWrite(g, LAPIC.lvtTimer, VECTOR)
    lapicWrite(g, LAPIC.initialCount, 100_000)
    halt(g, 1)
    lapicRead(g, LAPIC.currentCount).check('count after one shot', 'eax', 0)

    lapicWrite(g, LAPIC.lvtTimer, VECTOR | PERIODIC)
    lapicWrite(g, LAPIC.initialCount, 100_000)
    halt(g, 6)
    lapicWrite(g, LAPIC.initialCount, 0)
    // One more may have come due before the stop.
    g.takeInterrupts()
    g.emit('MOV', at('ticks', { size: 32 }), 0)

    // Masked: it counts, nothing comes. Then held back by interrupts off, by the task priority, by a vector in service.
    lapicWrite(g, LAPIC.lvtTimer, VECTOR | MASKED)
    letRunOut(g)
    g.emit('STI')
      .emit('NOP')
      .emit('CLI')
      .emit('MOV', 'eax', at('ticks'))
      .check('ticks while masked', 'eax', 0)
    lapicWrite(g, LAPIC.lvtTimer, VECTOR)
    letRunOut(g)
    // The count may read zero a little before the interrupt is requested.
    g.emit('MOV', 'ecx', 10_000_000).label('requested')
    lapicRead(g, LAPIC.request + 0x10 * (VECTOR >> 5))
      .emit('DEC', 'ecx')
      .jcc('Z', 'gave_up')
    g.emit('BT', 'eax', VECTOR & 31).jcc('NC', 'requested')
    g.label('gave_up').check('request register', 'eax', 1 << (VECTOR & 31))
    g.emit('MOV', 'eax', 5).emit('MOV', 'cr8', 'rax').emit('STI').emit('NOP').emit('NOP')
    g.emit('MOV', 'eax', at('ticks')).check('ticks at priority 5', 'eax', 0)
    lapicRead(g, LAPIC.taskPriority).check('CR8 is the task priority', 'eax', 0x50)
    g.emit('XOR', 'eax', 'eax').emit('MOV', 'cr8', 'rax').emit('NOP').emit('NOP').emit('CLI')
    g.emit('MOV', 'eax', at('ticks')).check('ticks at priority 0', 'eax', 1)
    lapicRead(g, LAPIC.inService + 0x10 * (VECTOR >> 5)).check('in service after EOI', 'eax', 0)

    g.emit('MOV', 'eax', 1).emit('CPUID').emit('BT', 'ecx', 24).jcc('NC', 'no_deadline')
    lapicWrite(g, LAPIC.lvtTimer, VECTOR | TSC_DEADLINE)
    g.emit('MFENCE')
      .emit('RDTSC')
      .emit('ADD', 'eax', 2_000_000)
      .emit('ADC', 'edx', 0)
      .emit('MOV', 'ecx', IA32_TSC_DEADLINE)
      .emit('WRMSR')
    halt(g, 2)
    g.emit('MOV', 'ecx', IA32_TSC_DEADLINE).emit('RDMSR').check('deadline after it passed', 'eax', 0)
    // One in the past fires at once.
    g.emit('MOV', 'eax', 1).emit('XOR', 'edx', 'edx').emit('WRMSR')
    halt(g, 3)
    g.label('no_deadline').jmp('end').align(4).label('ticks').u32(0).label('end')
  },
)

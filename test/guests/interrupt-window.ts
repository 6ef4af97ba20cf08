/** SDM vol. 2, STI and MOV SS: an interrupt that waits comes after the one instruction that follows, not before it. */
import { at } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { enableLapic, LAPIC, lapicWrite } from '../../src/testkit/micro-guests/lapic.ts'
import { SELECTOR } from '../../src/testkit/micro-guests/layout.ts'

const VECTOR = 0x60
const TO_SELF = 1 << 18

/** Makes an interrupt wait. */
const raise = (g: GuestBuilder) => lapicWrite(g, LAPIC.icrLow, TO_SELF | VECTOR)

export const guest = microGuest(
  'interrupt-window',
  'a waiting interrupt comes exactly one instruction after STI',
  (g) => {
    g.handler(VECTOR, () => {
      g.emit('MOV', at('seen'), 'ebx').emit('INC', at('count', { size: 32 }))
      lapicWrite(g, LAPIC.eoi, 0)
    })
    enableLapic(g)
    raise(g).emit('XOR', 'ebx', 'ebx').emit('STI').emit('INC', 'ebx').emit('INC', 'ebx').emit('CLI')
    g.emit('MOV', 'eax', at('count')).check('interrupts after STI and two instructions', 'eax', 1)
    g.emit('MOV', 'eax', at('seen')).check('instructions run before it', 'eax', 1)

    raise(g)
      .emit('STI')
      .emit('CLI')
      .emit('MOV', 'eax', at('count'))
      .check('interrupts between STI and CLI', 'eax', 1)

    g.emit('MOV', 'eax', SELECTOR.kernelData)
      .emit('XOR', 'ebx', 'ebx')
      .emit('STI')
      .emit('MOV', 'ss', 'ax')
      .emit('INC', 'ebx')
      .emit('INC', 'ebx')
      .emit('CLI')
    g.emit('MOV', 'eax', at('count')).check('interrupts after STI and MOV SS', 'eax', 2)

    // POPF and IRET open the window at once.
    raise(g).emit('XOR', 'ebx', 'ebx').emit('PUSH', 0x202).emit('POPF').emit('INC', 'ebx').emit('CLI')
    g.emit('MOV', 'eax', at('seen')).check('instructions between POPF and the interrupt', 'eax', 0)
    g.emit('MOV', 'eax', at('count')).check('interrupts after POPF', 'eax', 3)

    // HLT right after STI: the interrupt that waits wakes it.
    raise(g)
      .emit('STI')
      .emit('HLT')
      .emit('CLI')
      .emit('MOV', 'eax', at('count'))
      .check('interrupts after STI and HLT', 'eax', 4)

    g.jmp('end').align(4).label('count').u32(0).label('seen').u32(0).label('end')
  },
)

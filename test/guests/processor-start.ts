/** SDM vol. 3, section 9.4.4: INIT and SIPI start the other processors in real mode at the page of the vector. */
import { at, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import {
  LAPIC,
  lapicRead,
  lapicWrite,
  startProcessors,
  TRAMPOLINE_CS,
  waitFor,
} from '../../src/testkit/micro-guests/lapic.ts'

export const guest = microGuest(
  'processor-start',
  'INIT and SIPI start three processors, each once, and IPIs reach them',
  (g) => {
    g.handler(0x40, () => {
      g.emitWith({ lock: true }, 'INC', at('interrupted', { size: 32 }))
      lapicWrite(g, LAPIC.eoi, 0)
    })
    startProcessors(g, 3, () => {
      lapicRead(g, LAPIC.id).emit('SHR', 'eax', 24)
      g.emitWith({ lock: true }, 'BTS', at('ids', { size: 32 }), 'eax')
    })
    g.emit('MOVZX', 'eax', mem({ disp: TRAMPOLINE_CS, size: 16 })).check(
      'CS of a started processor',
      'eax',
      0x800,
    )
    g.emit('MOV', 'eax', at('ids')).emit('POPCNT', 'eax', 'eax').check('different APIC ids', 'eax', 3)

    // A second SIPI is ignored by a processor that runs.
    lapicWrite(g, LAPIC.icrLow, 0xc4608)
    lapicWrite(g, LAPIC.icrLow, 0xc4040)
    waitFor(g, 'interrupted', 3)
    g.emit('MOV', 'eax', at('processors_started')).check('processors started', 'eax', 3)
    // INIT again takes them down; the next SIPI starts them anew.
    g.emit('MOV', at('processors_done', { size: 32 }), 0).emit(
      'MOV',
      at('processors_started', { size: 32 }),
      0,
    )
    lapicWrite(g, LAPIC.icrLow, 0xc4500)
    lapicWrite(g, LAPIC.icrLow, 0xc4608)
    waitFor(g, 'processors_done', 3)
    g.jmp('end').align(4).label('interrupted').u32(0).label('ids').u32(0).label('end')
  },
  { vcpus: 4 },
)

/** SDM vol. 3, section 8.1.2.2: LOCK holds for operands that are not aligned, even across cache lines. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { startProcessors, waitFor } from '../../src/testkit/micro-guests/lapic.ts'

const ROUNDS = 50_000

function count(g: GuestBuilder, who: string): void {
  g.emitWith({ lock: true }, 'INC', at('ready', { size: 32 }))
  waitFor(g, 'ready', 2)
  g.emit('MOV', 'esi', ROUNDS).label(who)
  g.emitWith({ lock: true }, 'ADD', at('words', { addend: 3, size: 32 }), 1)
  g.emitWith({ lock: true }, 'ADD', mem({ disp: label('line', 61), size: 64 }), 1)
  g.emit('DEC', 'esi')
    .jcc('NZ', who)
    .emitWith({ lock: true }, 'INC', at('finished', { size: 32 }))
}

export const guest = microGuest(
  'split-locks',
  'locked operations on unaligned places lose nothing',
  (g) => {
    startProcessors(g, 1, () => {
      // Ready at once, so that both count at the same time.
      g.emitWith({ lock: true }, 'INC', at('processors_done', { size: 32 }))
      count(g, 'second')
    })
    count(g, 'first')
    waitFor(g, 'finished', 2)
    g.emit('MOV', 'eax', at('words', { addend: 3 })).check('within eight bytes', 'eax', 2 * ROUNDS)
    g.emit('MOV', 'rax', mem({ disp: label('line', 61) })).check('across cache lines', 'rax', 2 * ROUNDS)
    g.jmp('end').align(64)
    for (const name of ['ready', 'finished', 'words']) g.label(name).u64(0)
    g.label('end')
  },
  { vcpus: 2 },
)

/** SDM vol. 3, section 8.1: locked operations of two processors on one place lose nothing (aligned ones; split-locks.ts has the others). */
import { at, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { startProcessors, waitFor } from '../../src/testkit/micro-guests/lapic.ts'

const ROUNDS = 20_000

/** Each round adds one to every counter, each in another way. `who` makes labels unique. */
function count(g: GuestBuilder, who: string): void {
  g.emitWith({ lock: true }, 'INC', at('ready', { size: 32 }))
  waitFor(g, 'ready', 2)
  g.emit('MOV', 'esi', ROUNDS).label(`${who}_round`)
  g.emitWith({ lock: true }, 'INC', at('by_inc', { size: 32 }))
  g.emit('MOV', 'eax', 1).emitWith({ lock: true }, 'XADD', at('by_xadd'), 'rax')
  g.emit('MOV', 'eax', at('by_cmpxchg'))
    .label(`${who}_again`)
    .emit('LEA', 'edx', mem({ base: 'rax', disp: 1 }))
  g.emitWith({ lock: true }, 'CMPXCHG', at('by_cmpxchg'), 'edx').jcc('NE', `${who}_again`)
  g.label(`${who}_lock`)
    .emit('MOV', 'eax', 1)
    .emit('XCHG', at('spin'), 'eax')
    .emit('TEST', 'eax', 'eax')
    .jcc('NZ', `${who}_lock`)
  g.emit('INC', at('under_lock', { size: 32 })).emit('MOV', at('spin', { size: 32 }), 0)
  g.emit('MOV', 'rax', at('pair'))
    .emit('MOV', 'rdx', at('pair', { addend: 8 }))
    .label(`${who}_pair`)
  g.emit('LEA', 'rbx', mem({ base: 'rax', disp: 1 })).emit('LEA', 'rcx', mem({ base: 'rdx', disp: 2 }))
  g.emitWith({ lock: true }, 'CMPXCHG16B', at('pair')).jcc('NE', `${who}_pair`)
  g.emit('DEC', 'esi').jcc('NZ', `${who}_round`)
  g.emitWith({ lock: true }, 'INC', at('finished', { size: 32 }))
}

export const guest = microGuest(
  'atomics',
  'locked operations of two processors lose nothing',
  (g) => {
    startProcessors(g, 1, () => {
      // Ready at once, so that both count at the same time.
      g.emitWith({ lock: true }, 'INC', at('processors_done', { size: 32 }))
      count(g, 'second')
    })
    count(g, 'first')
    waitFor(g, 'finished', 2)
    for (const name of ['by_inc', 'by_xadd', 'by_cmpxchg', 'under_lock', 'pair'])
      g.check(name, { variable: name }, 2 * ROUNDS)
    g.emit('MOV', 'rax', at('pair', { addend: 8 })).check('upper half of the pair', 'rax', 4 * ROUNDS)
    g.jmp('end').align(64)
    for (const name of ['ready', 'finished', 'spin', 'by_inc', 'by_xadd', 'by_cmpxchg', 'under_lock'])
      g.label(name).u64(0)
    g.align(16).label('pair').u64(0, 0).label('end')
  },
  { vcpus: 2 },
)

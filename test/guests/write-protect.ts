/** SDM vol. 3, sections 4.6 and 4.8: CR0.WP, and the accessed and dirty flags of page-table entries. */
import { label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { PLAYGROUND } from '../../src/testkit/micro-guests/layout.ts'

const ACCESSED = 0x20
const DIRTY = 0x40
const WP = 16
const page = (n: number) => PLAYGROUND + n * 4096

function checkFlags(g: GuestBuilder, what: string, n: number, expected: number): void {
  g.emit('MOV', 'eax', mem({ disp: label('playground_pt', 8 * n) }))
    .emit('AND', 'eax', ACCESSED | DIRTY)
    .check(what, 'eax', expected)
}

export const guest = microGuest(
  'write-protect',
  'WP protects from the supervisor, accessed and dirty flags are set when due',
  (g) => {
    g.playgroundFlags(1, 7)
    checkFlags(g, 'before any access', 1, 0)
    g.emit('MOV', 'eax', mem({ disp: page(1) }))
    checkFlags(g, 'after a read', 1, ACCESSED)
    g.emit('MOV', mem({ disp: page(1) }), 'eax')
    checkFlags(g, 'after a write', 1, ACCESSED | DIRTY)

    g.playgroundFlags(2, 5)
    g.fault({ vector: 14, error: 3, address: page(2) }, () => g.emit('MOV', mem({ disp: page(2) }), 'eax'))
    g.emit('MOV', 'rax', 'cr0').emit('BTR', 'rax', WP).emit('MOV', 'cr0', 'rax')
    g.emit('MOV', mem({ disp: page(2), size: 32 }), 0x1234)
    checkFlags(g, 'after a write with WP off', 2, ACCESSED | DIRTY)
    g.fault({ vector: 14, error: 7, cpl: 3 }, () => g.enterUser('user_write'))
    g.emit('MOV', 'rax', 'cr0').emit('BTS', 'rax', WP).emit('MOV', 'cr0', 'rax')
    g.fault({ vector: 14, error: 3, address: page(2) }, () => g.emit('MOV', mem({ disp: page(2) }), 'eax'))

    // A dirty flag cleared by software is set again after the page was flushed.
    g.emitWith({ lock: true }, 'AND', mem({ disp: label('playground_pt', 8), size: 64 }), ~(ACCESSED | DIRTY))
    g.emit('INVLPG', mem({ disp: page(1) })).emit('ADD', mem({ disp: page(1), size: 32 }), 1)
    checkFlags(g, 'after a read and write', 1, ACCESSED | DIRTY)

    // A page made writable needs no flush before it is written: the fault walks again.
    g.playgroundFlags(3, 5)
    g.emit('MOV', 'eax', mem({ disp: page(3) })).emit(
      'OR',
      mem({ disp: label('playground_pt', 24), size: 32 }),
      2,
    )
    g.emit('MOV', mem({ disp: page(3) }), 'eax')
    g.jmp('end')
      .label('user_write')
      .emit('MOV', mem({ disp: page(2) }), 'eax')
      .label('end')
  },
)

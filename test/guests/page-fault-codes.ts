/** SDM vol. 3, section 4.7: the error code of a page fault says what was tried and why it failed; CR2 says where. */
import { label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { PLAYGROUND } from '../../src/testkit/micro-guests/layout.ts'

const PRESENT = 1
const WRITABLE = 2
const USER = 4
const page = (n: number) => PLAYGROUND + n * 4096

export const guest = microGuest(
  'page-fault-codes',
  'page faults report the exact error code and address',
  (g) => {
    g.playgroundFlags(1, 0)
    g.fault({ vector: 14, error: 0, address: page(1) + 8, at: 'read' }, () =>
      g.label('read').emit('MOV', 'eax', mem({ disp: page(1) + 8 })),
    )
    g.fault({ vector: 14, error: 2, address: page(1) }, () => g.emit('MOV', mem({ disp: page(1) }), 'eax'))
    g.fault({ vector: 14, error: 0x10, address: page(1) }, () =>
      g.emit('MOV', 'eax', page(1)).emit('JMP', 'rax'),
    )

    g.playgroundFlags(2, PRESENT | USER)
    g.emit('MOV', 'eax', mem({ disp: page(2) }))
    g.fault({ vector: 14, error: 3, address: page(2) + 4 }, () =>
      g.emit('ADD', mem({ disp: page(2) + 4 }), 'eax'),
    )

    g.playgroundFlags(3, PRESENT | WRITABLE | USER, true)
    g.emit('MOV', mem({ disp: page(3), size: 8 }), 0xc3)
    g.fault({ vector: 14, error: 0x11, address: page(3) }, () =>
      g.emit('MOV', 'eax', page(3)).emit('CALL', 'rax'),
    )

    // A reserved bit: the highest physical address bit, where the processor has fewer than 52.
    g.emit('MOV', 'eax', 0x80000008).emit('CPUID').emit('CMP', 'al', 52).jcc('AE', 'all_bits')
    g.playgroundFlags(4, PRESENT | WRITABLE | USER)
    g.emit('BTS', mem({ disp: label('playground_pt', 8 * 4 + 4), size: 32 }), 51 - 32).emit(
      'INVLPG',
      mem({ disp: page(4) }),
    )
    g.fault({ vector: 14, error: 9, address: page(4) }, () => g.emit('MOV', 'al', mem({ disp: page(4) })))
    g.fault({ vector: 14, error: 11, address: page(4) }, () => g.emit('MOV', mem({ disp: page(4) }), 'al'))
    g.label('all_bits')

    // From ring 3: a supervisor page, a missing page, a read-only page.
    g.playgroundFlags(5, PRESENT | WRITABLE)
    g.fault({ vector: 14, error: 5, address: page(5), at: 'user_read', cpl: 3 }, () =>
      g.enterUser('user_read'),
    )
    g.fault({ vector: 14, error: 7, address: page(5), cpl: 3 }, () => g.enterUser('user_write'))
    g.fault({ vector: 14, error: 6, address: page(1), cpl: 3 }, () => g.enterUser('user_write_missing'))
    g.fault({ vector: 14, error: 7, address: page(2), cpl: 3 }, () => g.enterUser('user_write_readonly'))
    g.fault({ vector: 14, error: 0x15, address: page(5), cpl: 3 }, () => g.enterUser('user_jump'))
    g.jmp('end')
    g.label('user_read').emit('MOV', 'eax', mem({ disp: page(5) }))
    g.label('user_write').emit('MOV', mem({ disp: page(5) }), 'eax')
    g.label('user_write_missing').emit('MOV', mem({ disp: page(1) }), 'eax')
    g.label('user_write_readonly').emit('MOV', mem({ disp: page(2) }), 'eax')
    g.label('user_jump').emit('MOV', 'eax', page(5)).emit('JMP', 'rax')
    g.label('end')
  },
)

/** SDM vol. 2, REP: a fault in the middle leaves RCX, RSI and RDI at the element that faulted; a split store writes nothing. */
import { label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { PLAYGROUND } from '../../src/testkit/micro-guests/layout.ts'

const page = (n: number) => PLAYGROUND + n * 4096

export const guest = microGuest(
  'string-faults',
  'faults in repeated and page-crossing accesses are precise',
  (g) => {
    g.playgroundFlags(3, 0)
    g.emit('MOV', 'esi', label('playground_frames'))
      .emit('MOV', 'edi', page(3) - 64)
      .emit('MOV', 'ecx', 100)
      .emit('MOV', 'edx', label('playground_frames', 8 * 8))
    g.fault({ vector: 14, error: 2, address: page(3), at: 'movs' }, () =>
      g.label('movs').string('MOVS', 64, 'REP'),
    )
    g.check('RCX after REP MOVSQ', 'rcx', 92)
      .check('RDI after REP MOVSQ', 'rdi', page(3))
      .check('RSI after REP MOVSQ', 'rsi', label('playground_frames', 64))

    g.emit('MOV', 'edi', page(3) - 5).emit('MOV', 'ecx', 9)
    g.fault({ vector: 14, error: 2, address: page(3) }, () =>
      g.emit('MOV', 'eax', 0x77).string('STOS', 8, 'REP'),
    )
    g.check('RCX after REP STOSB', 'rcx', 4).check('RDI after REP STOSB', 'rdi', page(3))
    g.emit('MOVZX', 'ebx', mem({ disp: page(3) - 1, size: 8 })).check(
      'bytes before the fault are there',
      'ebx',
      0x77,
    )

    g.emit('MOV', 'edi', page(3) - 5).emit('MOV', 'ecx', 9)
    g.fault({ vector: 14, error: 0, address: page(3) }, () =>
      g.emit('MOV', 'eax', 0x77).string('SCAS', 8, 'REPE'),
    )
    g.check('RCX after REPE SCASB', 'rcx', 4)

    // A store across the page end: CR2 is the missing page's first byte, and nothing is written before it.
    g.emit('MOV', 'rax', 0x1111111111111111n)
      .emit('MOV', mem({ disp: page(3) - 8 }), 'rax')
      .emit('MOV', 'rbx', 0x2222222222222222n)
    g.fault({ vector: 14, error: 2, address: page(3) }, () =>
      g.emit('MOV', mem({ disp: page(3) - 4 }), 'rbx'),
    )
    g.emit('MOV', 'rbx', mem({ disp: page(3) - 8 })).check(
      'a split store that faults writes nothing',
      'rbx',
      0x1111111111111111n,
    )
    g.fault({ vector: 14, error: 0, address: page(3) }, () =>
      g.emit('MOV', 'rbx', mem({ disp: page(3) - 4 })),
    )

    // PUSH and CALL that fault leave RSP; XCHG that faults leaves its register.
    g.emit('MOV', 'rbp', 'rsp').emit('MOV', 'ebx', 0x33)
    g.fault({ vector: 14, error: 2, address: page(3) + 8 }, () =>
      g.emit('XCHG', mem({ disp: page(3) + 8 }), 'rbx'),
    )
    g.check('XCHG kept its register', 'ebx', 0x33)
    g.fault({ vector: 14, error: 0, address: page(3) + 16 }, () =>
      g.emit('MOV', 'ecx', 5).emit('ADD', 'ecx', mem({ disp: page(3) + 16 })),
    )
    g.check('ADD kept its register', 'ecx', 5)
    g.fault({ vector: 14, error: 2, address: page(3) }, () =>
      g.emit('MOV', 'edx', 1).emit('CMPXCHG', mem({ disp: page(3) }), 'edx'),
    )
    g.emit('MOV', 'rbx', 'rsp').emit('SUB', 'rbx', 'rbp').check('RSP is as before', 'rbx', 0)
  },
)

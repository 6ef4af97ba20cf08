/** SDM vol. 1, section 3.3.7.1: addresses that are not canonical raise #GP, or #SS where the stack segment is used. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'

const FIRST_NON_CANONICAL = 0x0000_8000_0000_0000n

export const guest = microGuest(
  'non-canonical',
  'non-canonical addresses fault by the segment they are used with',
  (g) => {
    g.emit('MOV', 'rbx', FIRST_NON_CANONICAL)
    g.fault({ vector: 13, error: 0, at: 'read' }, () =>
      g.label('read').emit('MOV', 'al', mem({ base: 'rbx' })),
    )
    g.fault({ vector: 13, error: 0, at: 'write' }, () =>
      g.label('write').emit('MOV', mem({ base: 'rbx' }), 'al'),
    )
    g.fault({ vector: 13, error: 0 }, () => g.emit('JMP', 'rbx'))
    g.fault({ vector: 13, error: 0, at: 'wrmsr' }, () => {
      g.emit('MOV', 'ecx', 0xc0000100)
        .emit('MOV', 'edx', 0x8000)
        .emit('XOR', 'eax', 'eax')
        .label('wrmsr')
        .emit('WRMSR')
    })
    g.emit('MOV', 'rbp', 'rbx')
    g.fault({ vector: 12, error: 0, at: 'by_rbp' }, () =>
      g.label('by_rbp').emit('MOV', 'al', mem({ base: 'rbp' })),
    )
    g.fault({ vector: 13, error: 0 }, () => g.emit('MOV', 'al', mem({ base: 'rbp', seg: 'fs' })))
    // The fault needs a stack of its own when RSP is the one that is wrong.
    for (const vector of [12, 13]) g.emit('MOV', mem({ disp: label('idt', 16 * vector + 4), size: 8 }), 1)
    g.emit('MOV', at('kept_rsp'), 'rsp')
    g.fault({ vector: 12, error: 0, at: 'push' }, () =>
      g.emit('MOV', 'rsp', 'rbx').label('push').emit('POP', 'rax'),
    )
    g.emit('MOV', 'rsp', at('kept_rsp')).jmp('end').align(8).label('kept_rsp').u64(0).label('end')
  },
)

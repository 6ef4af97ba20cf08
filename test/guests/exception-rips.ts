/** SDM vol. 3, table 6-1: faults point to the instruction, traps behind it, and only some push an error code. */
import { at, label } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'

export const guest = microGuest(
  'exception-rips',
  'each exception reports its vector, its RIP and its error code',
  (g) => {
    g.fault({ vector: 0, at: 'div' }, () => g.emit('XOR', 'ecx', 'ecx').label('div').emit('DIV', 'ecx'))
    g.fault({ vector: 0, at: 'overflow' }, () => {
      g.emit('MOV', 'edx', 5).emit('MOV', 'ecx', 5).label('overflow').emit('DIV', 'ecx')
    })
    g.check('DIV that faults keeps RDX', 'edx', 5)
    g.fault({ vector: 0, at: 'idiv' }, () => {
      g.emit('MOV', 'rax', -0x8000000000000000n)
        .emit('CQO')
        .emit('MOV', 'rcx', -1)
        .label('idiv')
        .emit('IDIV', 'rcx')
    })
    g.fault({ vector: 3, at: 'after_int3' }, () => g.emit('INT3').label('after_int3'))
    g.fault({ vector: 0x45, at: 'after_int' }, () => g.emit('INT', 0x45).label('after_int'))
    g.fault({ vector: 1, at: 'after_int1' }, () => g.emit('INT1').label('after_int1'))
    g.fault({ vector: 6, at: 'ud2' }, () => g.label('ud2').emit('UD2'))
    g.fault({ vector: 6, at: 'lock' }, () => g.label('lock').bytes(0xf0, 0x01, 0xc0))
    g.fault({ vector: 6, at: 'push_es' }, () => g.label('push_es').bytes(0x06))
    g.fault({ vector: 13, error: 0, at: 'sixteen' }, () =>
      g.label('sixteen').bytes(...new Array(15).fill(0x66), 0x90),
    )

    g.fault({ vector: 13, error: 0xf8 * 8 + 2 }, () => g.emit('LIDT', at('short_idt')).emit('INT', 0xf8))
    g.emit('LIDT', at('idt_pointer'))

    g.fault({ vector: 13, error: 0, at: 'rdmsr' }, () =>
      g.emit('MOV', 'ecx', 0x12345678).label('rdmsr').emit('RDMSR'),
    )
    g.fault({ vector: 13, error: 0 }, () => g.emit('MOV', 'rax', 1n << 40n).emit('MOV', 'cr4', 'rax'))
    g.fault({ vector: 13, error: 0 }, () =>
      g.emit('MOV', 'eax', 0x80000001).emit('BTS', 'eax', 29).emit('BTR', 'eax', 0).emit('MOV', 'cr0', 'rax'),
    )
    for (const name of ['user_hlt', 'user_cli', 'user_in', 'user_cr', 'user_msr', 'user_lgdt']) {
      g.fault({ vector: 13, error: 0, at: name, cpl: 3 }, () => g.enterUser(name))
    }
    g.fault({ vector: 13, error: 0x80 * 8 + 2, cpl: 3 }, () => g.enterUser('user_int'))

    g.jmp('end')
    g.label('user_hlt').emit('HLT').label('user_cli').emit('CLI').label('user_in').emit('IN', 'al', 0x80)
    g.label('user_cr')
      .emit('MOV', 'rax', 'cr0')
      .label('user_msr')
      .emit('RDMSR')
      .label('user_lgdt')
      .emit('LGDT', at('gdt_pointer'))
    g.label('user_int').emit('INT', 0x80)
    g.align(8).label('short_idt').u16(0xf7f).u64(label('idt'))
    g.label('end')
  },
)

/** SDM vol. 3, section 8.1.3: stores to code are seen by the same processor, also through another linear address. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { PLAYGROUND } from '../../src/testkit/micro-guests/layout.ts'

export const guest = microGuest('self-modifying-code', 'code that was changed runs as it reads now', (g) => {
  // The next instruction's immediate.
  g.emit('MOV', at('patched', { addend: 1, size: 32 }), 7)
  g.label('patched').emit('MOV', 'eax', 1).check('patched just ahead', 'eax', 7)

  // A loop that ran often enough to be translated, changed from outside and from within.
  g.emit('XOR', 'ebx', 'ebx').emit('MOV', 'ecx', 5000)
  g.label('hot').call('adder').emit('DEC', 'ecx').jcc('NZ', 'hot')
  g.check('before the change', 'ebx', 5000)
  g.emit('MOV', at('adder', { addend: 2, size: 8 }), 3).emit('MOV', 'ecx', 5000)
  g.label('hot2').call('adder').emit('DEC', 'ecx').jcc('NZ', 'hot2')
  g.check('after the change', 'ebx', 20000)
  g.emit('XOR', 'ebx', 'ebx').emit('MOV', 'ecx', 100)
  g.label('each')
    .emit('MOV', at('adder', { addend: 2 }), 'cl')
    .call('adder')
    .emit('DEC', 'ecx')
    .jcc('NZ', 'each')
  g.check('changed before each call', 'ebx', 5050)

  // MOV EBX, imm32; RET at the start of a playground page, written through its other address.
  g.emit('MOV', 'edi', label('playground_frames')).emit('MOV', mem({ base: 'rdi', size: 8 }), 0xbb)
  g.emit('MOV', mem({ base: 'rdi', disp: 1, size: 32 }), 0x1111).emit(
    'MOV',
    mem({ base: 'rdi', disp: 5, size: 8 }),
    0xc3,
  )
  g.emit('MOV', 'eax', PLAYGROUND).emit('CALL', 'rax').check('written before', 'ebx', 0x1111)
  g.emit('MOV', mem({ base: 'rdi', disp: 1, size: 32 }), 0x2222)
  g.emit('MOV', 'eax', PLAYGROUND).emit('CALL', 'rax').check('written through an alias', 'ebx', 0x2222)

  // The same linear address on another page.
  g.emit('MOV', 'rsi', 'rdi').emit('ADD', 'rdi', 4096).emit('MOV', 'ecx', 512).string('MOVS', 64, 'REP')
  g.emit('MOV', mem({ disp: label('playground_frames', 4097), size: 32 }), 0x3333)
  g.emit('MOV', 'eax', label('playground_frames', 4096 + 7)).emit(
    'MOV',
    mem({ disp: label('playground_pt') }),
    'rax',
  )
  g.emit('INVLPG', mem({ disp: PLAYGROUND }))
    .emit('MOV', 'eax', PLAYGROUND)
    .emit('CALL', 'rax')
    .check('remapped', 'ebx', 0x3333)

  // A store instruction that overwrites what follows it in its own page, byte by byte with REP STOSB.
  g.emit('MOV', 'edi', label('nops')).emit('MOV', 'ecx', 3).emit('MOV', 'al', 0x90).string('STOS', 8, 'REP')
  g.label('nops').emit('UD2').emit('CLC')
  g.jmp('end')
  g.label('adder').emit('ADD', 'ebx', 1).emit('RET')
  g.label('end')
})

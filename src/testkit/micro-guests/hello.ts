/** The guest of examples/hello.cfg: greets, echoes lines over the Xen console, powers off on "exit" or Ctrl-D. */
import { at, label, mem } from '../../plugins/cpu-software/isa/assemble.ts'
import { buildGuest, type GuestBuilder } from './guest.ts'

const LINE_BYTES = 2000

/** The ELF file. */
export function buildHello(): Uint8Array {
  return buildGuest(hello)
}

function hello(g: GuestBuilder): void {
  g.emit('CMP', at('console', { size: 64 }), 0)
    .jcc('NZ', 'greet')
    .skip('no Xen console')
  g.label('greet').print('Hello from a micro-guest on xt.\r\nType a line; "exit" ends this.\r\n')
  g.label('prompt').print('> ').emit('MOV', 'edi', label('line'))
  g.label('next').call('getc')
  g.emit('CMP', 'al', 4)
    .jcc('E', 'bye')
    .emit('CMP', 'al', 13)
    .jcc('E', 'end_of_line')
    .emit('CMP', 'al', 10)
    .jcc('E', 'end_of_line')
  g.emit('CMP', 'al', 0x7f)
    .jcc('E', 'rub_out')
    .emit('CMP', 'edi', label('line', LINE_BYTES))
    .jcc('AE', 'next')
  g.string('STOS', 8).call('putc').call('flush').jmp('next')
  g.label('rub_out')
    .emit('CMP', 'edi', label('line'))
    .jcc('E', 'next')
    .emit('DEC', 'rdi')
    .print('\b \b')
    .jmp('next')
  g.label('end_of_line').emit('MOV', mem({ base: 'rdi', size: 8 }), 0)
  g.emit('CMP', mem({ disp: label('line'), size: 32 }), 0x74697865).jcc('NE', 'echo')
  g.emit('CMP', mem({ disp: label('line', 4), size: 8 }), 0).jcc('E', 'bye')
  g.label('echo')
    .print('\r\nyou said: ')
    .emit('MOV', 'esi', label('line'))
    .call('puts')
    .print('\r\n')
    .jmp('prompt')
  g.label('bye').print('\r\nGoodbye.\r\n').jmp('power_off')
}

/** SDM vol. 3, section 6.14.5: a gate with an IST number switches the stack even without a change of privilege. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { FRAME } from '../../src/testkit/micro-guests/runtime.ts'

/** Bytes that the processor, the stub and the common handler push: SS RSP RFLAGS CS RIP, error, vector, 15 registers, return. */
const PUSHED = 8 * (5 + 2 + 15 + 1)

export const guest = microGuest(
  'interrupt-stack-table',
  'an IST gate uses its stack, others stay and align theirs',
  (g) => {
    g.handler(0x80, () => {
      g.emit('MOV', at('seen_rsp'), 'rsp')
        .emit('MOV', 'rax', mem({ base: 'rdi', disp: FRAME.rsp }))
        .emit('MOV', at('pushed_rsp'), 'rax')
    })
    g.emit('MOV', mem({ disp: label('idt', 16 * 0x80 + 4), size: 8 }), 1)
    g.emit('MOV', 'rbx', 'rsp').emit('INT', 0x80)
    g.check('stack of the IST gate', { variable: 'seen_rsp' }, label('ist_stack', -PUSHED))
    g.emit('SUB', 'rbx', at('pushed_rsp')).check('RSP pushed minus RSP before', 'rbx', 0)

    g.emit('MOV', mem({ disp: label('idt', 16 * 0x80 + 4), size: 8 }), 0)
    g.emit('MOV', 'rbx', 'rsp')
      .emit('SUB', 'rsp', 3)
      .emit('MOV', 'rbp', 'rsp')
      .emit('INT', 0x80)
      .emit('MOV', 'rsp', 'rbx')
    g.emit('SUB', 'rbp', at('pushed_rsp')).check('an odd RSP is pushed as it was', 'rbp', 0)
    g.emit('MOV', 'rax', at('seen_rsp'))
      .emit('ADD', 'rax', PUSHED)
      .emit('AND', 'eax', 15)
      .check('the frame is aligned to 16', 'eax', 0)

    // From ring 3 the stack is RSP0's, with IST it is again the gate's.
    g.emit('MOV', mem({ disp: label('idt', 16 * 0x80 + 5), size: 8 }), 0xee)
    g.fault({ vector: 13, cpl: 3 }, () => g.enterUser('user'))
    g.check('stack from ring 3', { variable: 'seen_rsp' }, label('exception_stack', -PUSHED))
    g.emit('MOV', mem({ disp: label('idt', 16 * 0x80 + 4), size: 8 }), 1)
    g.fault({ vector: 13, cpl: 3 }, () => g.enterUser('user'))
    g.check('IST from ring 3', { variable: 'seen_rsp' }, label('ist_stack', -PUSHED))
    g.jmp('end')
    g.label('user').emit('INT', 0x80).emit('HLT')
    g.align(8).label('seen_rsp').u64(0).label('pushed_rsp').u64(0)
    g.label('end')
  },
)

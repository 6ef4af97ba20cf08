/** SDM vol. 3, section 17.3.1: TF traps behind each instruction; breakpoints in DR0..3 fault before or trap behind. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'

const TF = 0x100
const DR6_BS = 0x4000

/** DR6 & `mask` must be `expected`; then it is cleared. */
function checkDr6(g: GuestBuilder, what: string, mask: number, expected: number): void {
  g.emit('MOV', 'rax', 'dr6').emit('AND', 'eax', mask).check(what, 'eax', expected)
  g.emit('XOR', 'eax', 'eax').emit('MOV', 'dr6', 'rax')
}

export const guest = microGuest('single-step', 'TF and the debug registers trap where they should', (g) => {
  const setTf = () =>
    g
      .emit('PUSHF')
      .emit('OR', mem({ base: 'rsp', size: 64 }), TF)
      .emit('POPF')
  g.fault({ vector: 1, at: 'after_step' }, () => {
    setTf()
    g.emit('NOP').label('after_step').emit('NOP')
  })
  checkDr6(g, 'DR6.BS after a step', DR6_BS, DR6_BS)
  g.fault({ vector: 1, at: 'step_target' }, () => {
    setTf()
    g.jmp('step_target').emit('UD2').label('step_target').emit('NOP')
  })
  checkDr6(g, 'DR6.BS after a stepped jump', DR6_BS, DR6_BS)

  // Breakpoint 0: execution; 1: four bytes written.
  g.emit('MOV', 'eax', label('here'))
    .emit('MOV', 'dr0', 'rax')
    .emit('MOV', 'eax', label('watched'))
    .emit('MOV', 'dr1', 'rax')
  g.emit('MOV', 'eax', 0x00d00405).emit('MOV', 'dr7', 'rax')
  g.fault({ vector: 1, at: 'here' }, () => g.emit('NOP').label('here').emit('NOP'))
  checkDr6(g, 'DR6.B0', 0xf, 1)
  g.emit('MOV', 'eax', at('watched'))
  g.fault({ vector: 1, at: 'written' }, () =>
    g
      .emit('MOV', at('watched', { size: 32 }), 5)
      .label('written')
      .emit('NOP'),
  )
  checkDr6(g, 'DR6.B1', 0xf, 2)
  g.emit('MOV', 'eax', 0x400)
    .emit('MOV', 'dr7', 'rax')
    .emit('MOV', at('watched', { size: 32 }), 6)
  g.jmp('end').align(8).label('watched').u64(0).label('end')
})

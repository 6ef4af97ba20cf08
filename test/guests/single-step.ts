/** SDM vol. 3, section 17.3.1.4: TF traps behind each instruction. Breakpoints in DR0..3 are not there (docs/quirks.md). */
import { mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'

const TF = 0x100
const DR6_BS = 0x4000

/** DR6 & `mask` must be `expected`; then it is cleared. */
function checkDr6(g: GuestBuilder, what: string, mask: number, expected: number): void {
  g.emit('MOV', 'rax', 'dr6').emit('AND', 'eax', mask).check(what, 'eax', expected)
  g.emit('XOR', 'eax', 'eax').emit('MOV', 'dr6', 'rax')
}

export const guest = microGuest('single-step', 'TF traps behind each instruction', (g) => {
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
})

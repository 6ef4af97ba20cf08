/** SDM vol. 2, SYSCALL and SYSRET: registers, selectors and flags on the way in and out, and what faults. */
import { at, label } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { SELECTOR } from '../../src/testkit/micro-guests/layout.ts'

const STAR = 0xc0000081
const LSTAR = 0xc0000082
const FMASK = 0xc0000084
const EFER = 0xc0000080

function wrmsr(
  g: GuestBuilder,
  index: number,
  high: Parameters<GuestBuilder['emit']>[1],
  low: typeof high,
): void {
  g.emit('MOV', 'ecx', index).emit('MOV', 'edx', high).emit('MOV', 'eax', low).emit('WRMSR')
}

export const guest = microGuest('syscall-sysret', 'SYSCALL and SYSRET load what the manual says', (g) => {
  wrmsr(g, STAR, (0x18 << 16) | SELECTOR.kernelCode, 0)
  wrmsr(g, LSTAR, 0, label('entry_syscall'))
  // TF, IF, DF and CF are cleared.
  wrmsr(g, FMASK, 0, 0x701)

  // In user mode: SYSCALL, SYSRET back, then HLT faults and ends it.
  g.fault({ vector: 13, at: 'user_hlt', cpl: 3 }, () => g.enterUser('user'))
  g.check('RCX in the kernel is the next instruction', { variable: 'in_rcx' }, label('after_syscall'))
  g.check('R11 in the kernel is RFLAGS', { variable: 'in_r11' }, 0x403)
  g.check('RFLAGS in the kernel are masked', { variable: 'in_flags' }, 0x2)
  g.check('RSP stays the user stack', { variable: 'in_rsp' }, label('user_stack'))
  g.check('CS in the kernel', { variable: 'in_cs' }, SELECTOR.kernelCode)
  g.check('SS in the kernel', { variable: 'in_ss' }, SELECTOR.kernelData)
  g.check('CS after SYSRET', { variable: 'out_cs' }, SELECTOR.userCode)
  g.check('SS after SYSRET', { variable: 'out_ss' }, SELECTOR.userData)
  // But RF, which a fault sets in what it pushes.
  g.emit('AND', at('fault_rflags', { size: 64 }), 0xffff).check(
    'RFLAGS after SYSRET come from R11',
    { variable: 'fault_rflags' },
    0x403,
  )

  g.fault({ vector: 6, at: 'disabled' }, () => {
    g.emit('MOV', 'ecx', EFER).emit('RDMSR').emit('AND', 'eax', -2).emit('WRMSR')
    g.label('disabled').emit('SYSCALL')
  })
  g.emit('MOV', 'ecx', EFER).emit('RDMSR').emit('OR', 'eax', 1).emit('WRMSR')
  g.fault({ vector: 13, error: 0, cpl: 3 }, () => g.enterUser('user_sysret'))
  g.fault({ vector: 13, error: 0 }, () =>
    g
      .emit('MOV', 'rdx', 0)
      .emit('MOV', 'ecx', LSTAR)
      .emit('MOV', 'edx', 0x8000)
      .emit('XOR', 'eax', 'eax')
      .emit('WRMSR'),
  )
  g.jmp('end')

  g.label('user').emit('STC').emit('STD').label('do_syscall').emit('SYSCALL')
  g.label('after_syscall')
    .emit('MOV', 'eax', 'cs')
    .emit('MOV', at('out_cs'), 'rax')
    .emit('MOV', 'eax', 'ss')
    .emit('MOV', at('out_ss'), 'rax')
  g.label('user_hlt').emit('HLT')
  g.label('user_sysret').emitWith({ size: 64 }, 'SYSRET')
  g.label('entry_syscall')
    .emit('MOV', at('in_rcx'), 'rcx')
    .emit('MOV', at('in_r11'), 'r11')
    .emit('MOV', at('in_rsp'), 'rsp')
  g.emit('MOV', 'rsp', label('stack', -8192))
    .emit('PUSHF')
    .emit('POP', 'rax')
    .emit('MOV', at('in_flags'), 'rax')
    .emit('MOV', 'rsp', at('in_rsp'))
  g.emit('MOV', 'eax', 'cs')
    .emit('MOV', at('in_cs'), 'rax')
    .emit('MOV', 'eax', 'ss')
    .emit('MOV', at('in_ss'), 'rax')
  g.emitWith({ size: 64 }, 'SYSRET')
  g.align(8)
  for (const name of ['in_rcx', 'in_r11', 'in_rsp', 'in_flags', 'in_cs', 'in_ss', 'out_cs', 'out_ss'])
    g.label(name).u64(0)
  g.label('end')
})

/** vcpu.h, hvm/hvm_vcpu.h: a vCPU without INIT and SIPI: VCPUOP_initialise, up, is_up, down. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { waitFor } from '../../src/testkit/micro-guests/lapic.ts'
import { CALL } from '../../src/testkit/micro-guests/runtime.ts'
import { argument, skipWithoutXen } from '../../src/testkit/micro-guests/xen.ts'

const VCPUOP = { initialise: 0, up: 1, down: 2, is_up: 3 }
const [EEXIST, EINVAL] = [-17, -22]

export const guest = microGuest(
  'vcpu-up',
  'a vCPU starts with the context it was given',
  (g) => {
    skipWithoutXen(g)
    g.hypercall(CALL.vcpu_op, VCPUOP.is_up, 1, 0).check('vCPU 1 before', 'rax', 0)
    g.hypercall(CALL.vcpu_op, VCPUOP.up, 1, 0).check('up before initialise', 'rax', EINVAL)
    argument(g, 128, [[0, 32, 7]])
    g.hypercall(CALL.vcpu_op, VCPUOP.initialise, 1, label('line')).check(
      'a mode that is not there',
      'rax',
      EINVAL,
    )
    argument(g, 128, [
      [0, 32, 1],
      [8, 64, 0x1234_5678],
      [8 + 8 * 4, 64, label('user_stack')],
      [8 + 8 * 8, 64, label('second')],
      [8 + 8 * 9, 64, 2],
    ])
    for (const [i, register] of (['cr0', 'cr3', 'cr4'] as const).entries()) {
      g.emit('MOV', 'rax', register).emit('MOV', mem({ disp: label('line', 8 + 8 * (10 + i)) }), 'rax')
    }
    g.emit('MOV', 'ecx', 0xc0000080)
      .emit('RDMSR')
      .emit('MOV', mem({ disp: label('line', 8 + 8 * 13) }), 'rax')
    g.hypercall(CALL.vcpu_op, VCPUOP.initialise, 1, label('line')).check('initialise', 'rax', 0)
    g.hypercall(CALL.vcpu_op, VCPUOP.initialise, 1, label('line')).check('initialise twice', 'rax', EEXIST)
    g.hypercall(CALL.vcpu_op, VCPUOP.up, 1, 0).check('up', 'rax', 0)
    waitFor(g, 'here', 1)
    g.emit('MOV', 'rax', at('given')).check('RAX of the context', 'rax', 0x1234_5678)
    g.emit('MOV', 'rbx', at('stack_given')).check('RSP of the context', 'rbx', label('user_stack'))
    g.hypercall(CALL.vcpu_op, VCPUOP.is_up, 1, 0).check('vCPU 1 after', 'rax', 1)
    g.jmp('end')
    g.label('second')
      .emit('MOV', at('given'), 'rax')
      .emit('MOV', at('stack_given'), 'rsp')
      .emit('MOV', at('here', { size: 32 }), 1)
    g.label('stay').emit('PAUSE').jmp('stay')
    g.align(8).label('here').u64(0).label('given').u64(0).label('stack_given').u64(0).label('end')
  },
  { vcpus: 2, needsXen: true },
)

/** Xen's answers to calls that do not exist, arguments that are not there, and callers without the right. */
import { label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { PLAYGROUND, SELECTOR } from '../../src/testkit/micro-guests/layout.ts'
import { CALL } from '../../src/testkit/micro-guests/runtime.ts'
import { argument, expectOp, skipWithoutXen } from '../../src/testkit/micro-guests/xen.ts'

const [EPERM, ENOENT, EFAULT, EINVAL, ENOSYS] = [-1, -2, -14, -22, -38]
const VERSION = { version: 0, extraversion: 1, features: 6, pagesize: 7 }
const HVMOP = { set_param: 0, get_param: 1, set_evtchn_upcall_vector: 23 }

export const guest = microGuest(
  'hypercall-errors',
  'wrong hypercalls get the errors of Xen',
  (g) => {
    skipWithoutXen(g)
    g.hypercall(63).check('a number beyond the table', 'rax', ENOSYS)
    g.hypercall(0x7fffffff).check('a number far beyond', 'rax', ENOSYS)
    g.hypercall(CALL.xen_version, VERSION.pagesize, 0).check('page size', 'rax', 4096)
    g.hypercall(CALL.xen_version, 99, 0).check('unknown sub-operation', 'rax', ENOSYS)
    g.hypercall(CALL.sched_op, 99, 0).check('unknown sched_op', 'rax', ENOSYS)
    g.hypercall(CALL.event_channel_op, 99, 0).check('unknown event_channel_op', 'rax', ENOSYS)

    g.playgroundFlags(1, 0)
    g.hypercall(CALL.xen_version, VERSION.extraversion, PLAYGROUND + 4096).check(
      'answer to a page that is not mapped',
      'rax',
      EFAULT,
    )
    g.emit('MOV', 'eax', mem({ disp: PLAYGROUND })).hypercall(
      CALL.xen_version,
      VERSION.extraversion,
      PLAYGROUND + 4090,
    )
    g.check('answer across the end of mapped pages', 'rax', EFAULT)
    g.hypercall(CALL.hvm_op, HVMOP.get_param, 0xffff_8888_0000_0000n).check(
      'argument that is not mapped',
      'rax',
      EFAULT,
    )
    g.hypercall(CALL.hvm_op, HVMOP.get_param, 0x8000_0000_0000_0000n).check(
      'argument at a non-canonical address',
      'rax',
      EFAULT,
    )
    argument(g, 8, [[0, 32, 1]])
    expectOp(g, 'features of submap 1', CALL.xen_version, VERSION.features, EINVAL)

    argument(g, 16, [
      [0, 16, 0x7ff0],
      [4, 32, 39],
    ])
    expectOp(g, 'param beyond the last', CALL.hvm_op, HVMOP.get_param, EINVAL)
    argument(g, 16, [
      [0, 16, 0x7ff0],
      [4, 32, 17],
      [8, 64, 1],
    ])
    expectOp(g, 'a param that only the toolstack writes', CALL.hvm_op, HVMOP.set_param, EPERM)
    argument(g, 16, [
      [0, 16, 0x7ff0],
      [4, 32, 9],
    ])
    expectOp(g, 'a param that the guest may not read', CALL.hvm_op, HVMOP.get_param, EPERM)
    argument(g, 16, [
      [0, 16, 5],
      [4, 32, 17],
    ])
    g.hypercall(CALL.hvm_op, HVMOP.get_param, label('line'))
      .emit('SAR', 'rax', 63)
      .check("another domain's param: an error", 'rax', -1)
    argument(g, 8, [
      [0, 32, 0],
      [4, 8, 0x0f],
    ])
    expectOp(g, 'an upcall vector that is an exception', CALL.hvm_op, HVMOP.set_evtchn_upcall_vector, EINVAL)
    argument(g, 8, [
      [0, 32, 77],
      [4, 8, 0x90],
    ])
    expectOp(
      g,
      'an upcall vector for a vCPU that is not there',
      CALL.hvm_op,
      HVMOP.set_evtchn_upcall_vector,
      ENOENT,
    )
    g.hypercall(CALL.vcpu_op, 3, 77, 0).check('a vCPU that is not there', 'rax', ENOENT)
    g.hypercall(CALL.vcpu_op, 3, 0, 0).check('vCPU 0 is up', 'rax', 1)

    // From ring 3, and from 32-bit code, where arguments are in other registers.
    g.fault({ vector: 13, cpl: 3 }, () => g.enterUser('user'))
    g.check('a hypercall from ring 3', 'rax', EPERM)
    g.emit('PUSH', SELECTOR.kernelCode32).emit('PUSH', label('narrow')).emitWith({ size: 64 }, 'RETF')
    g.label('wide').check('page size asked from 32-bit code', 'eax', 4096)
    g.jmp('end')
    g.label('user')
      .emit('MOV', 'eax', CALL.xen_version)
      .emit('MOV', 'edi', VERSION.pagesize)
      .emit('XOR', 'esi', 'esi')
      .emit('CALL', label('hypercall'))
      .emit('HLT')
    g.mode(32)
      .label('narrow')
      .emit('MOV', 'eax', CALL.xen_version)
      .emit('MOV', 'ebx', VERSION.pagesize)
      .emit('XOR', 'ecx', 'ecx')
      .emit('VMCALL')
    g.emit('JMPF', { selector: SELECTOR.kernelCode, offset: label('wide') })
    g.mode(64).label('end')
  },
  { needsXen: true },
)

/** Xen's CPUID leaves, its version calls, and the clock page that goes with them (arch-x86/cpuid.h, version.h, xen.h). */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { CALL } from '../../src/testkit/micro-guests/runtime.ts'
import {
  argument,
  expectOp,
  result,
  SHARED_INFO,
  skipWithoutXen,
} from '../../src/testkit/micro-guests/xen.ts'

const BASE = 0x40000000
const VERSION = { version: 0, features: 6 }
const FEATURES = (1 << 0) | (1 << 2) | (1 << 8) | (1 << 9)
const TIME = { version: 0, timestamp: 8, systemTime: 16, mul: 24 }

export const guest = microGuest(
  'xen-leaves',
  'CPUID, version calls and the clock page tell the same Xen',
  (g) => {
    skipWithoutXen(g)
    g.emit('MOV', 'eax', 1).emit('CPUID').emit('SHR', 'ecx', 31).check('hypervisor bit', 'ecx', 1)
    g.emit('MOV', 'eax', BASE).emit('CPUID').emit('MOV', 'r12d', 'eax')
    g.check('signature 1', 'ebx', 0x566e6558)
      .check('signature 2', 'ecx', 0x65584d4d)
      .check('signature 3', 'edx', 0x4d4d566e)
    g.emit('SUB', 'r12d', BASE + 2)
      .emit('SHR', 'r12d', 31)
      .check('at least three leaves', 'r12d', 0)
    g.emit('MOV', 'eax', BASE + 1)
      .emit('CPUID')
      .emit('MOV', 'r14d', 'eax')
    g.hypercall(CALL.xen_version, VERSION.version, 0)
      .emit('SUB', 'rax', 'r14')
      .check('version by CPUID and by call', 'rax', 0)
    g.emit('MOV', 'eax', BASE + 2)
      .emit('CPUID')
      .check('hypercall pages', 'eax', 1)
      .emit('MOV', 'r13d', 'ebx')
    argument(g, 8)
    expectOp(g, 'get_features', CALL.xen_version, VERSION.features, 0)
    result(g, 4).emit('AND', 'eax', FEATURES).check('features of a PVH guest', 'eax', FEATURES)

    // The hypercall page: slot 17 is xen_version.
    g.emit('MOV', 'ecx', 'r13d')
      .emit('MOV', 'eax', label('playground_frames'))
      .emit('XOR', 'edx', 'edx')
      .emit('WRMSR')
    g.emit('MOV', 'edi', VERSION.version)
      .emit('XOR', 'esi', 'esi')
      .emit('MOV', 'eax', label('playground_frames', 32 * CALL.xen_version))
      .emit('CALL', 'rax')
    g.emit('SUB', 'rax', 'r14').check('version through the hypercall page', 'rax', 0)

    // The clock page: an even version, a multiplier, and time that goes on.
    const time = (field: number) => mem({ disp: label('shared_page', SHARED_INFO.time + field) })
    g.emit('MOV', 'eax', time(TIME.version)).emit('AND', 'eax', 1).check('clock version is even', 'eax', 0)
    g.emit('MOV', 'eax', time(TIME.mul))
      .emit('TEST', 'eax', 'eax')
      .emit('SETE', 'al')
      .emit('MOVZX', 'eax', 'al')
      .check('multiplier is zero', 'eax', 0)
    g.emit('RDTSC').emit('SHL', 'rdx', 32).emit('OR', 'rax', 'rdx').emit('SUB', 'rax', time(TIME.timestamp))
    g.emit('SAR', 'rax', 63).check('the TSC is before the time stamp', 'rax', 0)
    g.emit('RDTSC')
      .emit('MOV', 'ebx', 'eax')
      .emit('MOV', 'ecx', 1000)
      .label('a_while')
      .emit('DEC', 'ecx')
      .jcc('NZ', 'a_while')
      .emit('RDTSC')
    g.emit('CMP', 'eax', 'ebx')
      .emit('SETNE', 'al')
      .emit('MOVZX', 'eax', 'al')
      .check('the TSC goes on', 'eax', 1)
    g.emit('MOV', 'eax', at('start_info'))
      .emit('MOV', 'eax', mem({ base: 'rax' }))
      .check('start_info magic', 'eax', 0x336ec578)
  },
  { needsXen: true },
)

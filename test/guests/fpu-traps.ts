/** SDM vol. 3, sections 2.5 and 13.1: CR0.TS and CR0.EM trap x87 and SSE; SSE memory operands are aligned; CR4.OSFXSR. */
import { at } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'

const EM = 2
const TS = 3
const OSFXSR = 9

const setBit = (g: GuestBuilder, register: 'cr0' | 'cr4', bit: number) =>
  g.emit('MOV', 'rax', register).emit('BTS', 'rax', bit).emit('MOV', register, 'rax')
const clearBit = (g: GuestBuilder, register: 'cr0' | 'cr4', bit: number) =>
  g.emit('MOV', 'rax', register).emit('BTR', 'rax', bit).emit('MOV', register, 'rax')

export const guest = microGuest('fpu-traps', 'x87 and SSE trap as CR0 and CR4 say', (g) => {
  setBit(g, 'cr0', TS)
  g.fault({ vector: 7, at: 'x87' }, () => g.label('x87').emit('FLD1'))
  g.fault({ vector: 7, at: 'mmx' }, () => g.label('mmx').emit('PXOR', 'mm0', 'mm0'))
  g.fault({ vector: 7, at: 'sse' }, () => g.label('sse').emit('XORPS', 'xmm0', 'xmm0'))
  g.fault({ vector: 7, at: 'fxsave' }, () => g.label('fxsave').emit('FXSAVE', at('area')))
  g.emit('CLTS').emit('FNINIT').emit('XORPS', 'xmm0', 'xmm0').emit('FXSAVE', at('area'))
  g.emit('MOVZX', 'eax', at('area', { size: 16 })).check('control word in the FXSAVE area', 'eax', 0x37f)
  g.emit('MOV', 'eax', at('area', { addend: 24 })).check('MXCSR in the FXSAVE area', 'eax', 0x1f80)

  setBit(g, 'cr0', EM)
  g.fault({ vector: 7 }, () => g.emit('FLD1'))
  g.fault({ vector: 6 }, () => g.emit('XORPS', 'xmm0', 'xmm0'))
  g.fault({ vector: 6 }, () => g.emit('PXOR', 'mm0', 'mm0'))
  clearBit(g, 'cr0', EM)
  clearBit(g, 'cr4', OSFXSR)
  g.fault({ vector: 6 }, () => g.emit('XORPS', 'xmm0', 'xmm0'))
  setBit(g, 'cr4', OSFXSR)

  g.fault({ vector: 13, error: 0, at: 'unaligned' }, () =>
    g.label('unaligned').emit('MOVAPS', 'xmm0', at('area', { addend: 8 })),
  )
  g.emit('MOVUPS', 'xmm0', at('area', { addend: 8 }))
  g.fault({ vector: 13, error: 0 }, () => g.emit('FXSAVE', at('area', { addend: 8 })))
  g.fault({ vector: 13, error: 0 }, () => g.emit('LDMXCSR', at('bad_mxcsr')))

  // An unmasked x87 exception is reported by the next x87 instruction.
  setBit(g, 'cr0', 5)
  g.emit('FNINIT').emit('FLDCW', at('unmasked')).emit('FLDZ').emit('FLD1')
  g.emit('FDIVRP', 'st1', 'st0')
  g.fault({ vector: 16, at: 'waits' }, () => g.label('waits').emit('FWAIT'))
  g.emit('FNCLEX').emit('FNINIT')
  // And an unmasked SSE exception at once.
  g.emit('LDMXCSR', at('unmasked_mxcsr'))
    .emit('XORPS', 'xmm1', 'xmm1')
    .emit('MOVSS', 'xmm0', at('one', { size: 32 }))
  setBit(g, 'cr4', 10)
  g.fault({ vector: 19, at: 'divss' }, () => g.label('divss').emit('DIVSS', 'xmm0', 'xmm1'))
  g.jmp('end').align(16).label('area').zero(528)
  g.label('bad_mxcsr')
    .u32(0x80000000)
    .label('unmasked_mxcsr')
    .u32(0x1d80)
    .label('one')
    .u32(0x3f800000)
    .label('unmasked')
    .u16(0x37b)
    .label('end')
})

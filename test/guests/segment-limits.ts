/** SDM vol. 3, section 5.3: in compatibility and 32-bit code segment limits and types are checked, in 64-bit code not. */
import { label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type ExpectedFault, type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { SELECTOR } from '../../src/testkit/micro-guests/layout.ts'

/** Byte-granular data at 0 with limit FFF; the same expand-down; read-only. */
const UP = 0x0040_9300_0000_0fffn
const DOWN = 0x0040_9700_0000_0fffn
const READ_ONLY = 0x0040_9100_0000_0fffn
const NOT_PRESENT = 0x0040_1300_0000_0fffn

/** Runs `body` in 32-bit code; it must fault. */
function faultIn32(g: GuestBuilder, expected: ExpectedFault, body: () => void): void {
  const code = g.unique('code32')
  const after = g.unique('after')
  g.fault(expected, () =>
    g.emit('PUSH', SELECTOR.kernelCode32).emit('PUSH', label(code)).emitWith({ size: 64 }, 'RETF'),
  )
  g.jmp(after).label(code).mode(32)
  body()
  g.emit('UD2').mode(64).label(after)
}

function setScratch(g: GuestBuilder, descriptor: bigint): void {
  g.emit('MOV', 'rax', descriptor).emit('MOV', mem({ disp: label('gdt', SELECTOR.scratch0) }), 'rax')
}

const load = (g: GuestBuilder, segment: 'es' | 'ss') =>
  g.emit('MOV', 'eax', SELECTOR.scratch0).emit('MOV', segment, 'ax')

export const guest = microGuest(
  'segment-limits',
  'limits, types and presence of segments are checked',
  (g) => {
    setScratch(g, UP)
    faultIn32(g, { vector: 13, error: 0, at: 'beyond' }, () => {
      load(g, 'es').emit('MOV', 'eax', mem({ disp: 0xffc, seg: 'es' }))
      g.label('beyond').emit('MOV', 'al', mem({ disp: 0x1000, seg: 'es' }))
    })
    faultIn32(g, { vector: 13, error: 0, at: 'straddling' }, () => {
      load(g, 'es')
        .label('straddling')
        .emit('MOV', 'eax', mem({ disp: 0xffd, seg: 'es' }))
    })
    faultIn32(g, { vector: 12, error: 0, at: 'on_stack' }, () => {
      load(g, 'ss').emit('MOV', 'esp', 0x2000).label('on_stack').emit('PUSH', 'eax')
    })
    faultIn32(g, { vector: 12, error: 0, at: 'by_ebp' }, () => {
      load(g, 'ss')
        .emit('MOV', 'ebp', 0x1000)
        .label('by_ebp')
        .emit('MOV', 'eax', mem({ base: 'ebp' }))
    })
    setScratch(g, DOWN)
    faultIn32(g, { vector: 13, error: 0, at: 'below' }, () => {
      load(g, 'es')
        .emit('MOV', 'eax', mem({ disp: 0x1000, seg: 'es' }))
        .label('below')
        .emit('MOV', 'al', mem({ disp: 0xfff, seg: 'es' }))
    })
    setScratch(g, READ_ONLY)
    faultIn32(g, { vector: 13, error: 0, at: 'read_only' }, () => {
      load(g, 'es')
        .emit('MOV', 'eax', mem({ disp: 16, seg: 'es' }))
        .label('read_only')
        .emit('MOV', mem({ disp: 16, seg: 'es' }), 'eax')
    })
    faultIn32(g, { vector: 13, error: SELECTOR.scratch0, at: 'stack_read_only' }, () => {
      g.emit('MOV', 'eax', SELECTOR.scratch0).label('stack_read_only').emit('MOV', 'ss', 'ax')
    })
    setScratch(g, NOT_PRESENT)
    faultIn32(g, { vector: 11, error: SELECTOR.scratch0 }, () => load(g, 'es'))
    faultIn32(g, { vector: 12, error: SELECTOR.scratch0 }, () => load(g, 'ss'))
    faultIn32(g, { vector: 13, error: 0 }, () =>
      g
        .emit('XOR', 'eax', 'eax')
        .emit('MOV', 'es', 'ax')
        .emit('MOV', 'al', mem({ disp: 0, seg: 'es' })),
    )
    faultIn32(g, { vector: 13, error: 0x78 }, () => g.emit('MOV', 'eax', 0x78).emit('MOV', 'ss', 'ax'))
    faultIn32(g, { vector: 13, error: 0x80 }, () => g.emit('MOV', 'eax', 0x80).emit('MOV', 'es', 'ax'))
    faultIn32(g, { vector: 13, error: 0x84 }, () => g.emit('MOV', 'eax', 0x87).emit('MOV', 'es', 'ax'))

    // 64-bit code: a null or limited segment hinders nobody.
    setScratch(g, UP)
    load(g, 'es').emit('MOV', 'edi', label('line')).emit('MOV', 'eax', 0x5a).string('STOS', 64)
    g.emit('XOR', 'eax', 'eax')
      .emit('MOV', 'es', 'ax')
      .emit('MOV', 'rbx', mem({ disp: label('line'), seg: 'es' }))
    g.check('read through a null segment in 64-bit code', 'rbx', 0x5a)
    g.emit('MOV', 'eax', SELECTOR.kernelData).emit('MOV', 'es', 'ax')
  },
)

/** SDM vol. 3, section 3.4.4: FS and GS bases by MSR, SWAPGS, and what loading a selector does to them. */
import { at, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { SELECTOR } from '../../src/testkit/micro-guests/layout.ts'

const FS_BASE = 0xc0000100
const GS_BASE = 0xc0000101
const KERNEL_GS_BASE = 0xc0000102

/** The MSR ← address of a variable. */
const setBase = (g: GuestBuilder, msr: number, variable: string) =>
  g.emit('LEA', 'rax', at(variable)).emit('XOR', 'edx', 'edx').emit('MOV', 'ecx', msr).emit('WRMSR')
const read = (g: GuestBuilder, segment: 'fs' | 'gs') => g.emit('MOV', 'rbx', mem({ disp: 0, seg: segment }))

export const guest = microGuest('segment-bases', 'FS and GS bases, SWAPGS and selector loads agree', (g) => {
  // Null selectors: a return to ring 3 would take others that are not for it.
  g.emit('XOR', 'eax', 'eax').emit('MOV', 'fs', 'ax').emit('MOV', 'gs', 'ax')
  setBase(g, FS_BASE, 'one')
  setBase(g, GS_BASE, 'two')
  setBase(g, KERNEL_GS_BASE, 'three')
  read(g, 'fs').check('FS base', 'rbx', 0x111)
  read(g, 'gs').check('GS base', 'rbx', 0x222)
  g.emit('SWAPGS')
  read(g, 'gs').check('GS base after SWAPGS', 'rbx', 0x333)
  g.emit('MOV', 'ecx', KERNEL_GS_BASE)
    .emit('RDMSR')
    .emit('LEA', 'rbx', at('two'))
    .check('KERNEL_GS_BASE after SWAPGS', 'eax', { label: 'two', addend: 0 })
  g.emit('SWAPGS')
  // LEA takes no base, and 32-bit addresses wrap before the base is added.
  g.emit('LEA', 'rbx', mem({ disp: 0, seg: 'fs' })).check('LEA with FS', 'rbx', 0)
  g.emit('MOV', 'eax', -8)
    .emit('MOV', 'rbx', mem({ base: 'eax', disp: 8, seg: 'gs' }))
    .check('32-bit address with GS', 'rbx', 0x222)
  g.emit('MOV', 'rax', -8)
    .emit('MOV', 'rbx', mem({ base: 'rax', disp: 16, seg: 'gs' }))
    .check('64-bit address with GS', 'rbx', 0x444)

  g.emit('MOV', 'eax', SELECTOR.kernelData)
    .emit('MOV', 'fs', 'ax')
    .emit('MOV', 'ecx', FS_BASE)
    .emit('RDMSR')
    .check('FS base after a load', 'eax', 0)
  g.emit('MOV', 'rbx', mem({ disp: { label: 'two', addend: 0 }, seg: 'fs' })).check(
    'FS with the base of its descriptor',
    'rbx',
    0x222,
  )
  g.fault({ vector: 13, error: 0, at: 'user_swapgs', cpl: 3 }, () => g.enterUser('user_swapgs'))
  read(g, 'gs').check('GS base after ring 3', 'rbx', 0x222)
  g.jmp('end').label('user_swapgs').bytes(0x0f, 0x01, 0xf8)
  g.align(8).label('one').u64(0x111).label('two').u64(0x222, 0x444).label('three').u64(0x333).label('end')
})

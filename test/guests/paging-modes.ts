/** SDM vol. 3, sections 4.3 and 4.4: 32-bit paging with 4 KiB and 4 MiB pages, then PAE paging, then long mode again. */
import { label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { PLAYGROUND, SELECTOR } from '../../src/testkit/micro-guests/layout.ts'
import { emitDataSegments, emitLongMode } from '../../src/testkit/micro-guests/start.ts'

const PG = 31
const EFER = 0xc0000080
const CR4_PSE = 0x10
const CR4_PAE = 0x20
const EFER_LME = 0x100
const ACCESSED_DIRTY = 0x60

/** 32-bit code without paging: page directory of 4 MiB pages, but for the playground's first page. */
function build32BitTables(g: GuestBuilder): void {
  g.emit('MOV', 'edi', label('playground_frames')).emit('MOV', 'eax', 0x87).emit('MOV', 'ecx', 1024)
  g.label('directory')
    .string('STOS', 32)
    .emit('ADD', 'eax', 0x400000)
    .emit('DEC', 'ecx')
    .jcc('NZ', 'directory')
  g.emit(
    'MOV',
    mem({ disp: label('playground_frames', (PLAYGROUND >>> 22) * 4), size: 32 }),
    label('playground_frames', 4096 + 7),
  )
  g.emit('MOV', 'edi', label('playground_frames', 4096))
    .emit('XOR', 'eax', 'eax')
    .emit('MOV', 'ecx', 1024)
    .string('STOS', 32, 'REP')
  g.emit(
    'MOV',
    mem({ disp: label('playground_frames', 4096), size: 32 }),
    label('playground_frames', 8192 + 7),
  )
}

const setPaging = (g: GuestBuilder, on: boolean) =>
  g
    .emit('MOV', 'eax', 'cr0')
    .emit(on ? 'BTS' : 'BTR', 'eax', PG)
    .emit('MOV', 'cr0', 'eax')

function setEfer(g: GuestBuilder, lme: boolean): void {
  g.emit('MOV', 'ecx', EFER).emit('RDMSR')
  if (lme) g.emit('OR', 'eax', EFER_LME)
  else g.emit('AND', 'eax', ~EFER_LME)
  g.emit('WRMSR')
}

export const guest = microGuest('paging-modes', '32-bit and PAE paging translate as the manual says', (g) => {
  g.emit('PUSH', SELECTOR.kernelCode32).emit('PUSH', label('narrow')).emitWith({ size: 64 }, 'RETF')
  g.mode(32).label('narrow')
  setPaging(g, false)
  setEfer(g, false)
  build32BitTables(g)
  g.emit('MOV', 'eax', CR4_PSE)
    .emit('MOV', 'cr4', 'eax')
    .emit('MOV', 'eax', label('playground_frames'))
    .emit('MOV', 'cr3', 'eax')
  setPaging(g, true)
  g.emit('MOV', mem({ disp: PLAYGROUND + 12, size: 32 }), 0x12345678)
  g.emit('MOV', 'ebp', mem({ disp: label('playground_frames', 8192 + 12) }))
  g.emit('MOV', 'esi', mem({ disp: label('playground_frames', 4096) })).emit('AND', 'esi', ACCESSED_DIRTY)
  g.emit('MOV', 'edx', mem({ disp: label('playground_frames') })).emit('AND', 'edx', ACCESSED_DIRTY)
  g.emit('MOV', mem({ disp: label('line') }), 'ebp')
    .emit('MOV', mem({ disp: label('line', 8) }), 'esi')
    .emit('MOV', mem({ disp: label('line', 16) }), 'edx')

  // PAE: four directories of 2 MiB pages, those of the start; the playground's page moves.
  setPaging(g, false)
  for (let i = 0; i < 4; i++) {
    g.emit('MOV', mem({ disp: label('shared_page', 8 * i), size: 32 }), label('pds', 4096 * i + 1)).emit(
      'MOV',
      mem({ disp: label('shared_page', 8 * i + 4), size: 32 }),
      0,
    )
  }
  g.emit('MOV', mem({ disp: label('playground_pt'), size: 32 }), label('playground_frames', 3 * 4096 + 7))
  g.emit('MOV', 'eax', CR4_PAE)
    .emit('MOV', 'cr4', 'eax')
    .emit('MOV', 'eax', label('shared_page'))
    .emit('MOV', 'cr3', 'eax')
  setPaging(g, true)
  g.emit('MOV', mem({ disp: PLAYGROUND + 20, size: 32 }), 0x55aa55aa)
  g.emit('MOV', 'eax', mem({ disp: label('playground_frames', 3 * 4096 + 20) })).emit(
    'MOV',
    mem({ disp: label('line', 24) }),
    'eax',
  )
  setPaging(g, false)
  emitLongMode(g, 'wide')
  g.mode(64).label('wide')
  emitDataSegments(g)
  g.emit('MOV', 'ebx', mem({ disp: label('line') })).check('written through 32-bit paging', 'ebx', 0x12345678)
  g.emit('MOV', 'ebx', mem({ disp: label('line', 8) })).check(
    'accessed and dirty of the 4 KiB page',
    'ebx',
    ACCESSED_DIRTY,
  )
  g.emit('MOV', 'ebx', mem({ disp: label('line', 24) })).check(
    'written through PAE paging',
    'ebx',
    0x55aa55aa,
  )
  g.emit('MOV', 'ebx', mem({ disp: label('line', 16) })).check(
    'accessed, not dirty: the 4 MiB page of the code',
    'ebx',
    0x20,
  )
})

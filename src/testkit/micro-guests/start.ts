/**
 * From the PVH entry (32-bit, paging off, EBX = start_info) to 64-bit code with page tables, IDT and a stack, and
 * then to the routine `main`. Layout: layout.ts.
 */
import { type Assembler, at, label, mem } from '../../plugins/cpu-software/isa/assemble.ts'
import { PLAYGROUND, PLAYGROUND_PAGES, SELECTOR } from './layout.ts'

/** CR4: PAE, OSFXSR, OSXMMEXCPT. CR0: PE MP ET NE WP PG. EFER: SCE, LME, NXE. */
const CR4 = 0x620
const CR0 = 0x80010033
const EFER = 0xc0000080
const EFER_BITS = 0x901

export function emitStart(a: Assembler): void {
  a.mode(32).label('entry').emit('CLI').emit('CLD')
  a.emit('MOV', mem({ disp: label('start_info') }), 'ebx').emit('MOV', 'esp', label('stack'))
  emitPageTables(a)
  a.emit('LGDT', mem({ disp: label('gdt_pointer') }))
  emitLongMode(a, 'start64')
  a.mode(64).label('start64')
  emitDataSegments(a)
  a.emit('MOV', 'rsp', label('stack'))
  a.emit('MOV', 'eax', SELECTOR.tss).emit('LTR', 'ax').emit('XOR', 'eax', 'eax').emit('LLDT', 'ax')
  emitIdt(a)
  a.emit('LIDT', at('idt_pointer')).emit('CALL', label('find_console')).emit('CALL', label('main'))
  a.jmp('verdict')
}

/** 32-bit code: paging and long mode on, then a jump to `to`. The page tables must be there, ESP is not used. */
export function emitLongMode(a: Assembler, to: string): void {
  a.emit('MOV', 'eax', label('pml4')).emit('MOV', 'cr3', 'eax')
  a.emit('MOV', 'eax', CR4).emit('MOV', 'cr4', 'eax')
  a.emit('MOV', 'ecx', EFER).emit('RDMSR').emit('OR', 'eax', EFER_BITS).emit('WRMSR')
  a.emit('MOV', 'eax', CR0).emit('MOV', 'cr0', 'eax')
  a.emit('JMPF', { selector: SELECTOR.kernelCode, offset: label(to) })
}

export function emitDataSegments(a: Assembler): void {
  a.emit('MOV', 'eax', SELECTOR.kernelData)
  for (const segment of ['ds', 'es', 'ss', 'fs', 'gs'] as const) a.emit('MOV', segment, 'ax')
}

function emitPageTables(a: Assembler): void {
  a.emit('MOV', mem({ disp: label('pml4'), size: 32 }), label('pdpt', 7))
  for (let i = 0; i < 4; i++)
    a.emit('MOV', mem({ disp: label('pdpt', 8 * i), size: 32 }), label('pds', 4096 * i + 7))
  // 2048 large pages: present, writable, user, page size.
  a.emit('MOV', 'edi', label('pds')).emit('MOV', 'eax', 0x87).emit('MOV', 'ecx', 2048)
  a.label('large_page')
    .emit('MOV', mem({ base: 'edi' }), 'eax')
    .emit('ADD', 'eax', 0x200000)
    .emit('ADD', 'edi', 8)
  a.emit('DEC', 'ecx').jcc('NZ', 'large_page')
  const directory = (PLAYGROUND >>> 30) * 4096 + ((PLAYGROUND >>> 21) & 511) * 8
  a.emit('MOV', mem({ disp: label('pds', directory), size: 32 }), label('playground_pt', 7))
  a.emit('MOV', 'edi', label('playground_pt'))
    .emit('MOV', 'eax', label('playground_frames', 7))
    .emit('MOV', 'ecx', PLAYGROUND_PAGES)
  a.label('small_page')
    .emit('MOV', mem({ base: 'edi' }), 'eax')
    .emit('ADD', 'eax', 4096)
    .emit('ADD', 'edi', 8)
  a.emit('DEC', 'ecx').jcc('NZ', 'small_page')
}

/** 256 interrupt gates to stubs of 16 bytes each. */
function emitIdt(a: Assembler): void {
  a.emit('MOV', 'edi', label('idt')).emit('MOV', 'esi', label('stubs')).emit('MOV', 'ecx', 256)
  a.label('gate').emit('MOV', mem({ base: 'rdi' }), 'si')
  a.emit('MOV', mem({ base: 'rdi', disp: 2, size: 32 }), (0 << 16) | SELECTOR.kernelCode)
  a.emit('MOV', mem({ base: 'rdi', disp: 4, size: 16 }), 0x8e00)
  a.emit('MOV', 'eax', 'esi')
    .emit('SHR', 'eax', 16)
    .emit('MOV', mem({ base: 'rdi', disp: 6 }), 'ax')
  a.emit('ADD', 'rsi', 16).emit('ADD', 'rdi', 16).emit('DEC', 'ecx').jcc('NZ', 'gate')
}

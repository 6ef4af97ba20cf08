/**
 * Where things are in a micro-guest's memory, and its descriptors.
 *
 * The image lies at 2 MiB: GDT and TSS first, then code and data, then zeroed memory. Paging maps the first 4 GiB
 * one to one with 2 MiB pages, all user-accessible, but for the playground: 4 KiB pages for tests to spoil.
 */
import type { Assembler } from '../../plugins/cpu-software/isa/assemble.ts'

export const LOAD_ADDRESS = 0x200000

/** Selectors. SYSCALL and SYSRET want the order kernel code, kernel data; user 32-bit code, user data, user code. */
export const SELECTOR = {
  kernelCode: 0x08,
  kernelData: 0x10,
  userCode32: 0x18 | 3,
  userData: 0x20 | 3,
  userCode: 0x28 | 3,
  kernelCode32: 0x30,
  tss: 0x38,
  code16: 0x48,
  data16: 0x50,
  /** Two descriptors for a test to fill. */
  scratch0: 0x58,
  scratch1: 0x60,
} as const

/** The descriptors as 64-bit numbers (SDM vol. 3, figure 3-8). */
export const DESCRIPTOR = {
  code64: 0x00af9b000000ffffn,
  data: 0x00cf93000000ffffn,
  userCode32: 0x00cffb000000ffffn,
  userData: 0x00cff3000000ffffn,
  userCode64: 0x00affb000000ffffn,
  code32: 0x00cf9b000000ffffn,
  code16: 0x00009b000000ffffn,
  data16: 0x000093000000ffffn,
} as const

/** Virtual address of the playground: 512 page-table entries at label `playground_pt`; the first 16 are mapped. */
export const PLAYGROUND = 0x40000000
export const PLAYGROUND_PAGES = 16

/** Stacks, tables and buffers behind the image: label and bytes, in this order from a page boundary on. */
const ZEROED: readonly (readonly [label: string, bytes: number])[] = [
  ['pml4', 4096],
  ['pdpt', 4096],
  ['pds', 4 * 4096],
  ['playground_pt', 4096],
  ['idt', 4096],
  ['handlers', 256 * 8],
  ['line', 2048],
  ['playground_frames', PLAYGROUND_PAGES * 4096],
  ['stack_low', 16384],
  ['stack', 0],
  ['exception_stack_low', 8192],
  ['exception_stack', 0],
  ['ist_stack_low', 8192],
  ['ist_stack', 0],
  ['user_stack_low', 8192],
  ['user_stack', 0],
  ['shared_page', 4096],
]

/** Defines the labels of zeroed memory behind the image. Returns the end. */
export function defineZeroed(a: Assembler): number {
  let address = Math.ceil(a.here / 4096) * 4096
  for (const [name, bytes] of ZEROED) {
    a.define(name, address)
    address += bytes
  }
  return address
}

/** GDT and TSS, at the start of the image so that their addresses are known. */
export function emitDescriptors(a: Assembler): void {
  const tss = a.here + 16 * 8
  const limit = 103n
  const base = BigInt(tss)
  a.label('gdt')
  a.u64(
    0,
    DESCRIPTOR.code64,
    DESCRIPTOR.data,
    DESCRIPTOR.userCode32,
    DESCRIPTOR.userData,
    DESCRIPTOR.userCode64,
    DESCRIPTOR.code32,
  )
  a.u64(limit | ((base & 0xffffffn) << 16n) | (0x89n << 40n) | ((base >> 24n) << 56n), 0)
  a.u64(DESCRIPTOR.code16, DESCRIPTOR.data16, 0, 0, 0, 0, 0)
  a.label('tss')
  // RSP0 at 4, IST1 at 36, I/O map beyond the limit.
  a.u32(0).u64({ label: 'exception_stack', addend: 0 }, 0, 0, 0).u64({ label: 'ist_stack', addend: 0 })
  a.zero(6 * 8 + 8 + 2).u16(104)
  a.label('gdt_pointer')
    .u16(16 * 8 - 1)
    .u64({ label: 'gdt', addend: 0 })
  a.label('idt_pointer').u16(4095).u64({ label: 'idt', addend: 0 })
  a.align(16)
}

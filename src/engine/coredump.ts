/**
 * A core dump of a guest: an ELF64 core file with guest RAM as one loadable segment at physical address 0, and
 * nothing else. Pages that are zero or not there are holes of the file.
 *
 * Left out: vCPU registers (no notes), and xl's own container with .xen_p2m sections.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { type GuestMemory, PAGE_SIZE } from '../base/machine-memory.ts'

const EHDR_BYTES = 64
const PHDR_BYTES = 56
/** Where guest-physical address 0 lies in the file. */
export const RAM_OFFSET = PAGE_SIZE

/** Writes the dump. Throws the system's error; a file begun stays, as xl leaves it. */
export function dumpCore(memory: GuestMemory, path: string): void {
  const file = openSync(path, 'w', 0o600)
  try {
    writeSync(file, coreHeader(memory.ramBytes), 0, undefined, 0)
    ftruncateSync(file, RAM_OFFSET + memory.ramBytes)
    const zeros = Buffer.alloc(PAGE_SIZE)
    for (let gpa = 0; gpa < memory.ramBytes; gpa += PAGE_SIZE) {
      const host = memory.hostOffset(gpa)
      if (host < 0) continue
      const page = Buffer.from(memory.buffer, host, PAGE_SIZE)
      if (!page.equals(zeros)) writeSync(file, page, 0, PAGE_SIZE, RAM_OFFSET + gpa)
    }
  } finally {
    closeSync(file)
  }
}

/** ELF header and one program header (elf.h, Elf64_Ehdr and Elf64_Phdr). */
export function coreHeader(ramBytes: number): Uint8Array {
  const bytes = new Uint8Array(EHDR_BYTES + PHDR_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2 /* 64-bit */, 1 /* little-endian */, 1 /* EV_CURRENT */])
  view.setUint16(16, 4 /* ET_CORE */, true)
  view.setUint16(18, 62 /* EM_X86_64 */, true)
  view.setUint32(20, 1, true)
  view.setBigUint64(32, BigInt(EHDR_BYTES), true) // e_phoff
  view.setUint16(52, EHDR_BYTES, true)
  view.setUint16(54, PHDR_BYTES, true)
  view.setUint16(56, 1, true) // e_phnum
  view.setUint32(EHDR_BYTES, 1 /* PT_LOAD */, true)
  view.setUint32(EHDR_BYTES + 4, 7 /* rwx */, true)
  view.setBigUint64(EHDR_BYTES + 8, BigInt(RAM_OFFSET), true)
  view.setBigUint64(EHDR_BYTES + 32, BigInt(ramBytes), true) // p_filesz
  view.setBigUint64(EHDR_BYTES + 40, BigInt(ramBytes), true) // p_memsz
  view.setBigUint64(EHDR_BYTES + 48, BigInt(PAGE_SIZE), true)
  return bytes
}

/**
 * Reads the parts of an ELF kernel that a PVH start needs: the loadable segments, by physical address, and the
 * Xen notes (ELF specification; xen/include/public/elfnote.h).
 *
 * 32- and 64-bit little-endian x86 files. Left out: symbols, relocations, the old `__xen_guest` string section and
 * PHYS32_RELOC (RAM is always there at the link address).
 */
import { bootErrors } from './errors.ts'

/** One piece of the file and where it goes. Addresses and sizes in bytes. */
export interface KernelSegment {
  readonly paddr: number
  /** The bytes from the file; the rest up to `memSize` is zero. */
  readonly data: Uint8Array
  readonly memSize: number
}

export interface ElfKernel {
  readonly bits: 32 | 64
  readonly segments: readonly KernelSegment[]
  /** Lowest and highest physical address of the segments, the latter exclusive. */
  readonly start: number
  readonly end: number
  /** XEN_ELFNOTE_PHYS32_ENTRY: physical address of the 32-bit entry point. */
  readonly entry: number
}

const PT_LOAD = 1
const PT_NOTE = 4
const SHT_NOTE = 7
const EM_386 = 3
const EM_X86_64 = 62
const XEN_ELFNOTE_PHYS32_ENTRY = 18
/** Names for the error message only. */
const MACHINES: Readonly<Record<number, string>> = {
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC',
  22: 'S/390',
  40: 'ARM',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
}

export function isElf(file: Uint8Array): boolean {
  return file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46
}

/**
 * Parses an ELF kernel; `name` is for messages.
 * @throws XtError XT_BOOT_BAD_ELF, _KERNEL_TRUNCATED, _KERNEL_WRONG_MACHINE, _KERNEL_NOT_PVH
 */
export function parseElfKernel(file: Uint8Array, name: string): ElfKernel {
  const elf = new ElfReader(file, name)
  const segments: KernelSegment[] = []
  let entry: number | undefined
  for (const ph of elf.programHeaders()) {
    if (ph.type === PT_LOAD && ph.memSize > 0) {
      if (ph.fileSize > ph.memSize)
        throw bootErrors.XT_BOOT_BAD_ELF(name, 'a segment is larger in the file than in memory')
      segments.push({ paddr: ph.paddr, data: elf.bytes(ph.offset, ph.fileSize), memSize: ph.memSize })
    }
    if (ph.type === PT_NOTE) entry ??= phys32Entry(elf.bytes(ph.offset, ph.fileSize))
  }
  if (segments.length === 0) throw bootErrors.XT_BOOT_BAD_ELF(name, 'it has nothing to load')
  if (entry === undefined) {
    for (const sh of elf.sectionHeaders()) {
      if (sh.type === SHT_NOTE) entry ??= phys32Entry(elf.bytes(sh.offset, sh.size))
    }
  }
  if (entry === undefined) throw bootErrors.XT_BOOT_KERNEL_NOT_PVH(name, elf.bits)
  const sorted = segments.toSorted((a, b) => a.paddr - b.paddr)
  // Also a bound on the bytes to write, which the number of headers alone does not give.
  if (sorted.some((s, i) => i > 0 && sorted[i - 1]!.paddr + sorted[i - 1]!.memSize > s.paddr)) {
    throw bootErrors.XT_BOOT_BAD_ELF(name, 'two of its segments overlap')
  }
  const [first, last] = [sorted[0]!, sorted.at(-1)!]
  const [start, end] = [first.paddr, last.paddr + last.memSize]
  if (entry < start || entry >= end)
    throw bootErrors.XT_BOOT_BAD_ELF(name, 'its PVH entry lies outside its segments')
  return { bits: elf.bits, segments, start, end, entry }
}

/** Value of the PHYS32_ENTRY note in a note area, if it is there. Broken notes end the search, as in Xen. */
function phys32Entry(notes: Uint8Array): number | undefined {
  const view = new DataView(notes.buffer, notes.byteOffset, notes.byteLength)
  const align4 = (n: number) => Math.ceil(n / 4) * 4
  for (let at = 0; at + 12 <= notes.length; ) {
    const nameSize = view.getUint32(at, true)
    const descSize = view.getUint32(at + 4, true)
    const type = view.getUint32(at + 8, true)
    const desc = at + 12 + align4(nameSize)
    if (desc + descSize > notes.length) return undefined
    // The owner is "Xen" with its NUL: 58 65 6e 00.
    const isXen = nameSize === 4 && view.getUint32(at + 12, true) === 0x006e6558
    if (isXen && type === XEN_ELFNOTE_PHYS32_ENTRY && (descSize === 4 || descSize === 8)) {
      return descSize === 4 ? view.getUint32(desc, true) : Number(view.getBigUint64(desc, true))
    }
    at = desc + align4(descSize)
  }
  return undefined
}

interface ProgramHeader {
  readonly type: number
  readonly offset: number
  readonly paddr: number
  readonly fileSize: number
  readonly memSize: number
}

/** The two header layouts behind one face; every access is checked against the file's size. */
class ElfReader {
  readonly bits: 32 | 64
  readonly #file: Uint8Array
  readonly #view: DataView
  readonly #name: string

  constructor(file: Uint8Array, name: string) {
    this.#file = file
    this.#name = name
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength)
    this.#need(0, 52)
    const [fileClass, encoding] = [file[4], file[5]]
    if (fileClass !== 1 && fileClass !== 2)
      throw bootErrors.XT_BOOT_BAD_ELF(name, `unknown file class ${fileClass}`)
    const machine = this.#view.getUint16(18, encoding !== 2)
    if (encoding === 2 || (machine !== EM_386 && machine !== EM_X86_64)) {
      throw bootErrors.XT_BOOT_KERNEL_WRONG_MACHINE(name, MACHINES[machine] ?? `ELF machine ${machine}`)
    }
    this.bits = fileClass === 1 ? 32 : 64
    if (this.bits === 64) this.#need(0, 64)
  }

  bytes(offset: number, size: number): Uint8Array {
    this.#need(offset, size)
    return this.#file.subarray(offset, offset + size)
  }

  *programHeaders(): Generator<ProgramHeader> {
    const wide = this.bits === 64
    const at = this.#word(wide ? 32 : 28)
    const entrySize = this.#view.getUint16(wide ? 54 : 42, true)
    const count = this.#view.getUint16(wide ? 56 : 44, true)
    if (count > 0 && entrySize < (wide ? 56 : 32))
      throw bootErrors.XT_BOOT_BAD_ELF(this.#name, 'its program headers are too short')
    this.#need(at, count * entrySize)
    for (let i = 0; i < count; i++) {
      const p = at + i * entrySize
      yield {
        type: this.#view.getUint32(p, true),
        offset: this.#word(p + (wide ? 8 : 4)),
        paddr: this.#word(p + (wide ? 24 : 12)),
        fileSize: this.#word(p + (wide ? 32 : 16)),
        memSize: this.#word(p + (wide ? 40 : 20)),
      }
    }
  }

  /** Sections are optional in a loadable file: a table that is not all there counts as none. */
  *sectionHeaders(): Generator<{ type: number; offset: number; size: number }> {
    const wide = this.bits === 64
    const at = this.#word(wide ? 40 : 32)
    const entrySize = this.#view.getUint16(wide ? 58 : 46, true)
    const count = this.#view.getUint16(wide ? 60 : 48, true)
    if (entrySize < (wide ? 64 : 40) || at + count * entrySize > this.#file.length) return
    for (let i = 0; i < count; i++) {
      const s = at + i * entrySize
      const offset = this.#word(s + (wide ? 24 : 16))
      const size = this.#word(s + (wide ? 32 : 20))
      if (offset + size <= this.#file.length) yield { type: this.#view.getUint32(s + 4, true), offset, size }
    }
  }

  /** An address, offset or size. Values from 2^53 on lose low bits, but fail every later bound just the same. */
  #word(at: number): number {
    return this.bits === 64 ? Number(this.#view.getBigUint64(at, true)) : this.#view.getUint32(at, true)
  }

  #need(offset: number, size: number): void {
    if (offset + size > this.#file.length) {
      throw bootErrors.XT_BOOT_KERNEL_TRUNCATED(this.#name, offset + size, this.#file.length)
    }
  }
}

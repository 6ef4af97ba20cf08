/**
 * Wraps an image into an ELF file that a PVH boot takes: one loadable segment and the Xen note with the 32-bit
 * entry point (ELF-64 specification; xen/include/public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY).
 */

const PT_LOAD = 1
const PT_NOTE = 4
const EM_X86_64 = 62
const XEN_ELFNOTE_PHYS32_ENTRY = 18
const EHDR_SIZE = 64
const PHDR_SIZE = 56
const NOTE_OFFSET = EHDR_SIZE + 2 * PHDR_SIZE
const NOTE_SIZE = 20
const IMAGE_OFFSET = 4096

export interface PvhImage {
  /** Physical address the image is linked and loaded at, page-aligned. */
  readonly load: number
  /** Physical address of the 32-bit entry. */
  readonly entry: number
  readonly bytes: Uint8Array
  /** Bytes of memory it takes, zeroed behind `bytes`. */
  readonly memSize: number
}

export function pvhElf(image: PvhImage): Uint8Array {
  const file = new Uint8Array(IMAGE_OFFSET + image.bytes.length)
  const view = new DataView(file.buffer)
  const words = (at: number, ...values: number[]) =>
    values.forEach((value, i) => void view.setUint32(at + 4 * i, value, true))
  const quads = (at: number, ...values: number[]) =>
    values.forEach((value, i) => void view.setBigUint64(at + 8 * i, BigInt(value), true))

  // Magic, 64-bit, little-endian, version 1; an executable.
  words(0, 0x464c457f, 0x00010102)
  view.setUint16(16, 2, true)
  view.setUint16(18, EM_X86_64, true)
  words(20, 1)
  quads(24, image.entry, EHDR_SIZE, 0)
  view.setUint16(52, EHDR_SIZE, true)
  view.setUint16(54, PHDR_SIZE, true)
  view.setUint16(56, 2, true)

  // Type and flags; file offset, virtual and physical address, sizes in file and memory, alignment.
  words(EHDR_SIZE, PT_LOAD, 7)
  quads(EHDR_SIZE + 8, IMAGE_OFFSET, image.load, image.load, image.bytes.length, image.memSize, 4096)
  words(EHDR_SIZE + PHDR_SIZE, PT_NOTE, 4)
  quads(EHDR_SIZE + PHDR_SIZE + 8, NOTE_OFFSET, 0, 0, NOTE_SIZE, NOTE_SIZE, 4)

  // Name size, value size, type, "Xen", value.
  words(NOTE_OFFSET, 4, 4, XEN_ELFNOTE_PHYS32_ENTRY, 0x006e6558, image.entry)
  file.set(image.bytes, IMAGE_OFFSET)
  return file
}

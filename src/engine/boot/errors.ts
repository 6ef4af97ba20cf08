/** Errors a user can meet between the `kernel=` line and the first guest instruction. */
import { defineErrors } from '../../base/errors.ts'

const MiB = (bytes: number): string => `${Math.ceil(bytes / 1048576)} MiB`
const hex = (n: number): string => `0x${n.toString(16)}`

const WANTED =
  "Give kernel= a Linux bzImage or an ELF file with a PVH entry, for instance Debian's /boot/vmlinuz-*-amd64."
const DAMAGED = 'The file is probably damaged or only partly downloaded: fetch it again.'
/** More memory than this is no advice: it is beyond what a guest can have. */
const LARGEST_GUEST = 3584 * 1048576
const MORE_MEMORY = (needed: number): string => `Set memory= to at least ${Math.ceil(needed / 1048576)}.`

export const bootErrors = defineErrors({
  XT_BOOT_NOT_A_KERNEL: {
    title: 'The file is not a kernel',
    message: (name: string) => `${name} is not a kernel: it is neither a Linux bzImage nor an ELF file`,
    hint: WANTED,
  },
  XT_BOOT_KERNEL_TRUNCATED: {
    title: 'The kernel file ends too early',
    message: (name: string, wanted: number, size: number) =>
      `${name} ends too early: its header describes ${wanted} bytes, the file has ${size}`,
    hint: DAMAGED,
  },
  XT_BOOT_BZIMAGE_TOO_OLD: {
    title: 'The bzImage is of a boot protocol that does not say where its kernel lies',
    message: (name: string, version: number) =>
      `${name} is a bzImage of boot protocol ${version >> 8}.${String(version & 255).padStart(2, '0')}; 2.08 or later (Linux 2.6.24) is needed`,
    hint: WANTED,
  },
  XT_BOOT_UNKNOWN_COMPRESSION: {
    title: 'The kernel inside the bzImage is packed in an unknown way',
    message: (name: string, magic: string) =>
      `${name} holds a kernel in an unknown compression format (it starts with ${magic})`,
    hint: 'Known formats: gzip, bzip2, lzma, xz, lzo, lz4, zstd and none.',
  },
  XT_BOOT_BAD_COMPRESSED_DATA: {
    title: 'The compressed kernel cannot be unpacked',
    message: (name: string, format: string, reason: string) =>
      `the ${format} data in ${name} cannot be unpacked: ${reason}`,
    hint: DAMAGED,
  },
  XT_BOOT_KERNEL_TOO_LARGE: {
    title: 'The unpacked kernel is larger than the guest’s memory',
    message: (name: string, limit: number) =>
      `the kernel in ${name} unpacks to more than the guest's memory of ${MiB(limit)}`,
    hint: 'Set memory= to a larger value.',
  },
  XT_BOOT_BAD_ELF: {
    title: 'The kernel’s ELF structure is broken',
    message: (name: string, reason: string) => `the ELF kernel in ${name} is broken: ${reason}`,
    hint: DAMAGED,
  },
  XT_BOOT_KERNEL_WRONG_MACHINE: {
    title: 'The kernel is for another processor',
    message: (name: string, machine: string) => `${name} is a kernel for ${machine}, not for x86`,
    hint: WANTED,
  },
  XT_BOOT_KERNEL_NOT_PVH: {
    title: 'The kernel has no PVH entry',
    message: (name: string, bits: 32 | 64) =>
      `${name} is a ${bits}-bit kernel without a PVH entry (no Xen ELF note PHYS32_ENTRY)`,
    hint: "Linux needs CONFIG_XEN_PVH=y or CONFIG_PVH=y; Debian's amd64 kernels have it.",
  },
  XT_BOOT_KERNEL_OUTSIDE_RAM: {
    title: 'The kernel wants to be loaded where the guest has no memory',
    message: (name: string, start: number, end: number, ramBytes: number, _needed: number) =>
      `${name} must be loaded at ${hex(start)}-${hex(end)}, the guest's memory ends at ${hex(ramBytes)} (${MiB(ramBytes)})`,
    hint: (_name: string, _start: number, _end: number, _ramBytes: number, needed: number) =>
      needed > LARGEST_GUEST ? WANTED : MORE_MEMORY(needed),
  },
  XT_BOOT_RAMDISK_TOO_LARGE: {
    title: 'The ramdisk does not fit into the guest’s memory',
    message: (ramdiskBytes: number, freeBytes: number, ramBytes: number) =>
      `the ramdisk of ${MiB(ramdiskBytes)} does not fit: of the guest's ${MiB(ramBytes)} the kernel leaves ${Math.floor(freeBytes / 1048576)} MiB`,
    hint: (ramdiskBytes: number, freeBytes: number, ramBytes: number) =>
      MORE_MEMORY(ramBytes - freeBytes + ramdiskBytes),
  },
  XT_BOOT_MEMORY_TOO_SMALL: {
    title: 'The guest has too little memory for this kernel',
    message: (ramBytes: number, needed: number) =>
      `the guest's memory of ${MiB(ramBytes)} is too small for its kernel and boot data, which need ${MiB(needed)}`,
    hint: (_ramBytes: number, needed: number) => MORE_MEMORY(needed),
  },
  XT_BOOT_CMDLINE_HAS_NUL: {
    title: 'The kernel command line holds a NUL character',
    message: () =>
      'the kernel command line (cmdline=, root=, extra=) holds a NUL character, which would cut it short',
  },
})

/**
 * Where the pieces of a PVH guest go in its RAM: the kernel where it was linked, then start_info and the ramdisk on
 * the following pages, as Xen's domain builder does.
 *
 * XEN: what does not fit behind the kernel may also lie between 1 MiB and the kernel; Linux, linked at 16 MiB,
 * leaves room there that a small guest needs.
 */
import { PAGE_SIZE } from '../../base/machine-memory.ts'
import type { ElfKernel } from './elf.ts'
import { bootErrors } from './errors.ts'

/** Below it lies what guests use to start (trampolines, the old PC's hole). */
const LOW_MEMORY = 1 << 20
/** Linux maps only this much when it first reads start_info. */
const START_INFO_LIMIT = 1 << 30

export interface Placement {
  /** Guest-physical address, page-aligned. */
  readonly startInfo: number
  /** Which of the offered ramdisks fitted, and its page-aligned address. */
  readonly ramdisk: { readonly index: number; readonly start: number } | undefined
}

const pageUp = (n: number): number => Math.ceil(n / PAGE_SIZE) * PAGE_SIZE

/**
 * Finds room for start_info and for the first ramdisk that fits (sizes in bytes; several forms of the same ramdisk
 * may be offered, none for a guest without).
 * @throws XtError XT_BOOT_KERNEL_OUTSIDE_RAM, XT_BOOT_MEMORY_TOO_SMALL, XT_BOOT_RAMDISK_TOO_LARGE
 */
export function placePvhGuest(
  kernel: Pick<ElfKernel, 'start' | 'end'>,
  name: string,
  ramBytes: number,
  sizes: { readonly startInfo: number; readonly ramdisks: readonly number[] },
): Placement {
  if (kernel.end > ramBytes) {
    const needed = pageUp(kernel.end) + pageUp(sizes.startInfo) + (sizes.ramdisks.at(-1) ?? 0)
    throw bootErrors.XT_BOOT_KERNEL_OUTSIDE_RAM(name, kernel.start, kernel.end, ramBytes, needed)
  }
  const lowEnd = Math.floor(kernel.start / PAGE_SIZE) * PAGE_SIZE
  const gaps = [
    { at: Math.max(pageUp(kernel.end), LOW_MEMORY), end: ramBytes },
    { at: LOW_MEMORY, end: lowEnd },
  ]
  const take = (size: number, limit: number): number | undefined => {
    const gap = gaps.find(({ at, end }) => at + size <= Math.min(end, limit))
    if (gap === undefined) return undefined
    const at = gap.at
    gap.at += pageUp(size)
    return at
  }
  const startInfo = take(sizes.startInfo, START_INFO_LIMIT)
  if (startInfo === undefined) {
    throw bootErrors.XT_BOOT_MEMORY_TOO_SMALL(ramBytes, pageUp(kernel.end) + sizes.startInfo)
  }
  for (const [index, size] of sizes.ramdisks.entries()) {
    const start = take(size, ramBytes)
    if (start !== undefined) return { startInfo, ramdisk: { index, start } }
  }
  if (sizes.ramdisks.length === 0) return { startInfo, ramdisk: undefined }
  const free = Math.max(0, ...gaps.map(({ at, end }) => end - at))
  throw bootErrors.XT_BOOT_RAMDISK_TOO_LARGE(Math.min(...sizes.ramdisks), free, ramBytes)
}

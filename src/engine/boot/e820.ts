/**
 * What lies where in a PVH guest's physical address space, and the memory map that says so.
 *
 * The layout is libxl's (xen/include/public/arch-x86/hvm/start_info.h for the types; libxl_x86_acpi.c,
 * xg_dom_x86.c for the places): RAM from 0 below the hole at 0xfc000000, ACPI tables in the hole, special pages
 * below 0xff000000. RAM above 4 GiB does not exist here: one machine's memory ends below the hole.
 */

/** One range of the map, addresses and sizes in bytes. */
export interface MemoryRange {
  readonly start: number
  readonly size: number
  readonly type: (typeof E820)[keyof typeof E820]
}

/** XEN_HVM_MEMMAP_TYPE_*, the same numbers as e820's. */
export const E820 = { ram: 1, reserved: 2, acpi: 3 } as const

/**
 * The ACPI area: an info page (libacpi's own, unused by our tables), seven pages of tables as libacpi fills them,
 * and the RSDP behind. Ours are smaller; the size is kept so that guests see Xen's memory map.
 */
export const ACPI_AREA = {
  start: 0xfc00_0000,
  tables: 0xfc00_1000,
  rsdp: 0xfc00_8000,
  end: 0xfc00_8040,
} as const

/** Frames of the pages that Xen and the guest share (X86_HVM_NR_SPECIAL_PAGES of them below X86_HVM_END_SPECIAL_REGION). */
export const SPECIAL_PAGES = { first: 0xfeff8, count: 8, xenstore: 0xfeffc, console: 0xfefff } as const

export function pvhMemoryMap(ramBytes: number): readonly MemoryRange[] {
  return [
    { start: 0, size: ramBytes, type: E820.ram },
    { start: ACPI_AREA.start, size: ACPI_AREA.end - ACPI_AREA.start, type: E820.acpi },
    { start: SPECIAL_PAGES.first * 4096, size: SPECIAL_PAGES.count * 4096, type: E820.reserved },
  ]
}

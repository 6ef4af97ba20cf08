/**
 * Builds a PVH guest in a machine's memory: kernel, ramdisk, start_info, ACPI tables and special pages, as Xen's
 * domain builder leaves them before the first instruction (golden: a paused guest of Xen 4.17).
 *
 * XEN: the special pages other than console and xenstore stay empty; Xen keeps an identity page table in one of
 * them for processors that cannot run unpaged guests.
 */
import { type MachineMemory, PAGE_SIZE } from '../../base/machine-memory.ts'
import { buildAcpi } from './acpi.ts'
import { gunzipRamdisk } from './decompress.ts'
import { ACPI_AREA, type MemoryRange, pvhMemoryMap, SPECIAL_PAGES } from './e820.ts'
import type { KernelSegment } from './elf.ts'
import { bootErrors } from './errors.ts'
import { readKernel } from './kernel.ts'
import { placePvhGuest } from './pvh.ts'
import { buildStartInfo, startInfoSize } from './start-info.ts'

export interface PvhGuestInput {
  /** The kernel file as it is on disk, and its name for messages. */
  readonly kernel: Uint8Array
  readonly kernelName: string
  readonly ramdisk?: Uint8Array
  readonly cmdline: string
  /** vCPUs online at start, and the most there can be (128). */
  readonly vcpus: number
  readonly maxVcpus: number
}

export interface PvhGuest {
  /** Initial RIP of the boot vCPU (32-bit protected mode, flat segments, paging off). */
  readonly entry: number
  /** Initial EBX: guest-physical address of start_info. */
  readonly startInfo: number
  /** The map in start_info; XENMEM_memory_map answers the same. */
  readonly memoryMap: readonly MemoryRange[]
  /** Frames for HVM_PARAM_CONSOLE_PFN and HVM_PARAM_STORE_PFN; both pages are mapped and zero. */
  readonly specialPages: { readonly consoleGfn: number; readonly xenstoreGfn: number }
  /** Bytes of RAM taken, end exclusive. */
  readonly kernel: { readonly start: number; readonly end: number }
  readonly ramdisk: { readonly start: number; readonly size: number } | undefined
}

/**
 * Everything is judged before the first byte of guest memory is written. Works on a fresh machine and on one whose
 * guest is started anew, provided RAM is mapped as at first.
 * @throws XtError of bootErrors
 */
export function buildPvhGuest(memory: MachineMemory, input: PvhGuestInput): PvhGuest {
  const { ramBytes } = memory
  if (input.cmdline.includes('\0')) throw bootErrors.XT_BOOT_CMDLINE_HAS_NUL()
  const { kernel, unpacked } = readKernel(input.kernel, input.kernelName, ramBytes)
  const cmdline = new TextEncoder().encode(input.cmdline)
  const memoryMap = pvhMemoryMap(ramBytes)
  // A gzip ramdisk is given unpacked if that fits, else as it is for the guest to unpack.
  const ramdisks: Uint8Array[] = input.ramdisk?.length ? [input.ramdisk] : []
  const unpackedRamdisk = ramdisks[0] && gunzipRamdisk(ramdisks[0], ramBytes)
  if (unpackedRamdisk !== undefined) ramdisks.unshift(unpackedRamdisk)
  const placement = placePvhGuest(kernel, input.kernelName, ramBytes, {
    startInfo: startInfoSize({ cmdline, memoryMap, modules: { length: Math.min(ramdisks.length, 1) } }),
    ramdisks: ramdisks.map((bytes) => bytes.length),
  })

  for (const segment of kernel.segments) writeSegment(memory, segment)
  if (unpacked !== undefined) release(unpacked)
  const modules: { start: number; size: number }[] = []
  if (placement.ramdisk !== undefined) {
    const bytes = ramdisks[placement.ramdisk.index]!
    write(memory, placement.ramdisk.start, bytes)
    modules.push({ start: placement.ramdisk.start, size: bytes.length })
  }
  if (unpackedRamdisk !== undefined) release(unpackedRamdisk)
  const startInfo = buildStartInfo(placement.startInfo, { cmdline, memoryMap, rsdp: ACPI_AREA.rsdp, modules })
  write(memory, placement.startInfo, startInfo)
  for (let gpa: number = ACPI_AREA.start; gpa < ACPI_AREA.end; gpa += PAGE_SIZE)
    mapZeroPage(memory, gpa / PAGE_SIZE)
  write(memory, ACPI_AREA.start, buildAcpi(input))
  for (let i = 0; i < SPECIAL_PAGES.count; i++) mapZeroPage(memory, SPECIAL_PAGES.first + i)
  return {
    entry: kernel.entry,
    startInfo: placement.startInfo,
    memoryMap,
    specialPages: { consoleGfn: SPECIAL_PAGES.console, xenstoreGfn: SPECIAL_PAGES.xenstore },
    kernel: { start: kernel.start, end: kernel.end },
    ramdisk: modules[0],
  }
}

function writeSegment(memory: MachineMemory, segment: KernelSegment): void {
  write(memory, segment.paddr, segment.data)
  const zeros = new Uint8Array(PAGE_SIZE)
  for (let done = segment.data.length; done < segment.memSize; done += PAGE_SIZE) {
    write(memory, segment.paddr + done, zeros.subarray(0, segment.memSize - done))
  }
}

function write(memory: MachineMemory, gpa: number, bytes: Uint8Array): void {
  if (!memory.write(gpa, bytes)) throw new Error(`guest memory at 0x${gpa.toString(16)} is not mapped`)
}

/** Gives a big buffer of ours back now: a process that idles may not collect its garbage for a long time. */
function release(bytes: Uint8Array): void {
  // A small one may lie in a pool that node shares among buffers.
  if (bytes.byteLength >= 1 << 20 && bytes.buffer instanceof ArrayBuffer) bytes.buffer.transfer(0)
}

/** Puts a zeroed page at a frame outside RAM; one that is there already from an earlier start is used again. */
function mapZeroPage(memory: MachineMemory, gfn: number): void {
  const page = memory.frame(gfn) || memory.allocatePage()
  if (page === 0) throw new Error('the machine has no page left for its special pages')
  memory.u8.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
  memory.setFrame(gfn, page)
}

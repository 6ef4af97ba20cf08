/**
 * One machine's memory: a single shared WebAssembly.Memory that holds guest RAM and every word that the
 * threads of a domain process share (design decision: ARCHITECTURE.md, "Memory").
 *
 *   0            unused page, so that offset 0 is never valid
 *   control      one 256-byte control block per vCPU (see vcpu-control.ts)
 *   xen          state of the Xen shim: event channels, params, timers (src/xen lays it out)
 *   physmap      one u32 per guest frame: host page number (byte offset / 4096), 0 = nothing there
 *   page flags   one byte per host page (bit 0: a vCPU holds decoded code of it)
 *   extra        host pages for frames that are not RAM: special pages, ACPI tables, shared_info, grants
 *   vcpu areas   private to the CPU backend, one stride per vCPU
 *   ram          guest RAM, 2 MiB aligned
 *
 * Offsets are plain numbers below 4 GiB. The memory never grows after it was made. Any thread can build a
 * MachineMemory over the same WebAssembly.Memory from its layout (a plain object, posted to workers).
 */

export const PAGE_SIZE = 4096
export const PAGE_SHIFT = 12

const MiB = 1 << 20
/** Guest-physical space the physmap covers: 16 GiB. Frames above hold nothing. */
export const PHYSMAP_FRAMES = (16 * 1024 * MiB) / PAGE_SIZE
/** Byte offset of a lock word that vCPUs share, for what the host cannot do atomically. In the unused first page. */
export const MACHINE_LOCK = 65536 - 128
/** Size of a vCPU's control block in bytes. */
export const CONTROL_STRIDE = 256
export const MAX_VCPUS = 128
const XEN_AREA_BYTES = 8 * MiB
const EXTRA_PAGES = 4096
const VCPU_AREA_WANTED = 96 * MiB
const VCPU_AREA_LEAST = 32 * MiB
const ADDRESSABLE = 4096 * MiB

export interface MachineLayout {
  readonly vcpus: number
  readonly ramBytes: number
  readonly control: number
  readonly xen: number
  readonly xenBytes: number
  readonly physmap: number
  readonly pageFlags: number
  readonly extra: number
  readonly extraPages: number
  readonly vcpuAreas: number
  readonly vcpuStride: number
  readonly ram: number
  readonly totalBytes: number
}

/** What a backend or the Xen shim may do with guest memory. All addresses are guest-physical, in bytes. */
export interface GuestMemory {
  readonly buffer: SharedArrayBuffer
  readonly u8: Uint8Array<SharedArrayBuffer>
  readonly i32: Int32Array<SharedArrayBuffer>
  readonly u32: Uint32Array<SharedArrayBuffer>
  readonly view: DataView<SharedArrayBuffer>
  readonly ramBytes: number
  /** Byte offset in `buffer` of a guest-physical address, or -1 where nothing is mapped. Valid to the page's end. */
  hostOffset(gpa: number): number
  /** Copies out `length` bytes, or undefined if any byte is unmapped. The copy is private. */
  read(gpa: number, length: number): Uint8Array | undefined
  /** Copies in; false if any byte is unmapped (nothing is written then). */
  write(gpa: number, bytes: Uint8Array): boolean
  /** Host page behind a guest frame, 0 if none. */
  frame(gfn: number): number
  /** Puts a host page at a guest frame (0 removes). vCPUs must be told to flush their TLBs: see kickAll. */
  setFrame(gfn: number, hostPage: number): void
  /** Host page that RAM had at this frame at boot, 0 beyond RAM. */
  ramPage(gfn: number): number
  /** A zeroed host page that is not RAM, 0 when none is left. */
  allocatePage(): number
}

export function planMachine(ramBytes: number, vcpus: number): MachineLayout | undefined {
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS) return undefined
  if (ramBytes % PAGE_SIZE !== 0) return undefined
  const align = (n: number, to: number) => Math.ceil(n / to) * to
  const control = 65536
  const xen = align(control + MAX_VCPUS * CONTROL_STRIDE, 65536)
  const physmap = xen + XEN_AREA_BYTES
  const pageFlags = physmap + PHYSMAP_FRAMES * 4
  const extra = align(pageFlags + ADDRESSABLE / PAGE_SIZE, 65536)
  const vcpuAreas = align(extra + EXTRA_PAGES * PAGE_SIZE, 2 * MiB)
  const room = ADDRESSABLE - vcpuAreas - align(ramBytes, 2 * MiB)
  const share = Math.floor(room / vcpus / (2 * MiB)) * 2 * MiB
  const vcpuStride = Math.min(VCPU_AREA_WANTED, share)
  if (vcpuStride < VCPU_AREA_LEAST) return undefined
  const ram = vcpuAreas + vcpus * vcpuStride
  const totalBytes = align(ram + ramBytes, 65536)
  return {
    vcpus,
    ramBytes,
    control,
    xen,
    xenBytes: XEN_AREA_BYTES,
    physmap,
    pageFlags,
    extra,
    extraPages: EXTRA_PAGES,
    vcpuAreas,
    vcpuStride,
    ram,
    totalBytes,
  }
}

export class MachineMemory implements GuestMemory {
  readonly memory: WebAssembly.Memory
  readonly layout: MachineLayout
  readonly buffer: SharedArrayBuffer
  readonly u8: Uint8Array<SharedArrayBuffer>
  readonly i32: Int32Array<SharedArrayBuffer>
  readonly u32: Uint32Array<SharedArrayBuffer>
  readonly view: DataView<SharedArrayBuffer>
  readonly ramBytes: number
  readonly #physmap: Uint32Array<SharedArrayBuffer>
  /** Index of the word that counts the extra pages handed out: in the unused first page. */
  readonly #nextExtra: number

  constructor(memory: WebAssembly.Memory, layout: MachineLayout) {
    this.memory = memory
    this.layout = layout
    this.buffer = memory.buffer as unknown as SharedArrayBuffer
    this.u8 = new Uint8Array(this.buffer)
    this.i32 = new Int32Array(this.buffer)
    this.u32 = new Uint32Array(this.buffer)
    this.view = new DataView(this.buffer)
    this.ramBytes = layout.ramBytes
    this.#physmap = new Uint32Array(this.buffer, layout.physmap, PHYSMAP_FRAMES)
    this.#nextExtra = (layout.control - 64) >> 2
  }

  /** A fresh machine: RAM from address 0, everything else unmapped. */
  static create(layout: MachineLayout): MachineMemory {
    const pages = layout.totalBytes / 65536
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    const machine = new MachineMemory(memory, layout)
    const first = layout.ram / PAGE_SIZE
    const frames = layout.ramBytes / PAGE_SIZE
    for (let gfn = 0; gfn < frames; gfn++) machine.#physmap[gfn] = first + gfn
    return machine
  }

  hostOffset(gpa: number): number {
    const gfn = Math.floor(gpa / PAGE_SIZE)
    const page = gfn >= 0 && gfn < PHYSMAP_FRAMES ? this.#physmap[gfn]! : 0
    return page === 0 ? -1 : page * PAGE_SIZE + (gpa % PAGE_SIZE)
  }

  #eachPage(
    gpa: number,
    length: number,
    visit: (host: number, done: number, count: number) => void,
  ): boolean {
    for (let pass = 0; pass < 2; pass++) {
      for (let done = 0; done < length; ) {
        const host = this.hostOffset(gpa + done)
        if (host < 0) return false
        const count = Math.min(length - done, PAGE_SIZE - (host % PAGE_SIZE))
        if (pass === 1) visit(host, done, count)
        done += count
      }
    }
    return true
  }

  read(gpa: number, length: number): Uint8Array | undefined {
    const out = new Uint8Array(length)
    const ok = this.#eachPage(gpa, length, (host, done, count) => {
      out.set(this.u8.subarray(host, host + count), done)
    })
    return ok ? out : undefined
  }

  write(gpa: number, bytes: Uint8Array): boolean {
    return this.#eachPage(gpa, bytes.length, (host, done, count) => {
      this.u8.set(bytes.subarray(done, done + count), host)
    })
  }

  frame(gfn: number): number {
    return gfn >= 0 && gfn < PHYSMAP_FRAMES ? this.#physmap[gfn]! : 0
  }

  setFrame(gfn: number, hostPage: number): void {
    if (gfn >= 0 && gfn < PHYSMAP_FRAMES) this.#physmap[gfn] = hostPage
  }

  ramPage(gfn: number): number {
    return gfn >= 0 && gfn < this.ramBytes / PAGE_SIZE ? this.layout.ram / PAGE_SIZE + gfn : 0
  }

  /** Guest-physical address of a host page address (byte offset): RAM by position, else by search; -1 if it is mapped nowhere. */
  gpaOf(host: number): number {
    const page = Math.floor(host / PAGE_SIZE)
    const guess = page - this.layout.ram / PAGE_SIZE
    if (guess >= 0 && this.frame(guess) === page) return guess * PAGE_SIZE
    const found = this.#physmap.indexOf(page)
    return found < 0 ? -1 : found * PAGE_SIZE
  }

  allocatePage(): number {
    const index = Atomics.add(this.i32, this.#nextExtra, 1)
    if (index >= this.layout.extraPages) return 0
    return this.layout.extra / PAGE_SIZE + index
  }
}

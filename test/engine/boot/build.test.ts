import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { XtError } from '../../../src/base/errors.ts'
import { MachineMemory, PAGE_SIZE, planMachine } from '../../../src/base/machine-memory.ts'
import { buildPvhGuest, type PvhGuestInput } from '../../../src/engine/boot/build.ts'
import { pvhMemoryMap } from '../../../src/engine/boot/e820.ts'
import { placePvhGuest } from '../../../src/engine/boot/pvh.ts'
import { buildStartInfo } from '../../../src/engine/boot/start-info.ts'
import { elfFile } from './elf-file.ts'
import { sampleBytes } from './sample.ts'

const MiB = 1 << 20
const golden = JSON.parse(readFileSync(new URL('fixtures/golden.json', import.meta.url), 'utf8'))

const machine = (ramBytes: number) => MachineMemory.create(planMachine(ramBytes, 1)!)

interface StartInfo {
  readonly magic: number
  readonly version: number
  readonly flags: number
  readonly cmdline: string
  readonly rsdp: number
  readonly modules: readonly { start: number; size: number; cmdline: number; reserved: number }[]
  readonly memoryMap: readonly { start: number; size: number; type: number }[]
}

/** Reads start_info as a guest does, by addresses; offsets from the public header. */
function parseStartInfo(read: (gpa: number, length: number) => Uint8Array, at: number): StartInfo {
  const u32 = (gpa: number) => new DataView(read(gpa, 4).slice().buffer).getUint32(0, true)
  const u64 = (gpa: number) => u32(gpa) + u32(gpa + 4) * 2 ** 32
  const text = (gpa: number) => {
    const bytes: number[] = []
    for (let p = gpa; read(p, 1)[0] !== 0; p++) bytes.push(read(p, 1)[0]!)
    return new TextDecoder().decode(Uint8Array.from(bytes))
  }
  return {
    magic: u32(at),
    version: u32(at + 4),
    flags: u32(at + 8),
    cmdline: text(u64(at + 24)),
    rsdp: u64(at + 32),
    modules: Array.from({ length: u32(at + 12) }, (_, i) => {
      const entry = u64(at + 16) + 32 * i
      return { start: u64(entry), size: u64(entry + 8), cmdline: u64(entry + 16), reserved: u64(entry + 24) }
    }),
    memoryMap: Array.from({ length: u32(at + 48) }, (_, i) => {
      const entry = u64(at + 40) + 24 * i
      return { start: u64(entry), size: u64(entry + 8), type: u32(entry + 16) }
    }),
  }
}

/** Sorted, with neighbours of one type joined: what a map means. */
function meaning(map: StartInfo['memoryMap']): StartInfo['memoryMap'] {
  const out: { start: number; size: number; type: number }[] = []
  for (const range of map.toSorted((a, b) => a.start - b.start)) {
    const last = out.at(-1)
    if (last?.type === range.type && last.start + last.size === range.start) last.size += range.size
    else out.push({ ...range })
  }
  return out
}

t.test('start_info of the golden guest has the fields of the golden one', async (t) => {
  const { address, modules, cmdline, memoryMap, ...rest } = golden.startInfo
  const bytes = buildStartInfo(address, {
    cmdline: new TextEncoder().encode(cmdline),
    memoryMap: pvhMemoryMap(memoryMap[0].size),
    rsdp: rest.rsdp,
    modules,
  })
  const ours = parseStartInfo((gpa, length) => bytes.subarray(gpa - address, gpa - address + length), address)
  t.match(ours, { ...rest, cmdline, modules })
  t.strictSame(meaning(ours.memoryMap), meaning(memoryMap))
})

t.test('start_info and ramdisk go where Xen put them for the golden guest', async (t) => {
  const { address, modules, memoryMap } = golden.startInfo
  const place = placePvhGuest(golden.kernel, 'k', memoryMap[0].size, {
    startInfo: 0x900,
    ramdisks: [modules[0].size],
  })
  t.strictSame(place, { startInfo: address, ramdisk: { index: 0, start: modules[0].start } })
})

t.test(
  'whatever the sizes, the pieces lie in RAM, page-aligned and apart, or an XtError says why not',
  async () => {
    const size = fc.integer({ min: 1, max: 80 * MiB })
    fc.assert(
      fc.property(
        size,
        size,
        fc.nat(300_000),
        fc.array(size, { maxLength: 2 }),
        size,
        (a, b, startInfo, ramdisks, ram) => {
          const kernel = { start: Math.min(a, b), end: Math.max(a, b) + 1 }
          const ramBytes = Math.ceil(ram / PAGE_SIZE) * PAGE_SIZE
          try {
            const place = placePvhGuest(kernel, 'k', ramBytes, { startInfo: startInfo + 1, ramdisks })
            const pieces = [kernel, { start: place.startInfo, end: place.startInfo + startInfo + 1 }]
            const { ramdisk } = place
            if (ramdisk !== undefined)
              pieces.push({ start: ramdisk.start, end: ramdisk.start + ramdisks[ramdisk.index]! })
            const sorted = pieces.toSorted((x, y) => x.start - y.start)
            return (
              (ramdisk !== undefined) === ramdisks.length > 0 &&
              sorted.every((p, i) => p.end <= (sorted[i + 1]?.start ?? ramBytes)) &&
              pieces.slice(1).every((p) => p.start % PAGE_SIZE === 0 && p.start >= MiB)
            )
          } catch (error) {
            return error instanceof XtError
          }
        },
      ),
      { numRuns: 2000 },
    )
  },
)

const kernelData = sampleBytes(10_000)
const kernel = elfFile({
  entry: 0x1000010,
  segments: [{ paddr: 0x1000000, data: kernelData, memSize: 3 * MiB }],
})
const input: PvhGuestInput = {
  kernel,
  kernelName: 'vmlinuz',
  cmdline: 'console=hvc0 é',
  vcpus: 2,
  maxVcpus: 4,
}

t.test(
  'a guest is built: kernel, zeroed bss, unpacked ramdisk, start_info, ACPI area, special pages',
  async (t) => {
    const memory = machine(64 * MiB)
    const ramdisk = sampleBytes(50_000, 3)
    // What an earlier guest left behind must not show.
    memory.write(0x1000000 + 2 * MiB, new Uint8Array(5000).fill(0xaa))
    const guest = buildPvhGuest(memory, { ...input, ramdisk: gzipSync(ramdisk) })
    t.equal(guest.entry, 0x1000010)
    t.strictSame(guest.kernel, { start: 0x1000000, end: 0x1000000 + 3 * MiB })
    t.equal(Buffer.compare(memory.read(0x1000000, kernelData.length)!, kernelData), 0)
    t.ok(memory.read(0x1000000 + kernelData.length, 3 * MiB - kernelData.length)!.every((byte) => byte === 0))
    const info = parseStartInfo((gpa, length) => memory.read(gpa, length)!, guest.startInfo)
    t.match(info, { magic: 0x336ec578, version: 1, flags: 0, cmdline: 'console=hvc0 é' })
    t.strictSame(info.memoryMap, guest.memoryMap)
    t.strictSame(info.modules, [{ ...guest.ramdisk, cmdline: 0, reserved: 0 }])
    t.equal(Buffer.compare(memory.read(guest.ramdisk!.start, ramdisk.length)!, ramdisk), 0)
    t.equal(guest.ramdisk!.size, ramdisk.length)
    t.equal(new TextDecoder().decode(memory.read(info.rsdp, 8)), 'RSD PTR ')
    t.strictSame(guest.specialPages, { consoleGfn: 0xfefff, xenstoreGfn: 0xfeffc })
    for (let gfn = 0xfeff8; gfn < 0xff000; gfn++) {
      t.ok(memory.read(gfn * PAGE_SIZE, PAGE_SIZE)?.every((byte) => byte === 0))
    }
    t.equal(memory.frame(0xff000), 0)
    t.equal(memory.frame(0xfc009), 0)
  },
)

t.test('a guest without ramdisk has no module', async (t) => {
  const memory = machine(64 * MiB)
  const guest = buildPvhGuest(memory, { ...input, ramdisk: new Uint8Array(0) })
  t.equal(guest.ramdisk, undefined)
  t.strictSame(parseStartInfo((gpa, length) => memory.read(gpa, length)!, guest.startInfo).modules, [])
})

t.test('building again uses the same special pages, zeroed', async (t) => {
  const memory = machine(64 * MiB)
  buildPvhGuest(memory, input)
  const page = memory.frame(0xfefff)
  memory.write(0xfefff000, Uint8Array.of(1, 2, 3))
  buildPvhGuest(memory, input)
  t.equal(memory.frame(0xfefff), page)
  t.strictSame(memory.read(0xfefff000, 4), new Uint8Array(4))
})

t.test('a ramdisk that fits only packed is handed over packed', async (t) => {
  const memory = machine(64 * MiB)
  const ramdisk = gzipSync(new Uint8Array(60 * MiB))
  const guest = buildPvhGuest(memory, { ...input, ramdisk })
  t.equal(guest.ramdisk?.size, ramdisk.length)
  t.equal(Buffer.compare(memory.read(guest.ramdisk!.start, ramdisk.length)!, ramdisk), 0)
})

t.test('what does not fit is refused with a hint, before anything was written', async (t) => {
  const memory = machine(64 * MiB)
  const big = (paddr: number, memSize: number) =>
    elfFile({ entry: paddr, segments: [{ paddr, data: kernelData, memSize }] })
  const cases: readonly (readonly [code: string, hint: string | RegExp, change: Partial<PvhGuestInput>])[] = [
    ['XT_BOOT_RAMDISK_TOO_LARGE', 'memory=', { ramdisk: new Uint8Array(50 * MiB) }],
    ['XT_BOOT_KERNEL_OUTSIDE_RAM', 'at least 81.', { kernel: big(16 * MiB, 64 * MiB) }],
    ['XT_BOOT_KERNEL_OUTSIDE_RAM', /PVH entry/, { kernel: big(0xff000000, MiB) }],
    ['XT_BOOT_MEMORY_TOO_SMALL', 'at least 65.', { kernel: big(MiB, 63 * MiB) }],
    ['XT_BOOT_CMDLINE_HAS_NUL', '', { cmdline: 'a\0b' }],
  ]
  for (const [code, hint, change] of cases) {
    try {
      buildPvhGuest(memory, { ...input, ...change })
      t.fail(`${code} was not thrown`)
    } catch (error) {
      t.match(error, { code })
      t.match((error as XtError).hint ?? '', hint)
    }
  }
  t.ok(memory.u8.subarray(memory.layout.ram).every((byte) => byte === 0))
})

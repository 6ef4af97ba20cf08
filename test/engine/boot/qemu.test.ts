/**
 * The machine's memory as we build it, run by QEMU: an independent processor and Linux itself judge start_info, the
 * memory map and the ACPI tables. QEMU gets the bytes as they are, and a stub that jumps to the PVH entry.
 */
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { assetCache } from '../../../scripts/assets/cache.ts'
import { initramfs, runArgument } from '../../../scripts/assets/make-initramfs.ts'
import { MachineMemory, planMachine } from '../../../src/base/machine-memory.ts'
import { buildPvhGuest } from '../../../src/engine/boot/build.ts'
import { ACPI_AREA } from '../../../src/engine/boot/e820.ts'

const cached = (pattern: string) =>
  globSync(pattern, { cwd: assetCache() }).map((path) => join(assetCache(), path))
const [kernel] = cached('kernels/6.1.*-cloud-amd64_*/boot/vmlinuz-*')
const [busybox] = cached('busybox/*/{bin,usr/bin}/busybox')
const hasQemu = spawnSync('qemu-system-x86_64', ['--version']).error === undefined
const missing = !hasQemu
  ? 'qemu-system-x86_64'
  : kernel && busybox
    ? undefined
    : 'a Debian kernel and busybox in the cache'

/** A multiboot kernel for QEMU's loader (32-bit protected mode, flat segments) that does what Xen does: EBX, jump. */
function stub(entry: number, startInfo: number): Uint8Array {
  const loadAt = 0x9000
  const fileAt = 0x100
  const file = new Uint8Array(fileAt + 64)
  const view = new DataView(file.buffer)
  const words = (at: number, ...values: readonly number[]) => {
    for (const [i, value] of values.entries()) view.setUint32(at + 4 * i, value, true)
  }
  words(0, 0x464c457f, 0x00010101, 0, 0, 0x00030002, 1, loadAt + 32, 52, 0, 0, 0x00200034, 1)
  words(52, 1, fileAt, loadAt, loadAt, 64, 64, 7, 0x1000)
  words(fileAt, 0x1badb002, 0, -0x1badb002)
  file[fileAt + 32] = 0xbb // mov ebx, startInfo
  words(fileAt + 33, startInfo)
  file[fileAt + 37] = 0xb9 // mov ecx, entry
  words(fileAt + 38, entry)
  file.set([0xff, 0xe1], fileAt + 42) // jmp ecx
  return file
}

t.test(
  'Debian’s kernel boots from the memory we build and finds in it what Xen’s guest finds',
  {
    timeout: 180_000,
    ...(missing === undefined ? {} : { skip: `missing: ${missing}` }),
  },
  async (t) => {
    const dir = t.testdir({})
    const memory = MachineMemory.create(planMachine(256 << 20, 1)!)
    const guest = buildPvhGuest(memory, {
      kernel: readFileSync(kernel!),
      kernelName: kernel!,
      ramdisk: readFileSync(await initramfs({ busybox: busybox!, cache: dir })),
      cmdline: `console=ttyS0 ${runArgument('ls /sys/bus/acpi/devices; cat /sys/devices/system/cpu/present; reboot -f')}`,
      vcpus: 1,
      maxVcpus: 3,
    })
    const file = (name: string, bytes: Uint8Array) => {
      writeFileSync(join(dir, name), bytes)
      return join(dir, name)
    }
    const ramEnd = guest.ramdisk!.start + guest.ramdisk!.size
    const ram = file('ram', memory.read(guest.kernel.start, ramEnd - guest.kernel.start)!)
    const acpi = file('acpi', memory.read(ACPI_AREA.start, ACPI_AREA.end - ACPI_AREA.start)!)
    const load = (path: string, at: number) => ['-device', `loader,file=${path},addr=${at},force-raw=on`]
    // No _S5, so poweroff would halt: the guest ends with a reset, on which QEMU leaves (-no-reboot).
    // The log goes to a file: behind a full pipe the emulated serial port drops characters.
    // QEMU's RAM reaches over the ACPI area; the guest believes our map and uses 256 MiB.
    const qemu = spawnSync(
      'qemu-system-x86_64',
      [
        ...['-accel', 'tcg', '-M', 'pc,max-ram-below-4g=4G', '-m', '4040M', '-no-reboot'],
        ...['-display', 'none', '-monitor', 'none', '-serial', `file:${join(dir, 'log')}`],
        ...['-kernel', file('stub', stub(guest.entry, guest.startInfo))],
        ...load(ram, guest.kernel.start),
        ...load(acpi, ACPI_AREA.start),
      ],
      { encoding: 'utf8', timeout: 150_000, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    if (/[Cc]annot allocate memory/.test(qemu.stderr)) {
      t.comment('QEMU cannot have 4 GiB of address space here')
      return
    }
    t.equal(qemu.status, 0, qemu.stderr)
    const log = readFileSync(join(dir, 'log'), 'latin1')
    // The lines with their numbers are those of the golden guest's console (memory=256).
    for (const line of [
      'BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] usable',
      'BIOS-e820: [mem 0x0000000000100000-0x000000000fffffff] usable',
      'BIOS-e820: [mem 0x00000000fc000000-0x00000000fc00803f] ACPI data',
      'BIOS-e820: [mem 0x00000000feff8000-0x00000000feffffff] reserved',
      'RAMDISK: [mem 0x03e01000-0x',
      'ACPI: RSDP 0x00000000FC008000 000024 (v02 Xen   )',
      'ACPI: No IOAPIC entries present',
      'ACPI: 1 ACPI AML tables successfully acquired and loaded',
      'smpboot: Allowing 3 CPUs, 2 hotplug CPUs',
      'CPU1 has been hot-added',
      'CPU2 has been hot-added',
      'xt: init started',
      'ACPI0007:02',
      '0-2',
      'reboot: Restarting system',
    ]) {
      t.ok(log.includes(line), line)
    }
    t.notMatch(log, /ACPI (BIOS )?(Error|Exception|Warning)/)
  },
)

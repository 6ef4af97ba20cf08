import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import t from 'tap'
import { assetCache } from '../../../scripts/assets/cache.ts'
import { MachineMemory, planMachine } from '../../../src/base/machine-memory.ts'
import { buildPvhGuest } from '../../../src/engine/boot/build.ts'
import { isElf } from '../../../src/engine/boot/elf.ts'

/** Debian's kernels, as far as the cache has them. */
const kernels = globSync('kernels/*/boot/vmlinuz-*', { cwd: assetCache() }).map(
  (path) => `${assetCache()}/${path}`,
)
const skip =
  kernels.length > 0
    ? {}
    : { skip: 'no Debian kernel in the cache: scripts/assets/fetch-debian-kernel.ts gets one' }

t.test('Debian’s kernels are unpacked and loaded at their link address', skip, async (t) => {
  const memory = MachineMemory.create(planMachine(256 << 20, 1)!)
  for (const path of kernels) {
    const guest = buildPvhGuest(memory, {
      kernel: readFileSync(path),
      kernelName: path,
      cmdline: 'console=hvc0',
      vcpus: 1,
      maxVcpus: 1,
    })
    const release = basename(path).replace('vmlinuz-', '')
    t.equal(guest.kernel.start, 16 << 20, release)
    t.ok(guest.entry > guest.kernel.start && guest.entry < guest.kernel.end)
    t.ok(guest.startInfo >= guest.kernel.end)
    const image = Buffer.from(memory.read(guest.kernel.start, guest.kernel.end - guest.kernel.start)!)
    t.notOk(isElf(image), 'the segments are there, not the file')
    t.ok(image.includes(`Linux version ${release} `), `${release} carries its banner`)
  }
})

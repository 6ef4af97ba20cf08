/**
 * Entry of a domain process with everything xt has: started by launch.ts, never by hand. It must start fast and
 * stay small, so nothing of the command line is imported here, and plugins only as a domain needs them.
 */
import { builtinPlugins, showDisk } from '../plugins/builtin.ts'
import { buildPvhGuest } from './boot/build.ts'
import { loadPlugins } from './discover.ts'
import { errors } from './errors.ts'
import { serveDomain } from './serve-domain.ts'

await serveDomain({
  entry: new URL(import.meta.url),
  async loadPlugins(config) {
    const { cpu, plugins } = config
    // The software CPU runs everywhere, so it is what `auto` means.
    if (cpu === 'kvm') throw errors.XT_CPU_UNAVAILABLE(cpu)
    return loadPlugins(builtinPlugins, plugins, process.cwd())
  },
  showDisk,
  buildGuest: (memory, config, files) => {
    const { vcpus, maxVcpus } = config
    const guest = buildPvhGuest(memory, { ...files, vcpus, maxVcpus })
    const memoryMap = guest.memoryMap.map(({ start, size, type }) => ({
      addr: BigInt(start),
      size: BigInt(size),
      type,
    }))
    return { rip: guest.entry, rbx: guest.startInfo, memoryMap }
  },
})

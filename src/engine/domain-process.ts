/**
 * Entry of a domain process with everything xt has: started by launch.ts, never by hand. It must start fast and
 * stay small, so nothing of the command line is imported here, and plugins only as a domain needs them.
 */
import { builtinPlugins } from '../plugins/builtin.ts'
import { buildPvhGuest } from './boot/build.ts'
import { loadPlugins } from './discover.ts'
import { errors } from './errors.ts'
import { serveDomain } from './serve-domain.ts'

await serveDomain({
  entry: new URL(import.meta.url),
  async loadPlugins({ cpu, plugins }) {
    // The software CPU runs everywhere, so it is what `auto` means.
    if (cpu === 'kvm') throw errors.XT_CPU_UNAVAILABLE(cpu)
    return loadPlugins(builtinPlugins, plugins, process.cwd())
  },
  buildGuest: (memory, config, files) => {
    const { cmdline, vcpus, maxVcpus } = config
    const guest = buildPvhGuest(memory, { ...files, kernelName: config.kernel!, cmdline, vcpus, maxVcpus })
    return { rip: guest.entry, rbx: guest.startInfo }
  },
})

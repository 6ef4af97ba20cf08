/**
 * The list of builtin plugins, in the order of equals, each loaded only where a domain needs it; and what the engine needs
 * of one of them before there is a machine.
 */
import type { BuiltinPlugin } from '../engine/discover.ts'
import type { ShowDisk } from '../engine/run-bootloader.ts'

export const builtinPlugins: readonly BuiltinPlugin[] = [
  { name: 'cpu-software', load: () => import('./cpu-software/index.ts') },
  { name: 'xen-shim', load: () => import('./xen-shim/index.ts') },
  { name: 'console', load: () => import('./console/index.ts') },
  { name: 'vbd', load: () => import('./vbd/index.ts') },
  { name: '9pfs', load: () => import('./9pfs/index.ts') },
  { name: 'vif', load: () => import('./vif/index.ts') },
]

/** A disk as a file, for the bootloader. */
export const showDisk: ShowDisk = async (disk, options) => {
  const vbd = await import('./vbd/show-disk.ts')
  return vbd.showDisk(disk, options)
}

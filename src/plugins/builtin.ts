/** The list of builtin plugins, in the order of equals. Each is loaded only where a domain needs it. */
import type { BuiltinPlugin } from '../engine/discover.ts'

export const builtinPlugins: readonly BuiltinPlugin[] = [
  { name: 'cpu-software', load: () => import('./cpu-software/index.ts') },
  { name: 'xen-shim', load: () => import('./xen-shim/index.ts') },
  { name: 'console', load: () => import('./console/index.ts') },
  { name: 'vbd', load: () => import('./vbd/index.ts') },
  { name: '9pfs', load: () => import('./9pfs/index.ts') },
  { name: 'vif', load: () => import('./vif/index.ts') },
]

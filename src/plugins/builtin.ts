/** The list of builtin plugins. Each is loaded only for a domain that needs it. */
import type { DomainConfig } from '../config/schema.ts'
import type { BuiltinPlugin } from '../engine/discover.ts'

/** The plugins of one domain; the order is that of equals. */
export function builtinPlugins(_config: DomainConfig): readonly BuiltinPlugin[] {
  return [
    { name: 'cpu-software', load: () => import('./cpu-software/index.ts') },
    { name: 'xen-shim', load: () => import('./xen-shim/index.ts') },
    { name: 'console', load: () => import('./console/index.ts') },
  ]
}

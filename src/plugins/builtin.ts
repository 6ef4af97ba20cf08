/** The list of builtin plugins. Each is loaded only for a domain that needs it. */
import type { DomainConfig } from '../config/schema.ts'
import type { BuiltinPlugin } from '../engine/discover.ts'

/** The plugins of one domain, in the order in which equals are called. */
export function builtinPlugins(_config: DomainConfig): readonly BuiltinPlugin[] {
  return [{ name: 'console', load: () => import('./console/index.ts') }]
}

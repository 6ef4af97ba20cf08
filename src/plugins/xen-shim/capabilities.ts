/** What the Xen shim gives other parts besides pvBus and xenstore. */
import type { Domain } from '../../xen/domain.ts'

declare module '../../engine/plugin.ts' {
  interface Capabilities {
    /** The emulated domain: ports, params, grants, memory map (xen-shim). For the engine's builder and the toolstack. */
    xenDomain: Domain
  }
}

/**
 * The primary console: settings of the plugin, and where it stands in xenstore. Its nodes are part of the tree that
 * every domain gets (src/xen/xenstore/domain-tree.ts), as with libxl.
 */
import { z } from 'zod'
import type { Domid } from '../../base/brand.ts'

export const consoleSettings = z.strictObject({
  scrollbackBytes: z
    .int()
    .min(4096)
    .max(256 * 1024 * 1024)
    .default(1024 * 1024)
    .describe('How much of the output is kept for those who attach later.'),
  log: z.string().min(1).optional().describe('File to which all output is appended.'),
  logBytes: z
    .int()
    .min(4096)
    .max(Number.MAX_SAFE_INTEGER)
    .default(64 * 1024 * 1024)
    .describe('Size at which the log becomes FILE.1 and a new one is begun.'),
})
export type ConsoleSettings = z.output<typeof consoleSettings>

export const consoleFrontendPath = (guest: Domid): string => `/local/domain/${guest}/console`
export const consoleBackendPath = (guest: Domid): string => `/local/domain/0/backend/console/${guest}/0`

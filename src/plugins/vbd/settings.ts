/** The plugin's own settings (pluginConfig.vbd). */
import { z } from 'zod'

export const vbdSettings = z.strictObject({
  persistentGrants: z
    .boolean()
    .default(true)
    .describe(
      'Ask guests to keep their buffers granted, as Xen does; they copy all data through these then.',
    ),
  maxQueues: z
    .int()
    .min(1)
    .max(16)
    .default(4)
    .describe('Most rings of one disk; a guest takes one for each vCPU'),
  threads: z.int().min(1).max(12).default(8).describe('Threads for disks; further disks share them'),
  sectorSizes: z
    .record(z.string(), z.union([z.literal(512), z.literal(4096)]))
    .default({})
    .describe('Bytes of a sector of disks that are files, by name (xvdb); else 512'),
  resizeSeconds: z
    .number()
    .min(0)
    .default(2)
    .describe('How often the size of an image is looked at, so that the guest sees it grow; 0: never'),
  cdromsAsDisks: z
    .boolean()
    .default(false)
    .describe('Show CD drives as read-only disks: Linux takes no CD drives from Xen in a PVH guest'),
})

export type VbdSettings = z.output<typeof vbdSettings>

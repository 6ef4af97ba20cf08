/**
 * xt's own settings, as they stand in a cosmiconfig file (.xtrc.yaml, xt.config.js ...): what xl.conf is for xl.
 * config-schema/settings.json is generated from this file.
 */
import { z } from 'zod'

export const xtSettingsSchema = z
  .strictObject({
    cpu: z.enum(['auto', 'software', 'kvm']).default('auto').describe('CPU backend of guests that name none'),
    plugins: z
      .array(z.string().min(1))
      .default([])
      .describe('Engine plugins for every guest: packages or paths'),
    pluginConfig: z
      .record(z.string(), z.record(z.string(), z.json()))
      .default({})
      .describe("Settings of plugins by the plugin's name; each plugin checks its own"),
    bridge: z.string().min(1).optional().describe('Bridge of vifs that name none'),
    escapeKey: z
      .string()
      .min(1)
      .max(2)
      .default('^]')
      .describe('Key that leaves a console: a character or ^X'),
    strict: z.boolean().default(false).describe('Warnings about a configuration are errors'),
  })
  .describe("xt's own settings")

export type XtSettings = z.output<typeof xtSettingsSchema>

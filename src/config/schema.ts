/**
 * The configuration of one domain as the engine gets it: plain JSON, camelCase, defaults filled in.
 *
 * The reader (domain.ts) turns an xl file into the input of `domainSchema`; defaults stand here and nowhere
 * else. config-schema/domain.json is generated from this file. Sizes carry their unit in the name.
 */
import { z } from 'zod'
import { DISK_BACKEND_TYPES, DISK_FORMATS, DISK_SPECIFICATIONS } from './specs/disk.ts'

export const ACTIONS = [
  'destroy',
  'restart',
  'rename-restart',
  'preserve',
  'coredump-destroy',
  'coredump-restart',
  'soft-reset',
] as const
const action = z.enum(ACTIONS)
/** A count or size: what a JSON number can hold exactly. */
const count = z.int().min(0)
const text = z.string()

export const diskSchema = z.strictObject({
  target: text.optional().describe('File or device; absent for an empty CD drive'),
  vdev: text.describe('Name in the guest, e.g. xvda'),
  vdevNumber: count.describe('Number of the name, as in xenstore'),
  format: z.enum(DISK_FORMATS),
  readwrite: z.boolean(),
  removable: z.boolean().default(false),
  cdrom: z.boolean().default(false),
  backend: text.optional().describe('Domain of the backend, name or number'),
  backendtype: z.enum(DISK_BACKEND_TYPES).optional(),
  specification: z.enum(DISK_SPECIFICATIONS).default('xen'),
  script: text.optional(),
  directIoSafe: z.boolean().default(false),
  discard: z.boolean().optional().describe('Default: on if writable'),
  trusted: z.boolean().default(true),
  grantUsage: z.boolean().optional(),
})

export const vifSchema = z.strictObject({
  devid: count,
  mac: text.optional(),
  bridge: text.optional(),
  gatewaydev: text.optional(),
  type: z.enum(['vif', 'ioemu']).default('vif'),
  model: text.optional(),
  vifname: text.optional(),
  script: text.optional(),
  ip: text.optional(),
  backend: text.optional(),
  mtu: count.default(1500),
  rateBytesPerInterval: count.optional().describe('Absent: unlimited'),
  rateIntervalUs: count.optional(),
  vlan: text.optional(),
  trusted: z.boolean().default(true),
})

export const p9Schema = z.strictObject({
  devid: count,
  tag: text,
  path: text,
  securityModel: text,
  backend: text.optional(),
})

export const channelSchema = z.strictObject({
  devid: count,
  name: text,
  connection: z.enum(['pty', 'socket']),
  path: text.optional(),
  backend: text.optional(),
})

export const domainSchema = z.strictObject({
  name: text.min(1),
  uuid: z.guid(),
  type: z.enum(['pvh', 'hvm', 'pv']),
  kernel: text.optional(),
  ramdisk: text.optional(),
  cmdline: text.default(''),
  memoryKiB: count.min(1).describe('Memory at start (xl: memory)'),
  maxMemoryKiB: count.min(1).describe('Most memory the guest may have (xl: maxmem)'),
  vcpus: z.int().min(1).default(1).describe('vCPUs online at start'),
  maxVcpus: z.int().min(1).describe('vCPUs the guest may have'),
  onPoweroff: action.default('destroy'),
  onReboot: action.default('restart'),
  onCrash: action.default('destroy'),
  onWatchdog: action.default('destroy'),
  onSoftReset: action.default('soft-reset'),
  disks: z.array(diskSchema).default([]),
  vifs: z.array(vifSchema).default([]),
  p9: z.array(p9Schema).default([]),
  channels: z.array(channelSchema).default([]),
  cpu: z
    .enum(['auto', 'software', 'kvm'])
    .default('auto')
    .describe("xt's own: which CPU backend runs the guest"),
  plugins: z.array(text).default([]).describe("xt's own: packages or paths of further engine plugins"),
})

export type DomainConfig = z.output<typeof domainSchema>
export type DiskConfig = z.output<typeof diskSchema>
export type VifConfig = z.output<typeof vifSchema>
export type P9Config = z.output<typeof p9Schema>
export type ChannelConfig = z.output<typeof channelSchema>
export type Action = (typeof ACTIONS)[number]

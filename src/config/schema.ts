/**
 * The configuration of one domain as the engine gets it: plain JSON, camelCase, defaults filled in.
 *
 * The reader (domain.ts) turns an xl file into the input of `domainSchema`; defaults stand here and nowhere
 * else. config-schema/domain.json is generated from this file. Sizes carry their unit in the name.
 */
import { z } from 'zod'
import { MAX_VCPUS } from '../base/machine-memory.ts'
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
  mtu: count.optional().describe('Default: 1500; with user-mode networking the largest'),
  rateBytesPerInterval: count.optional().describe('Absent: unlimited'),
  rateIntervalUs: count.optional(),
  vlan: text.optional(),
  trusted: z.boolean().default(true),
  forward: text.optional().describe("xt's own: ports of the host that lead to the guest"),
  hostLoopback: z.boolean().default(false).describe("xt's own: the gateway's address is the host's loopback"),
})

export const p9Schema = z.strictObject({
  devid: count,
  tag: text,
  path: text.describe('Folder of the host'),
  securityModel: text.default('none'),
  readOnly: z.boolean().default(false).describe("xt's own: the guest may not change anything"),
  backend: text.optional(),
  type: z.enum(['qemu', 'xen_9pfsd']).optional(),
  maxSpace: count.optional().describe('In MiB'),
  maxFiles: count.optional(),
  maxOpenFiles: count.optional(),
  autoDelete: z.boolean().optional(),
})

export const channelSchema = z.strictObject({
  devid: count,
  name: text.default(''),
  connection: z.enum(['pty', 'socket']),
  path: text.optional(),
  backend: text.optional(),
})

export const vfbSchema = z.strictObject({
  devid: count,
  vnc: z.strictObject({
    enable: z.boolean().default(true),
    listen: text.default('127.0.0.1'),
    display: count.default(0),
    findUnused: z.boolean().default(true).describe('Take the next free display'),
    password: text.optional(),
  }),
  keymap: text.optional(),
})

export const vkbSchema = z.strictObject({
  devid: count,
  backendType: z.enum(['qemu', 'linux']).optional(),
  uniqueId: text.optional(),
  keyboard: z.boolean().default(true),
  pointer: z.boolean().default(true),
  absPointer: z.boolean().default(false),
  rawPointer: z.boolean().default(false),
  multiTouch: z.strictObject({ width: count, height: count, contacts: count }).optional(),
  width: count.optional(),
  height: count.optional(),
})

export const domainSchema = z.strictObject({
  name: text.min(1),
  uuid: z.guid(),
  type: z.enum(['pvh', 'hvm', 'pv']),
  kernel: text.optional(),
  ramdisk: text.optional(),
  cmdline: text.default(''),
  bootloader: text.optional().describe('Program that takes kernel and ramdisk from the first disk'),
  bootloaderArgs: z.array(text).default([]),
  memoryKiB: count.min(1).describe('Memory at start (xl: memory)'),
  maxMemoryKiB: count.min(1).describe('Most memory the guest may have (xl: maxmem)'),
  vcpus: z.int().min(1).max(MAX_VCPUS).default(1).describe('vCPUs online at start'),
  maxVcpus: z.int().min(1).max(MAX_VCPUS).describe('vCPUs the guest may have'),
  onPoweroff: action.default('destroy'),
  onReboot: action.default('restart'),
  onCrash: action.default('destroy'),
  onWatchdog: action.default('destroy'),
  onSoftReset: action.default('soft-reset'),
  disks: z.array(diskSchema).default([]),
  vifs: z.array(vifSchema).default([]),
  p9: z.array(p9Schema).default([]),
  channels: z.array(channelSchema).default([]),
  vfbs: z.array(vfbSchema).default([]),
  vkbs: z.array(vkbSchema).default([]),
  cpu: z
    .enum(['auto', 'software', 'kvm'])
    .default('auto')
    .describe("xt's own: which CPU backend runs the guest"),
  plugins: z.array(text).default([]).describe("xt's own: packages or paths of further engine plugins"),
  stanzas: z
    .record(z.string(), z.json())
    .default({})
    .describe("xt's own: keys that belong to plugins, as they stand in the file; each plugin checks its own"),
  libxl: z
    .record(z.string(), z.json())
    .default({})
    .describe(
      "The same configuration as libxl's domain_config, what was not said left out: what `create -N` and `list -l` print",
    ),
})

export type DomainConfig = z.output<typeof domainSchema>
export type DiskConfig = z.output<typeof diskSchema>
export type VifConfig = z.output<typeof vifSchema>
export type P9Config = z.output<typeof p9Schema>
export type VfbConfig = z.output<typeof vfbSchema>
export type VkbConfig = z.output<typeof vkbSchema>
export type ChannelConfig = z.output<typeof channelSchema>
export type Action = (typeof ACTIONS)[number]

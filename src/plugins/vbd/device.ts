/**
 * One disk: its schema (an item of the configuration's `disks`), what of it xt cannot serve, and the nodes that a
 * toolstack writes for it, as libxl does for a raw file or block device (backend type phy).
 */
import { z } from 'zod'
import { vbdErrors } from './errors.ts'
import type { VbdSettings } from './settings.ts'

const text = z.string()

export const vbdDevice = z.strictObject({
  target: text.optional().describe('File or block device'),
  vdev: text.describe('Name in the guest, e.g. xvda'),
  vdevNumber: z.int().min(0).describe('Number of the name: virtual-device'),
  format: z.enum(['raw', 'qcow', 'qcow2', 'vhd', 'qed', 'empty']),
  readwrite: z.boolean(),
  removable: z.boolean().default(false),
  cdrom: z.boolean().default(false),
  backend: text.optional(),
  backendtype: z.enum(['phy', 'tap', 'qdisk', 'standalone']).optional(),
  specification: z.enum(['xen', 'virtio']).default('xen'),
  script: text.optional(),
  directIoSafe: z.boolean().default(false).describe('Past the page cache of the host (O_DIRECT)'),
  discard: z.boolean().optional().describe('Default: on if writable'),
  trusted: z.boolean().default(true),
  grantUsage: z.boolean().optional(),
})

/** A disk as the configuration has it. */
export type VbdSpec = z.output<typeof vbdDevice>
/** A disk that can be served; without a target it is an empty drive. */
export type VbdDevice = VbdSpec & { readonly shownAsDisk?: boolean }

/** The script that libxl names where none is given. It is not run: nothing needs to be set up for a file. */
const DEFAULT_SCRIPT = '/etc/xen/scripts/block'

/** @throws XtError XT_VBD_NO_TARGET, XT_VBD_UNSUPPORTED */
export function mustBeServed(
  disk: VbdSpec,
  { cdromsAsDisks }: Pick<VbdSettings, 'cdromsAsDisks'>,
): VbdDevice {
  const { vdev, format, backend, backendtype, specification, script } = disk
  const target = format === 'empty' || disk.target === '' ? undefined : disk.target
  if (target === undefined && !disk.cdrom) throw vbdErrors.XT_VBD_NO_TARGET(vdev)
  const unserved = (setting: string, needed: string) => vbdErrors.XT_VBD_UNSUPPORTED(vdev, setting, needed)
  if (backend !== undefined && backend !== '0' && backend !== 'Domain-0')
    throw unserved(`backend=${backend}`, 'grants and event channels between domain processes')
  if (specification !== 'xen' || backendtype === 'standalone')
    throw unserved(
      backendtype === 'standalone' ? 'backendtype=standalone' : `specification=${specification}`,
      'virtio devices',
    )
  if (backendtype === 'phy' && format !== 'raw' && target !== undefined)
    throw unserved(`backendtype=phy with format=${format}`, 'no backendtype, or qdisk')
  if (script !== undefined && format !== 'raw')
    throw unserved(`script=${script} with format=${format}`, 'a script that makes a raw device')
  const { target: _given, ...rest } = disk
  return { ...rest, ...(target === undefined ? {} : { target }), shownAsDisk: disk.cdrom && cdromsAsDisks }
}

/** libxl turns discard on for every writable disk. */
export const wantsDiscard = ({ readwrite, discard }: VbdDevice): boolean => readwrite && (discard ?? true)

/** What the toolstack tells the frontend. */
export function frontendNodes(disk: VbdDevice): Record<string, string> {
  return {
    'virtual-device': String(disk.vdevNumber),
    'device-type': deviceType(disk),
    trusted: flag(disk.trusted),
  }
}

/** What the toolstack tells the backend. XEN: libxl names another format together with the target. */
export function backendNodes(disk: VbdDevice): Record<string, string> {
  const { target = '', format, script } = disk
  const isRaw = format === 'raw' || format === 'empty'
  return {
    params: isRaw ? target : `${format}:${target}`,
    ...(isRaw ? { script: script ?? DEFAULT_SCRIPT } : {}),
    bootable: '1',
    dev: disk.vdev,
    type: isRaw && disk.backendtype !== 'qdisk' ? 'phy' : 'qdisk',
    mode: disk.readwrite ? 'w' : 'r',
    'device-type': deviceType(disk),
    removable: flag(disk.removable),
    'discard-enable': flag(wantsDiscard(disk)),
    specification: 'xen',
    ...(disk.directIoSafe ? { 'direct-io-safe': '1' } : {}),
  }
}

const deviceType = ({ cdrom, shownAsDisk }: VbdDevice): string => (cdrom && !shownAsDisk ? 'cdrom' : 'disk')
const flag = (on: boolean): string => (on ? '1' : '0')

/**
 * One shared folder: its schema (an item of the configuration's `p9`), what of it xt cannot serve, and the nodes that a
 * toolstack writes for it, as libxl does.
 */
import { z } from 'zod'
import { p9Errors } from './errors.ts'

const text = z.string()
const count = z.int().min(0)

export const p9Device = z.strictObject({
  devid: count,
  tag: text.describe('What the guest mounts'),
  path: text.describe('Folder of the host'),
  securityModel: text.default('none'),
  readOnly: z.boolean().default(false),
  backend: text.optional(),
  type: z.enum(['qemu', 'xen_9pfsd']).optional().describe('Without effect: xt serves itself'),
  maxSpace: count.optional(),
  maxFiles: count.optional(),
  maxOpenFiles: count.optional().describe('Files that the guest may have open at a time'),
  autoDelete: z.boolean().optional(),
})
export type P9Device = z.output<typeof p9Device>

/** @throws XtError XT_9PFS_UNSUPPORTED */
export function mustBeServed(device: P9Device): P9Device {
  const { tag, securityModel, backend, maxSpace = 0, maxFiles = 0, autoDelete } = device
  const unserved = (setting: string, needed: string) => p9Errors.XT_9PFS_UNSUPPORTED(tag, setting, needed)
  if (securityModel !== 'none')
    throw unserved(
      `security_model=${securityModel}`,
      'another way to keep owners; none is what Xen supports, too',
    )
  if (backend !== undefined && backend !== '0' && backend !== 'Domain-0')
    throw unserved(`backend=${backend}`, 'grants and event channels between domain processes')
  if (maxSpace > 0)
    throw unserved(
      `max-space=${maxSpace}`,
      'a count of all that is in the folder; use a file system of that size',
    )
  if (maxFiles > 0)
    throw unserved(
      `max-files=${maxFiles}`,
      'a count of all that is in the folder; use a file system with so many inodes',
    )
  if (autoDelete === true) throw unserved('auto-delete=1', 'a choice of files to delete')
  return device
}

/** What the toolstack tells the frontend. */
export const frontendNodes = ({ tag }: P9Device): Record<string, string> => ({ tag })

/** What the toolstack tells the backend. */
export const backendNodes = ({ path, securityModel }: P9Device): Record<string, string> => ({
  path,
  security_model: securityModel,
})

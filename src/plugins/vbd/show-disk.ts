/**
 * A disk of the configuration as a file of the host, to be read before there is a guest: a bootloader looks for its
 * kernel there. The same image is opened again, perhaps to be written, when the guest gets its disks.
 */
import type { Log } from '../../engine/plugin.ts'
import { type ShownImage, showImage } from './daemon.ts'
import { mustBeServed, vbdDevice } from './device.ts'
import { vbdErrors } from './errors.ts'
import { openImage } from './image.ts'
import { sourceOf } from './source.ts'

export interface ShowDiskOptions {
  /** A directory of this domain's own. */
  readonly directory: string
  readonly log: Log
  readonly signal: AbortSignal
}

/** `spec` is an item of the configuration's `disks`. Rejects with XtErrors of errors.ts; nothing is left then. */
export async function showDisk(spec: unknown, options: ShowDiskOptions): Promise<ShownImage> {
  const disk = mustBeServed(vbdDevice.parse(spec), { cdromsAsDisks: false })
  const { target, vdev } = disk
  if (target === undefined) throw vbdErrors.XT_VBD_NO_TARGET(vdev)
  // Nothing is written, so other readers may be there.
  const toRead = { ...disk, target, readwrite: false, directIoSafe: false }
  const source = sourceOf(toRead)
  if (source.kind === 'daemon') return showImage(toRead, source, options)
  // Nothing is needed of it but that it can be opened: what it says is clearer than what a bootloader would.
  const { path } = source
  await using _opened = await openImage(toRead, { path, lock: false, sectorSize: 512, log: options.log })
  return { path, [Symbol.asyncDispose]: async () => {} }
}

/**
 * A disk's file or block device of the host, opened for as long as it is served: its descriptor, what a guest is told
 * of it, and how large it is now.
 */
import { close, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { promisify } from 'node:util'
import { type VbdDevice, wantsDiscard } from './device.ts'
import { vbdErrors } from './errors.ts'
import type { Geometry } from './medium.ts'
import { loadPunchHole } from './punch-hole.ts'

const SECTOR = 512

export interface ImageOptions {
  /** Bytes of a sector that a guest sees of a file. */
  readonly sectorSize: 512 | 4096
}

/** Closed when disposed. */
export interface Image extends AsyncDisposable {
  readonly fd: number
  /** As it was when it was opened or last measured. */
  readonly geometry: Geometry
  /** Looks again; true if the size has changed. */
  measure(): boolean
  /** Nobody can open it any more, but those who have. */
  isDeleted(): boolean
}

/** @throws XtError XT_VBD_MISSING, XT_VBD_DENIED, XT_VBD_NO_DISK, XT_VBD_UNUSABLE */
export async function openImage(
  disk: VbdDevice & { readonly target: string },
  options: ImageOptions,
): Promise<Image> {
  const canPunch = wantsDiscard(disk) && (await loadPunchHole()) !== undefined
  const fd = open(disk)
  try {
    const measure = () => geometryOf(disk, fstatSync(fd), options, canPunch)
    let geometry = measure()
    if (geometry.sectors === 0)
      throw vbdErrors.XT_VBD_NO_DISK(disk.vdev, disk.target, 'shorter than a sector')
    return {
      fd,
      get geometry() {
        return geometry
      },
      measure() {
        const before = geometry.sectors
        geometry = measure()
        return geometry.sectors !== before
      },
      isDeleted: () => fstatSync(fd).nlink === 0,
      [Symbol.asyncDispose]: () => promisify(close)(fd),
    }
  } catch (error) {
    close(fd)
    throw error
  }
}

function open({ vdev, target, readwrite }: VbdDevice & { readonly target: string }): number {
  try {
    // Nonblocking, so that a named pipe does not keep us here.
    return openSync(target, (readwrite ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK)
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
        throw vbdErrors.XT_VBD_MISSING(vdev, target)
      case 'EISDIR':
        throw vbdErrors.XT_VBD_NO_DISK(vdev, target, 'a directory')
      case 'EACCES':
      case 'EPERM':
      case 'EROFS':
        throw vbdErrors.XT_VBD_DENIED(vdev, target, readwrite ? 'written' : 'read')
      default:
        throw vbdErrors.XT_VBD_UNUSABLE(vdev, target, (error as Error).message)
    }
  }
}

function geometryOf(
  { vdev, target }: VbdDevice & { readonly target: string },
  stats: Stats,
  { sectorSize }: ImageOptions,
  canPunch: boolean,
): Geometry {
  if (stats.isFile()) {
    const wholeSectors = Math.floor(stats.size / sectorSize) * (sectorSize / SECTOR)
    const discard = canPunch ? { discard: { granularity: stats.blksize } } : {}
    return {
      sectors: wholeSectors,
      sectorSize,
      physicalSectorSize: sectorSize,
      device: undefined,
      ...discard,
    }
  }
  if (stats.isDirectory()) throw vbdErrors.XT_VBD_NO_DISK(vdev, target, 'a directory')
  if (!stats.isBlockDevice())
    throw vbdErrors.XT_VBD_NO_DISK(vdev, target, 'neither a file nor a block device')
  try {
    const { granularity, ...geometry } = deviceGeometry(stats.rdev)
    return canPunch && granularity > 0 ? { ...geometry, discard: { granularity } } : geometry
  } catch (error) {
    throw vbdErrors.XT_VBD_UNUSABLE(vdev, target, `its size cannot be found out: ${(error as Error).message}`)
  }
}

/** What the kernel says of a block device, by its number (st_rdev). Throws if it says nothing. */
export function deviceGeometry(
  rdev: number,
  sysfs = '/sys/dev/block',
): Omit<Geometry, 'discard'> & { readonly granularity: number } {
  const major = (rdev >>> 8) & 0xfff
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)
  const folder = `${sysfs}/${major}:${minor}`
  const number = (file: string) => Number(readFileSync(`${folder}/${file}`, 'utf8'))
  const limit = (name: string) => {
    try {
      return number(`queue/${name}`)
    } catch {
      // A partition: the limits are the whole disk's.
      return number(`../queue/${name}`)
    }
  }
  return {
    sectors: number('size'),
    sectorSize: limit('logical_block_size'),
    physicalSectorSize: limit('physical_block_size'),
    device: `${major.toString(16)}:${minor.toString(16)}`,
    granularity: limit('discard_granularity'),
  }
}

/**
 * A disk's file or block device of the host, opened for as long as it is served: its descriptor, what a guest is told
 * of it, and how large it is now. It is locked against a second writer.
 */
import { close, constants, fstat, fstatSync, openSync, readFileSync, readSync, type Stats } from 'node:fs'
import { promisify } from 'node:util'
import type { Log } from '../../engine/plugin.ts'
import { type VbdDevice, wantsDiscard } from './device.ts'
import { vbdErrors } from './errors.ts'
import { holdersOf, loadImageLock } from './image-lock.ts'
import type { Geometry } from './medium.ts'
import { loadPunchHole } from './punch-hole.ts'

const SECTOR = 512
/** Discards of files are offered in pieces of at least this. */
const FILE_GRANULARITY = 4096

export interface ImageOptions {
  /** Bytes of a sector that a guest sees of a file. */
  readonly sectorSize: 512 | 4096
  /** What is opened, where it is not the target itself. */
  readonly path: string
  /** Whether it is locked here: not what a daemon shows, who locks what lies behind it. */
  readonly lock: boolean
  readonly log: Log
}

/** Closed when disposed. */
export interface Image extends AsyncDisposable {
  readonly fd: number
  /** As it was when it was opened or last measured. */
  readonly geometry: Geometry
  /** Looks again, without holding up this thread where the host does not answer. */
  measure(): Promise<{
    readonly hasNewSize: boolean
    /** Nobody can open it any more, but those who have. */
    readonly isDeleted: boolean
  }>
}

type Targeted = VbdDevice & { readonly target: string }

/** @throws XtError XT_VBD_MISSING, XT_VBD_DENIED, XT_VBD_LOCKED, XT_VBD_NO_DISK, XT_VBD_UNUSABLE */
export async function openImage(disk: Targeted, options: ImageOptions): Promise<Image> {
  const canPunch = wantsDiscard(disk) && (await loadPunchHole()) !== undefined
  const { fd, isDirect } = open(disk, options)
  try {
    const smallest = isDirect ? directAlignment(fd) : SECTOR
    const sectorSize = Math.max(options.sectorSize, smallest)
    let geometry = geometryOf(disk, fstatSync(fd), sectorSize, canPunch)
    let isOpen = true
    if (geometry.sectors === 0)
      throw vbdErrors.XT_VBD_NO_DISK(disk.vdev, disk.target, 'shorter than a sector')
    if (options.lock) await lock(fd, disk, options)
    if (disk.format === 'raw') warnOfContainer(fd, isDirect, disk, options)
    return {
      fd,
      get geometry() {
        return geometry
      },
      async measure() {
        const before = geometry.sectors
        const stats = await promisify(fstat)(fd)
        geometry = geometryOf(disk, stats, sectorSize, canPunch)
        return { hasNewSize: geometry.sectors !== before, isDeleted: stats.nlink === 0 }
      },
      [Symbol.asyncDispose]: async () => {
        if (isOpen) await promisify(close)(fd)
        isOpen = false
      },
    }
  } catch (error) {
    close(fd)
    throw error
  }
}

/** O_DIRECT where it is wanted and the file system has it. */
function open(
  disk: Targeted,
  { path, log }: ImageOptions,
): { readonly fd: number; readonly isDirect: boolean } {
  const { vdev, target, readwrite, directIoSafe } = disk
  // Nonblocking, so that a named pipe does not keep us here.
  const flags = (readwrite ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK
  if (directIoSafe) {
    try {
      return { fd: openSync(path, flags | constants.O_DIRECT), isDirect: true }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EINVAL')
        log.warn(`direct-io-safe has no effect: the file system of ${path} has no direct I/O`)
    }
  }
  try {
    return { fd: openSync(path, flags), isDirect: false }
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

/** Direct I/O moves whole sectors of the device below, which a file does not tell: it is tried. */
function directAlignment(fd: number): number {
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer)
  try {
    readSync(fd, memory, 0, SECTOR, SECTOR)
    return SECTOR
  } catch {
    return 4096
  }
}

async function lock(fd: number, { vdev, target, readwrite }: Targeted, { log }: ImageOptions): Promise<void> {
  const lockImage = await loadImageLock()
  const result = lockImage?.(fd, readwrite ? 'rw' : 'ro') ?? 'impossible'
  if (result === 'taken') throw vbdErrors.XT_VBD_LOCKED(vdev, target, holdersOf(fd))
  if (result === 'impossible' && readwrite)
    log.warn(
      lockImage === undefined
        ? `${target} is not locked against a second writer: koffi is not installed`
        : `${target} is not locked against a second writer: its file system has no locks`,
    )
}

/** First bytes of image formats. */
const CONTAINERS: readonly (readonly [magic: string, at: number, format: string])[] = [
  ['QFI\xfb', 0, 'format=qcow2'],
  ['conectix', 0, 'format=vhd'],
  ['QED\0', 0, 'format=qed'],
  ['vhdxfile', 0, 'target=vhdx:...'],
  ['KDMV', 0, 'target=vmdk:...'],
  ['\x7f\x10\xda\xbe', 64, 'target=vdi:...'],
]

/**
 * A raw image that looks like a container is served as it is: what it says of itself was perhaps written by its guest,
 * who could name any file of the host in it. But somebody may have forgotten to say what it is.
 */
function warnOfContainer(fd: number, isDirect: boolean, { target }: Targeted, { log }: ImageOptions): void {
  if (isDirect) return
  const head = Buffer.alloc(128)
  readSync(fd, head, 0, head.length, 0)
  const found = CONTAINERS.find(([magic, at]) => head.toString('latin1', at, at + magic.length) === magic)
  if (found !== undefined)
    log.warn(`${target} is served as a raw image but looks like another format: say ${found[2]}?`)
}

function geometryOf(
  { vdev, target }: Targeted,
  stats: Stats,
  sectorSize: number,
  canPunch: boolean,
): Geometry {
  if (stats.isFile()) {
    const wholeSectors = Math.floor(stats.size / sectorSize) * (sectorSize / SECTOR)
    const discard = canPunch ? { discard: { granularity: Math.max(stats.blksize, FILE_GRANULARITY) } } : {}
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

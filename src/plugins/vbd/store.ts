/**
 * Where a disk's bytes are: a file or a block device of the host. Reads and writes go straight between it and guest
 * memory (preadv, pwritev); JavaScript copies nothing. They run on the calling thread and through the page cache; a
 * flush is an fdatasync in a thread of libuv.
 */
import {
  close,
  constants,
  fdatasync,
  fstatSync,
  openSync,
  readFileSync,
  readvSync,
  type Stats,
  writevSync,
} from 'node:fs'
import { promisify } from 'node:util'
import { type VbdDevice, wantsDiscard } from './device.ts'
import { vbdErrors } from './errors.ts'
import { loadPunchHole, type PunchHole } from './punch-hole.ts'

/** Pieces of guest memory that lie one after the other on the disk. */
export type Pieces = readonly Uint8Array<SharedArrayBuffer>[]

/** What the ring service needs of a disk. Positions and lengths are bytes; what cannot be done whole is thrown. */
export interface BlockStore extends AsyncDisposable {
  /** Units of 512 bytes. */
  readonly sectors: number
  /** Bytes of a sector as the guest is told, and of what the medium writes at once. */
  readonly sectorSize: number
  readonly physicalSectorSize: number
  /** `major:minor` in hex, as Xen's block script writes it; undefined for a file. */
  readonly device: string | undefined
  /** Absent where nothing can be given back to the host. */
  readonly discard?: { readonly granularity: number; run(position: number, length: number): void }
  read(into: Pieces, position: number): void
  write(from: Pieces, position: number): void
  /** Settles when everything that was written before is on the medium. */
  flush(): Promise<void>
}

interface Geometry {
  readonly bytes: number
  readonly sectorSize: number
  readonly physicalSectorSize: number
  readonly device: string | undefined
  /** 0: no discard. */
  readonly granularity: number
}

const SECTOR = 512
/** Linux' limit of pieces in one call. */
const IOV_MAX = 1024

/** @throws XtError XT_VBD_MISSING, XT_VBD_DENIED, XT_VBD_NO_DISK, XT_VBD_UNUSABLE */
export async function openStore(disk: VbdDevice): Promise<BlockStore> {
  const punchHole = wantsDiscard(disk) ? await loadPunchHole() : undefined
  const fd = open(disk)
  try {
    const geometry = geometryOf(disk, fstatSync(fd))
    if (geometry.bytes < SECTOR)
      throw vbdErrors.XT_VBD_NO_DISK(disk.vdev, disk.target, 'shorter than a sector')
    return new FileStore(fd, geometry, punchHole)
  } catch (error) {
    close(fd)
    throw error
  }
}

function open({ vdev, target, readwrite }: VbdDevice): number {
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

function geometryOf({ vdev, target }: VbdDevice, stats: Stats): Geometry {
  if (stats.isFile()) {
    const { size: bytes, blksize: granularity } = stats
    return { bytes, sectorSize: SECTOR, physicalSectorSize: SECTOR, device: undefined, granularity }
  }
  if (stats.isDirectory()) throw vbdErrors.XT_VBD_NO_DISK(vdev, target, 'a directory')
  if (!stats.isBlockDevice())
    throw vbdErrors.XT_VBD_NO_DISK(vdev, target, 'neither a file nor a block device')
  try {
    return deviceGeometry(stats.rdev)
  } catch (error) {
    throw vbdErrors.XT_VBD_UNUSABLE(vdev, target, `its size cannot be found out: ${(error as Error).message}`)
  }
}

/** What the kernel says of a block device, by its number (st_rdev). Throws if it says nothing. */
export function deviceGeometry(rdev: number, sysfs = '/sys/dev/block'): Geometry {
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
    bytes: number('size') * SECTOR,
    sectorSize: limit('logical_block_size'),
    physicalSectorSize: limit('physical_block_size'),
    device: `${major.toString(16)}:${minor.toString(16)}`,
    granularity: limit('discard_granularity'),
  }
}

class FileStore implements BlockStore {
  readonly sectors: number
  readonly sectorSize: number
  readonly physicalSectorSize: number
  readonly device: string | undefined
  readonly discard?: NonNullable<BlockStore['discard']>
  readonly #fd: number

  constructor(fd: number, geometry: Geometry, punchHole: PunchHole | undefined) {
    this.#fd = fd
    this.sectors = Math.floor(geometry.bytes / SECTOR)
    this.sectorSize = geometry.sectorSize
    this.physicalSectorSize = geometry.physicalSectorSize
    this.device = geometry.device
    const { granularity } = geometry
    if (punchHole !== undefined && granularity > 0)
      this.discard = { granularity, run: (position, length) => punchHole(fd, position, length) }
  }

  read(into: Pieces, position: number): void {
    move(into, position, (pieces, at) => readvSync(this.#fd, pieces, at))
  }

  write(from: Pieces, position: number): void {
    move(from, position, (pieces, at) => writevSync(this.#fd, pieces, at))
  }

  flush(): Promise<void> {
    return promisify(fdatasync)(this.#fd)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await promisify(close)(this.#fd)
  }
}

/** Moves all pieces, in as many calls as the system wants. */
function move(pieces: Pieces, position: number, step: (pieces: Pieces, at: number) => number): void {
  for (let left = pieces, at = position; left.length > 0; ) {
    const done = step(left.slice(0, IOV_MAX), at)
    // The file has become shorter than it was.
    if (done === 0) throw Object.assign(new Error('end of file'), { code: 'EOF' })
    at += done
    left = rest(left, done)
  }
}

/** What is left of the pieces behind their first `count` bytes. */
function rest(pieces: Pieces, count: number): Pieces {
  let skipped = 0
  let bytes = count
  while (skipped < pieces.length && pieces[skipped]!.length <= bytes) bytes -= pieces[skipped++]!.length
  const left = pieces.slice(skipped)
  if (bytes > 0) left[0] = left[0]!.subarray(bytes)
  return left
}

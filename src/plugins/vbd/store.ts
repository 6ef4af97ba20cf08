/**
 * A file or block device of the host as a store. Reads and writes go straight between it and guest memory (preadv,
 * pwritev), on the calling thread; JavaScript copies nothing. A flush is an fdatasync in a thread of libuv.
 */
import { fdatasync, readSync, readvSync, writeSync, writevSync } from 'node:fs'
import { promisify } from 'node:util'
import type { BlockStore, Geometry, Pieces } from './medium.ts'
import type { PunchHole } from './punch-hole.ts'

/** Linux' limit of pieces in one call. */
const IOV_MAX = 1024

export class FileStore implements BlockStore {
  readonly sectors: number
  readonly sectorSize: number
  readonly physicalSectorSize: number
  readonly device: string | undefined
  readonly discard?: NonNullable<BlockStore['discard']>
  readonly #fd: number

  /** The descriptor stays its opener's, who closes it. */
  constructor(fd: number, geometry: Geometry, punchHole: PunchHole | undefined) {
    this.#fd = fd
    this.sectors = geometry.sectors
    this.sectorSize = geometry.sectorSize
    this.physicalSectorSize = geometry.physicalSectorSize
    this.device = geometry.device
    if (punchHole !== undefined && geometry.discard !== undefined)
      this.discard = { ...geometry.discard, run: (position, length) => punchHole(fd, position, length) }
  }

  read(into: Pieces, position: number): void {
    move(into, position, (pieces, at) =>
      pieces.length === 1
        ? readSync(this.#fd, pieces[0]!, 0, pieces[0]!.length, at)
        : readvSync(this.#fd, pieces, at),
    )
  }

  write(from: Pieces, position: number): void {
    move(from, position, (pieces, at) =>
      pieces.length === 1
        ? writeSync(this.#fd, pieces[0]!, 0, pieces[0]!.length, at)
        : writevSync(this.#fd, pieces, at),
    )
  }

  flush(): Promise<void> {
    return promisify(fdatasync)(this.#fd)
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Moves all pieces, in as many calls as the system wants. */
function move(pieces: Pieces, position: number, step: (pieces: Pieces, at: number) => number): void {
  for (let left = pieces, at = position; left.length > 0; ) {
    const done = step(left.length > IOV_MAX ? left.slice(0, IOV_MAX) : left, at)
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

/** What lies in a disk: how its bytes are reached, and what a guest is told of it. Knows no files. */

/** Pieces of guest memory that lie one after the other on the disk. */
export type Pieces = readonly Uint8Array<SharedArrayBuffer>[]

/** What a guest is told of a medium. */
export interface Geometry {
  /** Units of 512 bytes; 0 for a drive without a disc. */
  readonly sectors: number
  /** Bytes of a sector as the guest is told, and of what the medium writes at once. */
  readonly sectorSize: number
  readonly physicalSectorSize: number
  /** `major:minor` in hex, as Xen's block script writes it; undefined for a file. */
  readonly device: string | undefined
  /** Absent where nothing can be given back to the host. */
  readonly discard?: { readonly granularity: number }
}

/** What the ring service needs of a disk. Positions and lengths are bytes; what cannot be done whole is thrown. */
export interface BlockStore extends Geometry, AsyncDisposable {
  readonly discard?: { readonly granularity: number; run(position: number, length: number): void }
  read(into: Pieces, position: number): void
  write(from: Pieces, position: number): void
  /** Settles when everything that was written before is on the medium. */
  flush(): Promise<void>
}

/** A drive without a disc: it has no sector that could be read. */
export const EMPTY = {
  sectors: 0,
  sectorSize: 512,
  physicalSectorSize: 512,
  device: undefined,
} satisfies Geometry

export function emptyStore(): BlockStore {
  const refuse = () => {
    throw Object.assign(new Error('no disc in the drive'), { code: 'ENOMEDIUM' })
  }
  return {
    ...EMPTY,
    read: refuse,
    write: refuse,
    flush: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
}

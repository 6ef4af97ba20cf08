/** What runs in a thread of disks: their rings and the I/O, on the descriptors that the main thread opened. */
import type { CreateThreadService, ThreadService } from '../../engine/plugin.ts'
import { type BlockStore, EMPTY, emptyStore, type Geometry } from './medium.ts'
import { loadPunchHole } from './punch-hole.ts'
import { DiskRings, type RingSetup } from './rings.ts'
import { FileStore } from './store.ts'

/** A medium as it crosses threads: a descriptor is the whole process's. */
export interface OpenMedium {
  readonly fd: number
  readonly geometry: Geometry
}

/** Disks go by the number of their name. `medium` undefined: a drive without a disc. */
export interface DiskThread extends ThreadService {
  add(id: number, backendPath: string, name: string, medium: OpenMedium | undefined): Promise<void>
  /** Settles when nothing uses the medium before any more. */
  load(id: number, medium: OpenMedium | undefined): Promise<void>
  connect(id: number, setup: RingSetup): Promise<void>
  disconnect(id: number): Promise<void>
  settled(id: number): Promise<void>
  remove(id: number): Promise<void>
}

const createDiskThread: CreateThreadService<DiskThread> = ({ log, xenhost, defer }) => {
  const disks = new Map<number, DiskRings>()
  const rings = (id: number): DiskRings => {
    const disk = disks.get(id)
    if (disk === undefined) throw new Error(`there is no disk ${id} in this thread`)
    return disk
  }
  const storeOf = async (medium: OpenMedium | undefined): Promise<BlockStore> => {
    if (medium === undefined) return emptyStore()
    const { fd, geometry } = medium
    return new FileStore(fd, geometry, geometry.discard === undefined ? undefined : await loadPunchHole())
  }
  return {
    async add(id, backendPath, name, medium) {
      const store = await storeOf(medium)
      disks.set(id, new DiskRings(xenhost(backendPath), { store, defer, log: log.child(name) }))
    },
    load: async (id, medium) => rings(id).load(await storeOf(medium)),
    connect: (id, setup) => rings(id).connect(setup),
    disconnect: (id) => rings(id).disconnect(),
    settled: (id) => rings(id).settled(),
    async remove(id) {
      const disk = rings(id)
      disks.delete(id)
      await disk.disconnect()
    },
  }
}

export default createDiskThread

/** What a medium is told of where there may be none. */
export const geometryOf = (medium: OpenMedium | undefined): Geometry => medium?.geometry ?? EMPTY

/** The disk backend over a disk in memory that notes what may not be asked of it. */
import type { BackendDriver } from '../../../src/engine/plugin.ts'
import { VbdBackend } from '../../../src/plugins/vbd/backend.ts'
import { backendNodes, frontendNodes, type VbdDevice, vbdDevice } from '../../../src/plugins/vbd/device.ts'
import type { BlockStore, Pieces } from '../../../src/plugins/vbd/medium.ts'
import { DiskRings } from '../../../src/plugins/vbd/rings.ts'
import { blockScript, type MakeBackend } from '../../../src/testkit/index.ts'
import { xvda } from '../../plugins/vbd/frontend.ts'

const SECTORS = 256

class MemoryDisk implements BlockStore {
  readonly bytes = new Uint8Array(SECTORS * 512)
  readonly sectors = SECTORS
  readonly sectorSize = 512
  readonly physicalSectorSize = 512
  readonly device = undefined
  readonly wrong: string[] = []
  readonly discard = {
    granularity: 4096,
    run: (position: number, length: number) => {
      this.#judge('discard', position, length)
      this.bytes.fill(0, position, position + length)
    },
  }

  read(into: Pieces, position: number): void {
    this.#each('read', into, position, (piece, at) => piece.set(this.bytes.subarray(at, at + piece.length)))
  }
  write(from: Pieces, position: number): void {
    this.#each('write', from, position, (piece, at) => this.bytes.set(piece, at))
  }
  async flush(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }
  async [Symbol.asyncDispose](): Promise<void> {}

  #each(what: string, pieces: Pieces, position: number, step: (piece: Uint8Array, at: number) => void): void {
    let at = position
    for (const piece of pieces) {
      this.#judge(what, at, piece.length)
      step(piece, at)
      at += piece.length
    }
  }
  /** The backend would take what is thrown here for a failing host. */
  #judge(what: string, position: number, length: number): void {
    if (position >= 0 && length >= 0 && position + length <= this.bytes.length) return
    this.wrong.push(`${what} of ${length} bytes at ${position}, outside the disk`)
    throw new RangeError('outside the disk')
  }
}

const defer = (task: () => void) => void setImmediate(task)

export const makeVbd: MakeBackend<VbdDevice> = (host) => {
  const store = new MemoryDisk()
  const backends = new Set<VbdBackend>()
  const driver: BackendDriver<VbdDevice> = {
    type: 'vbd',
    device: vbdDevice as BackendDriver<VbdDevice>['device'],
    connectOn: 'Initialised',
    create(xenhost, device, otherend) {
      const backend = new VbdBackend(xenhost, otherend, {
        disk: device,
        medium: store,
        rings: (handle) => new DiskRings(handle, { store, defer, log: host.log }),
        persistentGrants: true,
        maxQueues: 4,
        log: host.log,
      })
      backends.add(backend)
      return backend
    },
  }
  return {
    driver,
    device: xvda,
    place: { id: xvda.vdevNumber, frontend: frontendNodes(xvda), backend: backendNodes(xvda) },
    script: blockScript({ sectors: SECTORS }),
    pause: async () => {
      await Promise.all([...backends].map((backend) => backend.settled()))
    },
    violations: () => store.wrong.splice(0),
  }
}

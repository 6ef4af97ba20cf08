/**
 * One disk of the domain from its image to its rings: made, resized with its image, loaded with another disc, taken
 * away. What belongs together here lies on two threads and in xenstore; each step undoes the ones before it if it fails.
 */
import type { BusDevice, Log, PvBus, VmInfo } from '../../engine/plugin.ts'
import { VbdBackend } from './backend.ts'
import {
  backendNodes,
  frontendNodes,
  mustBeServed,
  type VbdDevice,
  type VbdSpec,
  vbdDevice,
} from './device.ts'
import type { DiskThreads, ThreadedRings } from './disk-threads.ts'
import { vbdErrors } from './errors.ts'
import { type Image, openImage } from './image.ts'
import type { VbdSettings } from './settings.ts'
import { geometryOf, type OpenMedium } from './thread.ts'

export interface DiskMakerOptions {
  readonly bus: PvBus
  readonly threads: DiskThreads
  readonly config: VbdSettings
  readonly vm: VmInfo
  readonly log: Log
}

export class DiskMaker {
  readonly #options: DiskMakerOptions

  constructor(options: DiskMakerOptions) {
    this.#options = options
  }

  /** @throws XtError of errors.ts, in which case nothing is left */
  async make(spec: VbdSpec): Promise<Disk> {
    const { bus, threads, config, vm } = this.#options
    const log = this.#options.log.child(spec.vdev)
    const disk = mustBeServed(spec, config)
    await using undo = new AsyncDisposableStack()
    const image = await this.open(disk)
    if (image !== undefined) undo.use(image)
    const medium = mediumOf(image)
    const id = disk.vdevNumber
    const backendPath = `/local/domain/0/backend/vbd/${vm.domid}/${id}`
    const rings = undo.use(await threads.add(id, disk.vdev, backendPath, medium))
    const backends: VbdBackend[] = []
    const device = await bus.add<VbdDevice>(
      {
        type: 'vbd',
        device: vbdDevice,
        connectOn: 'Initialised',
        create(xenhost, _disk, otherend) {
          const { persistentGrants, maxQueues } = config
          const options = {
            disk,
            medium: geometryOf(medium),
            rings: () => rings,
            persistentGrants,
            maxQueues,
            log,
          }
          const backend = new VbdBackend(xenhost, otherend, options)
          backends.push(backend)
          return backend
        },
      },
      disk,
      { id, frontend: frontendNodes(disk), backend: backendNodes(disk) },
    )
    undo.move()
    log.info(describe(disk, image))
    return new Disk(this, { disk, image, rings, device, backend: backends[0]!, log, config })
  }

  /** The image of a disk; undefined for a drive without a disc. */
  async open(disk: VbdDevice): Promise<Image | undefined> {
    const { target, vdev } = disk
    if (target === undefined) return undefined
    const { sectorSizes } = this.#options.config
    return openImage({ ...disk, target }, { sectorSize: sectorSizes[vdev] ?? 512 })
  }

  accept(spec: VbdSpec): VbdDevice {
    return mustBeServed(spec, this.#options.config)
  }
}

interface Parts {
  disk: VbdDevice
  image: Image | undefined
  readonly rings: ThreadedRings
  readonly device: BusDevice
  readonly backend: VbdBackend
  readonly log: Log
  readonly config: VbdSettings
}

export class Disk {
  readonly #maker: DiskMaker
  readonly #parts: Parts
  readonly #timer: NodeJS.Timeout | undefined
  /** Changes and looks at the size are done one after the other. */
  #queue: Promise<void> = Promise.resolve()
  #isClosed = false
  #saidDeleted = false

  constructor(maker: DiskMaker, parts: Parts) {
    this.#maker = maker
    this.#parts = parts
    const { resizeSeconds } = parts.config
    if (resizeSeconds === 0) return
    this.#timer = setInterval(() => void this.#inTurn(() => this.#look()), resizeSeconds * 1000)
    this.#timer.unref()
  }

  settled(): Promise<void> {
    return this.#parts.backend.settled()
  }

  /** Settles when the guest has let go of it, or at once by force. */
  async remove(options: { readonly force: boolean }): Promise<void> {
    await this.#parts.device.remove(options)
    await this.close()
  }

  /** Puts another disc into the drive, or takes it out. */
  change(spec: VbdSpec): Promise<void> {
    return this.#inTurn(async () => {
      const parts = this.#parts
      const disk = this.#maker.accept(spec)
      if (!parts.disk.cdrom || !disk.cdrom) throw vbdErrors.XT_VBD_NO_DRIVE(parts.disk.vdev)
      const image = await this.#maker.open(disk)
      const before = parts.image
      parts.disk = disk
      parts.image = image
      await this.#tell({ params: backendNodes(disk)['params']! })
      await before?.[Symbol.asyncDispose]()
      parts.log.info(describe(disk, image))
    })
  }

  /** Takes the disk from its thread and closes the image; its nodes are the bus's affair. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#inTurn(async () => {
      if (this.#isClosed) return
      this.#isClosed = true
      const { rings, image } = this.#parts
      await rings[Symbol.asyncDispose]()
      await image?.[Symbol.asyncDispose]()
    })
  }

  async #look(): Promise<void> {
    const { image, disk, log } = this.#parts
    if (this.#isClosed || image === undefined) return
    try {
      const before = image.geometry.sectors
      if (image.measure()) {
        const { sectors } = image.geometry
        await this.#tell({})
        const what = sectors < before ? 'shorter: what lay behind its end is lost' : 'larger'
        log[sectors < before ? 'warn' : 'info'](
          `${disk.target} is ${what}, ${sectors} sectors of 512 bytes now`,
        )
      }
      if (image.isDeleted() && !this.#saidDeleted) {
        this.#saidDeleted = true
        log.warn(`${disk.target} was deleted on the host: what the guest writes is lost when the domain ends`)
      }
    } catch (error) {
      log.warn(
        `looking at the size of ${disk.target}: ${error instanceof Error ? error.message : String(error)}`,
      )
      clearInterval(this.#timer)
    }
  }

  /** ORDER: the rings know of a medium before the guest does, and no longer use the one before when this settles. */
  async #tell(nodes: Readonly<Record<string, string>>): Promise<void> {
    const { rings, backend, device, disk, image } = this.#parts
    const medium = mediumOf(image)
    await rings.load(medium)
    await device.announce({ ...nodes, ...backend.changed(disk, geometryOf(medium)) })
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const turn = this.#queue.then(step)
    this.#queue = turn.catch(() => undefined)
    return turn
  }
}

const mediumOf = (image: Image | undefined): OpenMedium | undefined =>
  image && { fd: image.fd, geometry: image.geometry }

function describe({ target, readwrite }: VbdDevice, image: Image | undefined): string {
  if (image === undefined) return 'a drive without a disc'
  const { sectors } = image.geometry
  return `${target}, ${readwrite ? 'writable' : 'read-only'}, ${sectors} sectors of 512 bytes`
}

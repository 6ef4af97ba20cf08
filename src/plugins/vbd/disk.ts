/**
 * One disk of the domain from its image to its rings: made, resized with its image, loaded with another disc, taken
 * away. What belongs together here lies on two threads and in xenstore; each step undoes the ones before it if it fails.
 */

import { existsSync } from 'node:fs'
import type { BusDevice, Log, PvBus, VmInfo, XenstoreClient } from '../../engine/plugin.ts'
import { VbdBackend } from './backend.ts'
import { showImage } from './daemon.ts'
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
import { addByScript, removeByScript, scriptPath } from './hotplug-script.ts'
import { type Image, openImage } from './image.ts'
import type { VbdSettings } from './settings.ts'
import { sourceOf } from './source.ts'
import { geometryOf, type OpenMedium } from './thread.ts'

export interface DiskMakerOptions {
  readonly bus: PvBus
  readonly threads: DiskThreads
  readonly config: VbdSettings
  readonly xenstore: XenstoreClient
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
    const { bus, threads, config } = this.#options
    const log = this.#options.log.child(spec.vdev)
    const disk = mustBeServed(spec, config)
    const id = disk.vdevNumber
    const release = new AsyncDisposableStack()
    try {
      const image = await this.open(disk)
      const held: Held = { image }
      release.defer(async () => held.image?.[Symbol.asyncDispose]())
      const medium = mediumOf(image)
      const rings = release.use(await threads.add(id, disk.vdev, this.#backendPath(disk), medium))
      const backends: VbdBackend[] = []
      const device = await bus.add<VbdDevice>(
        {
          type: 'vbd',
          device: vbdDevice,
          connectOn: 'Initialised',
          create(xenhost, _disk, otherend) {
            const { persistentGrants, maxQueues } = config
            const backend = new VbdBackend(xenhost, otherend, {
              disk,
              medium: geometryOf(medium),
              rings: () => rings,
              release: () => release.disposeAsync(),
              persistentGrants,
              maxQueues,
              log,
            })
            backends.push(backend)
            return backend
          },
        },
        disk,
        { id, frontend: frontendNodes(disk), backend: backendNodes(disk) },
      )
      log.info(describe(disk, image))
      return new Disk(this, { disk, held, rings, release, device, backend: backends[0]!, log, config })
    } catch (error) {
      await release.disposeAsync()
      throw error
    }
  }

  /** The image of a disk, with what is needed to have it; undefined for a drive without a disc. */
  async open(disk: VbdDevice): Promise<Image | undefined> {
    const { target, vdev } = disk
    if (target === undefined) return undefined
    const { config, vm } = this.#options
    const log = this.#options.log.child(vdev)
    const targeted = { ...disk, target }
    const sectorSize = config.sectorSizes[vdev] ?? 512
    await using behind = new AsyncDisposableStack()
    let path = await this.#runScript(targeted, behind)
    const source = path === undefined ? sourceOf(targeted) : { kind: 'here' as const, path }
    if (source.kind === 'here') path = source.path
    else path = behind.use(await showImage(targeted, source, { directory: vm.runDir, log })).path
    const image = await openImage(targeted, { path, lock: source.kind === 'here', sectorSize, log })
    const rest = behind.move()
    return withEnd(image, () => rest.disposeAsync())
  }

  /** The path that a hotplug script made of the target; undefined if the disk has none. */
  async #runScript(
    disk: VbdDevice & { target: string },
    behind: AsyncDisposableStack,
  ): Promise<string | undefined> {
    const { script, vdev } = disk
    // XEN: nbd:HOST:PORT is an old form of script=block-nbd; without Xen's scripts QEMU knows what it means.
    if (script === undefined || (script === 'block-nbd' && !existsSync(scriptPath(script)))) return undefined
    const { xenstore, vm } = this.#options
    const backendPath = this.#backendPath(disk)
    const options = { vdev, script, backendPath, xenstore, hostRunDir: vm.hostRunDir }
    const path = await addByScript(options, backendNodes(disk))
    behind.defer(() => removeByScript(options))
    return path
  }

  #backendPath({ vdevNumber }: VbdDevice): string {
    return `/local/domain/0/backend/vbd/${this.#options.vm.domid}/${vdevNumber}`
  }

  accept(spec: VbdSpec): VbdDevice {
    return mustBeServed(spec, this.#options.config)
  }
}

/** The image that is open: another one once the disc has been changed. */
interface Held {
  image: Image | undefined
}

interface Parts {
  disk: VbdDevice
  readonly held: Held
  readonly rings: ThreadedRings
  /** Gives back rings, image and what lies behind it. */
  readonly release: AsyncDisposableStack
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
    clearInterval(this.#timer)
  }

  /** Puts another disc into the drive, or takes it out. */
  change(spec: VbdSpec): Promise<void> {
    return this.#inTurn(async () => {
      const parts = this.#parts
      const disk = this.#maker.accept(spec)
      if (!parts.disk.cdrom || !disk.cdrom) throw vbdErrors.XT_VBD_NO_DRIVE(parts.disk.vdev)
      const image = await this.#maker.open(disk)
      const before = parts.held.image
      parts.disk = disk
      parts.held.image = image
      await this.#tell({ params: backendNodes(disk)['params']! })
      await before?.[Symbol.asyncDispose]()
      parts.log.info(describe(disk, image))
    })
  }

  /** Takes the disk from its thread and closes the image; its nodes are the bus's affair. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#inTurn(async () => {
      await this.#parts.release.disposeAsync()
    })
  }

  async #look(): Promise<void> {
    const { held, disk, log, release } = this.#parts
    const { image } = held
    if (release.disposed || image === undefined) return
    try {
      const before = image.geometry.sectors
      const { hasNewSize, isDeleted } = await image.measure()
      if (hasNewSize) {
        const { sectors } = image.geometry
        await this.#tell({})
        const what = sectors < before ? 'shorter: what lay behind its end is lost' : 'larger'
        log[sectors < before ? 'warn' : 'info'](
          `${disk.target} is ${what}, ${sectors} sectors of 512 bytes now`,
        )
      }
      if (isDeleted && !this.#saidDeleted) {
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
    const { rings, backend, device, disk, held } = this.#parts
    const medium = mediumOf(held.image)
    await rings.load(medium)
    await device.announce({ ...nodes, ...backend.changed(disk, geometryOf(medium)) })
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const turn = this.#queue.then(step)
    this.#queue = turn.catch(() => undefined)
    return turn
  }
}

/** An image that takes something else along when it is closed. */
function withEnd(image: Image, end: () => Promise<void>): Image {
  const close = async () => {
    await image[Symbol.asyncDispose]()
    await end()
  }
  return Object.defineProperty(Object.create(image), Symbol.asyncDispose, { value: close })
}

const mediumOf = (image: Image | undefined): OpenMedium | undefined =>
  image && { fd: image.fd, geometry: image.geometry }

function describe({ target, readwrite }: VbdDevice, image: Image | undefined): string {
  if (image === undefined) return 'a drive without a disc'
  const { sectors } = image.geometry
  return `${target}, ${readwrite ? 'writable' : 'read-only'}, ${sectors} sectors of 512 bytes`
}

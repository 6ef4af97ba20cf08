/**
 * A disk on the bus: its nodes in xenstore, and the way from what the frontend published to running rings (rings.ts),
 * on this thread or another. Pure over XenHost. Nodes and their moment are those of Linux' backend: the ring's limits
 * from the start, sizes and features when the frontend has its ring.
 */
import type { Log } from '../../base/log.ts'
import type { Backend, Otherend } from '../../engine/plugin.ts'
import { VDISK } from '../../xen/abi/io/blkif.ts'
import type { Abi } from '../../xen/abi/struct.ts'
import type { XenHost } from '../../xen/xenhost.ts'
import type { VbdDevice } from './device.ts'
import { vbdErrors } from './errors.ts'
import type { Geometry } from './medium.ts'
import { MAX_INDIRECT_SEGMENTS } from './request.ts'
import type { RingService, RingSetup } from './rings.ts'

/** Rings of up to 16 pages. */
const MAX_RING_ORDER = 4
const ABIS: Readonly<Record<string, Abi>> = { 'x86_64-abi': 64, 'x86_32-abi': 32 }

export interface VbdOptions {
  readonly disk: VbdDevice
  readonly medium: Geometry
  /** Serves the rings of this disk. */
  readonly rings: (xenhost: XenHost) => RingService
  /** Called once nothing uses the disk any more, while its nodes are still there. */
  readonly release?: () => Promise<void>
  /** Whether frontends are asked to keep their pages granted. */
  readonly persistentGrants: boolean
  /** Most rings of one frontend. */
  readonly maxQueues: number
  readonly log: Log
}

export class VbdBackend implements Backend {
  readonly #xenhost: XenHost
  readonly #otherend: Otherend
  readonly #options: VbdOptions
  readonly #rings: RingService
  #disk: VbdDevice
  #medium: Geometry
  #isConnected = false

  constructor(xenhost: XenHost, otherend: Otherend, options: VbdOptions) {
    this.#xenhost = xenhost
    this.#otherend = otherend
    this.#options = options
    this.#disk = options.disk
    this.#medium = options.medium
    this.#rings = options.rings(xenhost)
  }

  nodes(): Record<string, string> {
    const { device } = this.#medium
    return {
      'feature-max-indirect-segments': String(MAX_INDIRECT_SEGMENTS),
      'max-ring-page-order': String(MAX_RING_ORDER),
      'multi-queue-max-queues': String(this.#options.maxQueues),
      // What Xen's block script leaves; a file has no device.
      'hotplug-status': 'connected',
      ...(device === undefined
        ? {}
        : { 'physical-device': device, 'physical-device-path': this.#disk.target! }),
    }
  }

  async connect(): Promise<void> {
    const abi = await this.#abi()
    const queues = await this.#queues()
    await this.#publish()
    const { domid: otherend } = this.#otherend
    await this.#rings.connect({ otherend, abi, queues, readOnly: !this.#disk.readwrite })
    this.#isConnected = true
  }

  /**
   * The disk is another one from now on, or has another size; what a connected frontend must be told of it. The rings
   * know already.
   */
  changed(disk: VbdDevice, medium: Geometry): Record<string, string> {
    this.#disk = disk
    this.#medium = medium
    return this.#isConnected ? { sectors: String(medium.sectors) } : {}
  }

  /** The nodes that a frontend reads once we are connected. */
  async #publish(): Promise<void> {
    const medium = this.#medium
    const { cdrom, readwrite, shownAsDisk } = this.#disk
    const canFlush = readwrite ? '1' : '0'
    const info = (cdrom && !shownAsDisk ? VDISK.CDROM : 0) | (readwrite ? 0 : VDISK.READONLY)
    const { xenstore, domid } = this.#xenhost
    const backendPath = `/local/domain/${domid}/backend/vbd/${this.#otherend.domid}/${this.#disk.vdevNumber}`
    const nodes = {
      'feature-flush-cache': canFlush,
      'feature-barrier': canFlush,
      ...(medium.discard === undefined
        ? {}
        : {
            'discard-granularity': String(medium.discard.granularity),
            'discard-alignment': '0',
            'discard-secure': '0',
            'feature-discard': '1',
          }),
      'feature-persistent': this.#options.persistentGrants ? '1' : '0',
      sectors: String(medium.sectors),
      info: String(info),
      'sector-size': String(medium.sectorSize),
      'physical-sector-size': String(medium.physicalSectorSize),
    }
    await xenstore.transaction(async (tx) => {
      for (const [name, value] of Object.entries(nodes))
        await xenstore.write(`${backendPath}/${name}`, value, tx)
    })
  }

  async #abi(): Promise<Abi> {
    const protocol = (await this.#text('protocol')) ?? 'x86_64-abi'
    const abi = ABIS[protocol]
    if (abi === undefined) throw this.#unusable('protocol', protocol)
    return abi
  }

  /** A frontend with one ring has its nodes in its own directory, one with several in queue-0 and so on. */
  async #queues(): Promise<RingSetup['queues']> {
    const count = await this.#number('multi-queue-num-queues')
    if (count === undefined) return [await this.#queue('')]
    // GUEST: bounded by what was offered.
    if (count === 0 || count > this.#options.maxQueues)
      throw this.#unusable('multi-queue-num-queues', String(count))
    if (count === 1) return [await this.#queue('')]
    const queues: RingSetup['queues'][number][] = []
    for (let n = 0; n < count; n++) queues.push(await this.#queue(`queue-${n}/`))
    return queues
  }

  async #queue(prefix: string): Promise<RingSetup['queues'][number]> {
    return { refs: await this.#ringRefs(prefix), port: await this.#needed(`${prefix}event-channel`) }
  }

  /** One page is `ring-ref`; several, or one by a frontend that could have more, are `ring-ref0` and so on. */
  async #ringRefs(prefix: string): Promise<number[]> {
    const order = await this.#number('ring-page-order')
    if (order === undefined) return [await this.#needed(`${prefix}ring-ref`)]
    if (order > MAX_RING_ORDER) throw this.#unusable('ring-page-order', String(order))
    const refs: number[] = []
    for (let n = 0; n < 1 << order; n++) refs.push(await this.#needed(`${prefix}ring-ref${n}`))
    return refs
  }

  async #needed(node: string): Promise<number> {
    const number = await this.#number(node)
    if (number === undefined) throw this.#unusable(node, '')
    return number
  }

  /** GUEST: map and bind judge the number; here it only must be one of 32 bits. */
  async #number(node: string): Promise<number | undefined> {
    const text = await this.#text(node)
    if (text === undefined) return undefined
    const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (!(number <= 0xffffffff)) throw this.#unusable(node, text)
    return number
  }

  async #text(node: string): Promise<string | undefined> {
    try {
      return await this.#xenhost.xenstore.read(`${this.#otherend.frontendPath}/${node}`)
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return undefined
      throw error
    }
  }

  #unusable(node: string, value: string) {
    return vbdErrors.XT_VBD_NODE(`${this.#otherend.frontendPath}/${node}`, value.slice(0, 80))
  }

  /** Settles when no request is half done. */
  async settled(): Promise<void> {
    await this.#rings.settled()
  }

  async disconnect(): Promise<void> {
    this.#isConnected = false
    await this.#rings.disconnect()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
    await this.#options.release?.()
  }
}

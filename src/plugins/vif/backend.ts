/**
 * A network interface on the bus: its nodes in xenstore, and the way from what the frontend published to running
 * queues (queue.ts). Pure over XenHost. Nodes and rules are those of Linux' backend (xen-netback).
 *
 * Frames for the guest go to the queue that their flow hashes to; frames for groups that the guest has not joined are
 * dropped if it asked for that.
 */
import { gref, port } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import type { Backend, Otherend } from '../../engine/plugin.ts'
import type { XenHost, XenstoreWatch } from '../../xen/xenhost.ts'
import type { Vif } from './device.ts'
import { vifErrors } from './errors.ts'
import { flowHash } from './flow.ts'
import { MulticastGroups } from './multicast.ts'
import type { HostPort } from './port.ts'
import { VifQueue } from './queue.ts'
import { coalesce } from './rx-frame.ts'

export interface VifOptions {
  readonly vif: Vif
  readonly port: HostPort
  /** Queues that a frontend may have. */
  readonly maxQueues: number
  readonly nowUs: () => number
  readonly after: (us: number, task: () => void) => () => void
  readonly defer: (task: () => void) => void
  readonly log: Log
}

interface Connection {
  readonly queues: readonly VifQueue[]
  readonly gso: { readonly v4: boolean; readonly v6: boolean }
  readonly watch: XenstoreWatch
  /** Set when the frontend broke a ring. */
  isBroken: boolean
}

export class VifBackend implements Backend {
  readonly #xenhost: XenHost
  readonly #otherend: Otherend
  readonly #options: VifOptions
  readonly #groups = new MulticastGroups()
  #connection: Connection | undefined
  /** The host side was asked to bring nothing. */
  #isPaused = false
  /** The machine is paused. */
  #isHeld = false

  constructor(xenhost: XenHost, otherend: Otherend, options: VifOptions) {
    this.#xenhost = xenhost
    this.#otherend = otherend
    this.#options = options
    const { port, log } = options
    port.listen({
      receive: (frames) => this.#receive(frames),
      drained: () => {
        for (const queue of this.#connection?.queues ?? []) queue.resume()
      },
      closed: (why) =>
        log.error(`${port.description} is gone: ${why}; the guest has no network on this interface`),
    })
  }

  nodes(): Record<string, string> {
    return {
      'feature-sg': '1',
      'feature-gso-tcpv4': '1',
      'feature-gso-tcpv6': '1',
      'feature-ipv6-csum-offload': '1',
      'feature-rx-copy': '1',
      'feature-rx-flip': '0',
      'feature-multicast-control': '1',
      'feature-dynamic-multicast-control': '1',
      'feature-xdp-headroom': '1',
      'feature-split-event-channels': '1',
      'multi-queue-max-queues': String(this.#options.maxQueues),
      // A hotplug script says so itself.
      'hotplug-status': this.#options.port.plug === undefined ? 'connected' : '',
    }
  }

  async connect(): Promise<void> {
    const { frontendPath } = this.#otherend
    if (!(await this.#flag('request-rx-copy'))) throw this.#unusable('request-rx-copy', '0')
    const count = (await this.#number('multi-queue-num-queues')) ?? 1
    if (count < 1 || count > this.#options.maxQueues)
      throw this.#unusable('multi-queue-num-queues', String(count))
    const scatterGather = await this.#flag('feature-sg')
    const takesBlank = !(await this.#flag('feature-no-csum-offload'))
    const gso = {
      v4: scatterGather && takesBlank && (await this.#flag('feature-gso-tcpv4')),
      v6:
        scatterGather &&
        (await this.#flag('feature-ipv6-csum-offload')) &&
        (await this.#flag('feature-gso-tcpv6')),
    }
    const xdpHeadroom = (await this.#number('xdp-headroom')) ?? 0
    // GUEST: it must leave room in the page.
    if (xdpHeadroom > 0x7fff >> 4) throw this.#unusable('xdp-headroom', String(xdpHeadroom))

    const queues: VifQueue[] = []
    const connection: Omit<Connection, 'watch'> = { queues, gso, isBroken: false }
    try {
      for (let n = 0; n < count; n++) {
        const at = count === 1 ? '' : `queue-${n}/`
        const tx = await this.#number(`${at}event-channel-tx`)
        const shared = tx === undefined ? await this.#needed(`${at}event-channel`) : undefined
        queues.push(
          new VifQueue(this.#xenhost, {
            ...this.#options,
            otherend: this.#otherend.domid,
            txRef: gref(await this.#needed(`${at}tx-ring-ref`)),
            rxRef: gref(await this.#needed(`${at}rx-ring-ref`)),
            txPort: port(tx ?? shared!),
            rxPort: tx === undefined ? undefined : port(await this.#needed(`${at}event-channel-rx`)),
            scatterGather,
            xdpHeadroom,
            joinGroup: (address, join) => this.#groups.change(address, join),
            broken: (why) => this.#broken(connection, why),
            roomed: () => this.#pace(),
          }),
        )
      }
      const node = `${frontendPath}/request-multicast-control`
      const watch = await this.#xenhost.xenstore.watch(node, () => void this.#look(node))
      this.#connection = Object.assign(connection, { watch })
    } catch (error) {
      for (const queue of queues) queue.close()
      throw error
    }
    // ORDER: the guest may have sent before the ports were bound; its events went nowhere.
    for (const queue of queues) queue.service()
  }

  async #look(node: string): Promise<void> {
    const value = await this.#xenhost.xenstore.read(node).catch(() => '0')
    this.#groups.isOn = value === '1'
  }

  /** Nothing of this frontend is served until it connects anew: so does Linux' backend. */
  #broken(connection: Omit<Connection, 'watch'>, why: string): void {
    if (connection.isBroken) return
    connection.isBroken = true
    for (const queue of connection.queues) queue.stop()
    this.#pace()
    this.#options.log.error(
      `the frontend broke its ring: ${why}; the interface is dead until it connects anew`,
    )
  }

  #receive(frames: readonly Uint8Array[]): void {
    const connection = this.#connection
    // Nobody is there: frames are lost as on a cable that is not plugged in.
    if (connection === undefined || connection.isBroken) return
    const wanted = frames.filter((frame) => this.#groups.wants(frame))
    const { queues, gso } = connection
    const { isVerified } = this.#options.port
    if (queues.length === 1) {
      queues[0]!.deliver(coalesce(wanted, { gso, isVerified }))
    } else {
      const shares = queues.map((): Uint8Array[] => [])
      for (const frame of wanted) shares[flowHash(frame) % queues.length]!.push(frame)
      for (const [n, queue] of queues.entries())
        if (shares[n]!.length > 0) queue.deliver(coalesce(shares[n]!, { gso, isVerified }))
    }
    this.#pace()
  }

  /** Moves nothing until `resume`: the machine is paused. */
  pause(): void {
    this.#isHeld = true
    for (const queue of this.#connection?.queues ?? []) queue.hold()
    this.#pace()
  }
  resume(): void {
    this.#isHeld = false
    for (const queue of this.#connection?.queues ?? []) queue.release()
    this.#pace()
  }

  /** Holds the host side back while a queue has enough. */
  #pace(): void {
    const connection = this.#connection
    const isEnough =
      connection !== undefined && !connection.isBroken && connection.queues.some((queue) => queue.hasEnough)
    const pause = this.#isHeld || isEnough
    if (pause === this.#isPaused) return
    this.#isPaused = pause
    if (pause) this.#options.port.pause()
    else this.#options.port.resume()
  }

  async #flag(node: string): Promise<boolean> {
    return ((await this.#number(node)) ?? 0) !== 0
  }

  async #needed(node: string): Promise<number> {
    const number = await this.#number(node)
    if (number === undefined) throw this.#unusable(node, '')
    return number
  }

  /** GUEST: map and bind judge the number; here it only must be one of 32 bits. */
  async #number(node: string): Promise<number | undefined> {
    let text: string
    try {
      text = await this.#xenhost.xenstore.read(`${this.#otherend.frontendPath}/${node}`)
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return undefined
      throw error
    }
    const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (!(number <= 0xffffffff)) throw this.#unusable(node, text)
    return number
  }

  #unusable(node: string, value: string) {
    return vifErrors.XT_VIF_NODE(`${this.#otherend.frontendPath}/${node}`, value.slice(0, 80))
  }

  async disconnect(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined) return
    this.#connection = undefined
    for (const queue of connection.queues) queue.close()
    this.#groups.clear()
    this.#pace()
    await connection.watch[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
  }
}

/** The network backend over a cable in memory: frames that the guest sent, and frames for it. */
import type { BackendDriver } from '../../../src/engine/plugin.ts'
import { VifBackend } from '../../../src/plugins/vif/backend.ts'
import { backendNodes, frontendNodes, type Vif, vifDevice } from '../../../src/plugins/vif/device.ts'
import type { FrameBatch, HostPort, PortHandlers } from '../../../src/plugins/vif/port.ts'
import { after, defer } from '../../../src/plugins/vif/timing.ts'
import { type MakeBackend, netScript } from '../../../src/testkit/index.ts'

/** Frames that are kept for the frontend to find its own among them. */
const KEPT = 64

class MemoryCable implements HostPort {
  readonly headroom = 4
  readonly maxFrameBytes = 65_535
  readonly isVerified = true
  readonly description = 'a cable in memory'
  readonly wrong: string[] = []
  #handlers: PortHandlers | undefined
  #sent: Uint8Array[] = []
  #paused = false

  listen(handlers: PortHandlers): void {
    this.#handlers = handlers
  }
  send({ bytes, frames }: FrameBatch): boolean {
    for (const frame of frames) {
      if (frame.buffer !== bytes.buffer) this.wrong.push('a frame that is not in its batch')
      if (frame.length > this.maxFrameBytes) this.wrong.push(`a frame of ${frame.length} bytes`)
      this.#sent.push(frame.slice())
    }
    this.#sent.splice(0, this.#sent.length - KEPT)
    return true
  }
  pause(): void {
    this.#paused = true
  }
  resume(): void {
    this.#paused = false
  }
  inject(frame: Uint8Array): void {
    if (!this.#paused) this.#handlers?.receive([frame.slice()])
  }
  takeSent(): Uint8Array[] {
    return this.#sent.splice(0)
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

export const makeVif: MakeBackend<Vif> = (host) => {
  const cable = new MemoryCable()
  const vif = vifDevice.parse({ devid: 0, mac: '00:16:3e:00:00:01' }) as Vif
  const driver: BackendDriver<Vif> = {
    type: 'vif',
    device: vifDevice as unknown as BackendDriver<Vif>['device'],
    connectOn: 'Connected',
    create: (xenhost, settings, otherend) =>
      new VifBackend(xenhost, otherend, {
        vif: settings,
        port: cable,
        maxQueues: 1,
        nowUs: () => performance.now() * 1000,
        after,
        defer,
        log: host.log,
      }),
  }
  return {
    driver,
    device: vif,
    place: { id: 0, frontend: frontendNodes(vif), backend: backendNodes(vif) },
    script: netScript({ takeSent: () => cable.takeSent(), inject: (frame) => cable.inject(frame) }),
    violations: () => cable.wrong.splice(0),
  }
}

/** A guest's half of a console in one page, and the xenhost through which a backend reaches it. */
import { domid, type Gref, type Port, port } from '../../../src/base/brand.ts'
import type { Otherend } from '../../../src/engine/plugin.ts'
import { BytePipe, CONSOLE_RING } from '../../../src/xen/ring/byte-ring.ts'
import type { XenHost } from '../../../src/xen/xenhost.ts'

export const guestEnd: Otherend = { domid: domid(7), frontendPath: '/local/domain/7/console' }

export class FakeGuest {
  readonly buffer = new SharedArrayBuffer(8192)
  /** The page lies in the middle of the buffer, as granted pages do. */
  readonly base = 4096
  readonly u8 = new Uint8Array(this.buffer)
  readonly i32 = new Int32Array(this.buffer)
  readonly pipe = new BytePipe(this, this.base, CONSOLE_RING, 'frontend')
  readonly nodes = new Map([['/local/domain/7/console/port', '2']])
  /** Events that the backend sent. */
  notified = 0
  readonly mapped: Gref[] = []
  readonly bound: Port[] = []
  #onEvent: (() => void) | undefined

  /** Prints as hvc_xen does: as much as fits, then an event; again until all is out. */
  print(text: string | Uint8Array): void {
    let rest = typeof text === 'string' ? new TextEncoder().encode(text) : text
    while (rest.length > 0) {
      const count = this.pipe.write(rest)
      if (count <= 0) throw new Error('the backend leaves the ring full')
      rest = rest.subarray(count)
      this.event()
    }
  }

  event(): void {
    this.#onEvent?.()
  }

  /** Reads everything typed so far and tells the backend, as the driver's interrupt handler does. */
  typed(): string {
    const bytes = new Uint8Array(1024)
    const count = this.pipe.read(bytes)
    if (count > 0) this.event()
    return new TextDecoder().decode(bytes.subarray(0, Math.max(0, count)))
  }

  readonly xenhost: XenHost = {
    kind: 'local',
    domid: domid(0),
    xenstore: {
      read: async (path: string) => {
        const value = this.nodes.get(path)
        if (value === undefined) throw new Error(`ENOENT ${path}`)
        return value
      },
    } as XenHost['xenstore'],
    evtchn: {
      bindInterdomain: (_otherend, remotePort, onEvent) => {
        this.bound.push(remotePort)
        this.#onEvent = onEvent
        return {
          port: port(9),
          notify: () => {
            this.notified++
          },
          [Symbol.dispose]: () => {
            this.bound.splice(this.bound.indexOf(remotePort), 1)
            this.#onEvent = undefined
          },
        }
      },
    },
    gnttab: {
      map: (_otherend, refs) => {
        this.mapped.push(...refs)
        return {
          pages: [this.u8.subarray(this.base, this.base + 4096)],
          [Symbol.dispose]: () => {
            this.mapped.length = 0
          },
        }
      },
      copy: () => [],
    },
    hypercall: () => -38n,
  }
}

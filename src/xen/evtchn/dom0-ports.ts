/**
 * The other side of a guest's channels: the ports of the backends' domain (dom0 on a local host).
 *
 * Backends may run on several threads; each has a doorbell word. An event sets the port's pending bit, adds one to
 * the doorbell of the thread that bound the port, and wakes it. A vCPU thread does no more than that.
 */
import { EVTCHNSTAT } from '../abi/event_channel.ts'
import { DOM0_PORTS, type SharedState } from '../shared-state.ts'

export class Dom0Ports {
  readonly #state: SharedState

  constructor(state: SharedState) {
    this.#state = state
  }

  /** Lowest free port, 0 if there is none. Call with the event-channel lock held. */
  allocate(doorbell: number): number {
    for (let port = 1; port < DOM0_PORTS; port++) {
      if (this.#state.getDom0Port(port, 'status') === EVTCHNSTAT.closed) {
        this.#state.setDom0Port(port, 'vcpu', doorbell)
        this.clearPending(port)
        return port
      }
    }
    return 0
  }

  /** An event for a backend: callable from any thread. */
  setPending(port: number): void {
    const state = this.#state
    const bit = 1 << (port & 31)
    if ((Atomics.or(state.i32, state.dom0Pending + (port >>> 5), bit) & bit) !== 0) return
    const bell = state.domain('doorbell', state.getDom0Port(port, 'vcpu'))
    // ORDER: the pending bit before the count; the thread takes the count before it looks at the bits.
    Atomics.add(state.i32, bell, 1)
    Atomics.notify(state.i32, bell)
  }

  clearPending(port: number): void {
    Atomics.and(this.#state.i32, this.#state.dom0Pending + (port >>> 5), ~(1 << (port & 31)))
  }

  /** Takes a port's pending bit. */
  takePending(port: number): boolean {
    const bit = 1 << (port & 31)
    return (Atomics.and(this.#state.i32, this.#state.dom0Pending + (port >>> 5), ~bit) & bit) !== 0
  }
}

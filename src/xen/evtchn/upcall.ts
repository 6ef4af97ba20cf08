/**
 * Telling a vCPU that events wait (xen-abi: "Upcall methods"): the callback vector that is level-like and outside
 * the LAPIC, or a vector of each vCPU's own that goes through its LAPIC as an edge.
 *
 * GSI and INTx callbacks are accepted and have no effect, as for PVH on Xen: there is no IOAPIC.
 */
import { requestVcpu, VCPU_REQUEST } from '../../base/vcpu-control.ts'
import { CALLBACK_TYPE } from '../abi/hvm/params.ts'
import type { SharedState } from '../shared-state.ts'

export class Upcall {
  readonly #state: SharedState

  constructor(state: SharedState) {
    this.#state = state
  }

  /** An event is selected for this vCPU: sets evtchn_upcall_pending and interrupts it if that was clear. */
  markPending(vcpu: number): void {
    const info = this.#state.getVcpu(vcpu, 'info')
    // ORDER: the port's and the selector's bits are set before this byte; the guest clears it before it reads them.
    if (Atomics.exchange(this.#state.memory.u8, info, 1) === 0) this.interrupt(vcpu)
  }

  isPending(vcpu: number): boolean {
    return Atomics.load(this.#state.memory.u8, this.#state.getVcpu(vcpu, 'info')) !== 0
  }

  /** Makes a vCPU look; callable from any thread. */
  interrupt(vcpu: number): void {
    const state = this.#state
    if (state.getVcpu(vcpu, 'upcallVector') !== 0) state.setVcpu(vcpu, 'upcallEdge', 1)
    requestVcpu(state.memory, vcpu, VCPU_REQUEST.kick)
  }

  /**
   * Vector the vCPU is to take before anything of its LAPIC, or -1. `raise` gets an edge for the LAPIC instead
   * when the vCPU has a vector of its own. To be asked in the vCPU's thread whenever it was kicked.
   */
  pendingVector(vcpu: number, raise: (vector: number) => void): number {
    const state = this.#state
    const own = state.getVcpu(vcpu, 'upcallVector')
    if (own !== 0 && Atomics.exchange(state.i32, state.vcpu(vcpu, 'upcallEdge'), 0) !== 0) raise(own)
    if (state.get('callbackType') !== CALLBACK_TYPE.VECTOR + 1) return -1
    return this.isPending(vcpu) ? state.get('callbackVector') : -1
  }

  /** HVMOP_set_evtchn_upcall_vector; an event that already waits is raised again. */
  setVector(vcpu: number, vector: number): void {
    this.#state.setVcpu(vcpu, 'upcallVector', vector)
    if (this.isPending(vcpu)) this.interrupt(vcpu)
  }

  /** The LAPIC of a vCPU came on: an edge from before was lost. */
  lapicEnabled(vcpu: number): void {
    if (this.isPending(vcpu)) this.interrupt(vcpu)
  }
}

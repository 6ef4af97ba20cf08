/**
 * 2-level event channels: a pending bit and a mask bit for each port in shared_info, a selector word in each
 * vcpu_info (xen-abi: "Port set").
 *
 * The bitmaps are arrays of words in C; being little-endian, a port's bit lies at the same place whatever the word
 * size. Only the mask's offset and the selector differ between 64- and 32-bit guests.
 */
import { PAGE_SIZE } from '../../base/machine-memory.ts'
import { shared_info, shared_info_32, vcpu_info } from '../abi/xen.ts'
import type { SharedState } from '../shared-state.ts'
import type { Delivery } from './delivery.ts'
import type { Upcall } from './upcall.ts'

const PENDING = shared_info.offsetof('evtchn_pending')
const MASK_64 = shared_info.offsetof('evtchn_mask')
const MASK_32 = shared_info_32.x32.offsets.evtchn_mask
const SEL_64 = vcpu_info.x64.offsets.evtchn_pending_sel
const SEL_32 = vcpu_info.x32.offsets.evtchn_pending_sel

export class TwoLevel implements Delivery {
  readonly #state: SharedState
  readonly #upcall: Upcall

  constructor(state: SharedState, upcall: Upcall) {
    this.#state = state
    this.#upcall = upcall
  }

  capacity(): number {
    return this.#state.get('layout32') !== 0 ? 1024 : 4096
  }

  setPending(port: number, vcpu: number): boolean {
    const i32 = this.#state.i32
    const bit = 1 << (port & 31)
    if ((Atomics.or(i32, this.#word(PENDING, port), bit) & bit) !== 0) return false
    if (!this.isMasked(port)) this.select(port, vcpu)
    return true
  }

  clearPending(port: number): void {
    Atomics.and(this.#state.i32, this.#word(PENDING, port), ~(1 << (port & 31)))
  }

  isBusy(): boolean {
    return false
  }

  isPending(port: number): boolean {
    return (Atomics.load(this.#state.i32, this.#word(PENDING, port)) & (1 << (port & 31))) !== 0
  }

  isMasked(port: number): boolean {
    return (Atomics.load(this.#state.i32, this.#maskWord(port)) & (1 << (port & 31))) !== 0
  }

  unmask(port: number, vcpu: number): void {
    const bit = 1 << (port & 31)
    const before = Atomics.and(this.#state.i32, this.#maskWord(port), ~bit)
    // ORDER: the mask is cleared before the pending bit is read; setPending goes the other way round.
    if ((before & bit) !== 0 && this.isPending(port)) this.select(port, vcpu)
  }

  /** Sets the port's word in the selector of the vCPU and interrupts it if the bit was clear. */
  select(port: number, vcpu: number): void {
    const state = this.#state
    const narrow = state.get('layout32') !== 0
    const group = narrow ? port >>> 5 : port >>> 6
    const at = (state.getVcpu(vcpu, 'info') + (narrow ? SEL_32 : SEL_64)) >>> 2
    const bit = 1 << (group & 31)
    if ((Atomics.or(state.i32, at + (group >>> 5), bit) & bit) === 0) this.#upcall.markPending(vcpu)
  }

  #maskWord(port: number): number {
    return this.#word(this.#state.get('layout32') !== 0 ? MASK_32 : MASK_64, port)
  }

  #word(offset: number, port: number): number {
    return (this.#state.get('sharedInfoPage') * PAGE_SIZE + offset) / 4 + (port >>> 5)
  }
}

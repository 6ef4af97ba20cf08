/**
 * FIFO event channels: an event word for each port in guest pages, 16 queues for each vCPU linked through the words,
 * heads and a ready mask in the vCPU's control block (xen-abi: "FIFO channels"; the public design document).
 *
 * We append at the tail, which only we know; the guest takes from the head and unlinks. One lock for all queues of
 * the domain: a port may move between two queues.
 */
import { PAGE_SIZE } from '../../base/machine-memory.ts'
import { EINVAL, ENOSPC } from '../abi/errno.ts'
import {
  EVTCHN_FIFO,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHN_FIFO_MAX_QUEUES,
  EVTCHN_FIFO_NR_CHANNELS,
  evtchn_fifo_control_block,
} from '../abi/event_channel.ts'
import { withLock } from '../lock.ts'
import { FIFO_ARRAY_PAGES, type SharedState } from '../shared-state.ts'
import type { Delivery } from './delivery.ts'
import type { Upcall } from './upcall.ts'

const WORDS_PER_PAGE = PAGE_SIZE / 4
const PENDING = 1 << EVTCHN_FIFO.PENDING
const MASKED = 1 << EVTCHN_FIFO.MASKED
const LINKED = 1 << EVTCHN_FIFO.LINKED
const BUSY = 1 << EVTCHN_FIFO.BUSY
const READY = evtchn_fifo_control_block.offsetof('ready')
const HEAD = evtchn_fifo_control_block.offsetof('head')
/** Attempts to link against a guest that keeps changing the word. */
const LINK_TRIES = 4

export class Fifo implements Delivery {
  readonly #state: SharedState
  readonly #upcall: Upcall

  constructor(state: SharedState, upcall: Upcall) {
    this.#state = state
    this.#upcall = upcall
  }

  capacity(): number {
    return EVTCHN_FIFO_NR_CHANNELS
  }

  /** Index of a port's event word, -1 while its page is missing. */
  #word(port: number): number {
    const slot = Math.floor(port / WORDS_PER_PAGE)
    if (slot >= this.#state.get('fifoPages')) return -1
    return this.#state.get('fifoPage', slot) * WORDS_PER_PAGE + (port % WORDS_PER_PAGE)
  }

  #has(port: number, bit: number): boolean {
    const word = this.#word(port)
    return word >= 0 && (Atomics.load(this.#state.i32, word) & bit) !== 0
  }

  isPending(port: number): boolean {
    return this.#has(port, PENDING)
  }

  isMasked(port: number): boolean {
    return this.#has(port, MASKED)
  }

  isBusy(port: number): boolean {
    return this.#has(port, LINKED)
  }

  clearPending(port: number): void {
    this.#state.setPort(port, 'early', 0)
    const word = this.#word(port)
    // The guest takes it out of its queue and finds it not pending.
    if (word >= 0) Atomics.and(this.#state.i32, word, ~PENDING)
  }

  unmask(port: number, vcpu: number): void {
    const word = this.#word(port)
    if (word < 0) return
    Atomics.and(this.#state.i32, word, ~MASKED)
    if (this.isPending(port)) this.setPending(port, vcpu)
  }

  setPending(port: number, vcpu: number): boolean {
    const state = this.#state
    const word = this.#word(port)
    if (word < 0) {
      state.setPort(port, 'early', 1)
      return true
    }
    const before = Atomics.or(state.i32, word, PENDING)
    if ((before & (MASKED | LINKED)) === 0) {
      const priority = state.getPort(port, 'priority')
      const isHead = withLock(state.i32, state.domain('fifoLock'), () =>
        this.#append(port, word, vcpu, priority),
      )
      if (isHead) this.#makeReady(vcpu, priority)
    }
    return (before & PENDING) === 0
  }

  /** Puts a port at the end of its queue. True if it became the head: the guest must be told. */
  #append(port: number, word: number, vcpu: number, priority: number): boolean {
    const state = this.#state
    const { i32 } = state
    const control = state.getVcpu(vcpu, 'fifoControl')
    if (control === 0) return false
    if ((Atomics.or(i32, word, LINKED) & LINKED) !== 0) return false
    // A port that was the tail of its old queue: that queue is empty now, its tail must not be linked to.
    const oldVcpu = state.getPort(port, 'lastVcpu')
    const oldPriority = state.getPort(port, 'lastPriority')
    if (state.getVcpu(oldVcpu, 'fifoTail', oldPriority) === port)
      state.setVcpu(oldVcpu, 'fifoTail', 0, oldPriority)
    state.setPort(port, 'lastVcpu', vcpu)
    state.setPort(port, 'lastPriority', priority)
    const tail = state.getVcpu(vcpu, 'fifoTail', priority)
    const linked = tail !== 0 && this.#link(this.#word(tail), port)
    if (!linked) Atomics.store(i32, (control + HEAD) / 4 + priority, port)
    state.setVcpu(vcpu, 'fifoTail', port, priority)
    return !linked
  }

  /**
   * Points the tail's word to a port, if the tail is still linked. BUSY keeps the guest from unlinking it meanwhile.
   * GUEST: one that changes the word without end loses this event; nobody else does.
   */
  #link(tailWord: number, port: number): boolean {
    const { i32 } = this.#state
    let seen = Atomics.load(i32, tailWord)
    for (let attempt = 0; attempt <= LINK_TRIES; attempt++) {
      if ((seen & LINKED) === 0) {
        if (attempt > 0) Atomics.and(i32, tailWord, ~BUSY)
        return false
      }
      const wanted = (seen & ~(BUSY | EVTCHN_FIFO_LINK_MASK)) | port
      if (Atomics.compareExchange(i32, tailWord, seen, wanted) === seen) return true
      seen = Atomics.or(i32, tailWord, BUSY) | BUSY
    }
    Atomics.and(i32, tailWord, ~BUSY)
    return true
  }

  #makeReady(vcpu: number, priority: number): void {
    const ready = (this.#state.getVcpu(vcpu, 'fifoControl') + READY) / 4
    const bit = 1 << priority
    // ORDER: after the head was written; the guest clears the bit before it reads the head.
    if ((Atomics.or(this.#state.i32, ready, bit) & bit) === 0) this.#upcall.markPending(vcpu)
  }

  /** Registers a vCPU's control block. 0 or a negative errno. */
  mapControlBlock(vcpu: number, gfn: number, offset: number): number {
    const state = this.#state
    // GUEST: the block lies in one page, aligned.
    if (offset > PAGE_SIZE - evtchn_fifo_control_block.size || offset % 8 !== 0) return -EINVAL
    const page = state.memory.frame(gfn)
    if (page === 0 || state.getVcpu(vcpu, 'fifoControl') !== 0) return -EINVAL
    for (let queue = 0; queue < EVTCHN_FIFO_MAX_QUEUES; queue++) state.setVcpu(vcpu, 'fifoTail', 0, queue)
    state.setVcpu(vcpu, 'fifoControl', page * PAGE_SIZE + offset)
    return 0
  }

  /** Adds a page of event words. Answers the first port it serves, or a negative errno. */
  addPage(gfn: number): number {
    const state = this.#state
    const slot = state.get('fifoPages')
    if (slot >= FIFO_ARRAY_PAGES) return -ENOSPC
    const page = state.memory.frame(gfn)
    if (page === 0) return -EINVAL
    state.set('fifoPage', page, slot)
    state.set('fifoPages', slot + 1)
    return slot * WORDS_PER_PAGE
  }

  /** Back to 2-level. */
  destroy(): void {
    const state = this.#state
    state.set('fifo', 0)
    state.set('fifoPages', 0)
    for (let vcpu = 0; vcpu < state.get('vcpus'); vcpu++) state.setVcpu(vcpu, 'fifoControl', 0)
  }
}

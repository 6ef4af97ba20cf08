/** The guest's side of FIFO event channels, as the design document describes it: takes from heads, acknowledges. */
import { PAGE_SIZE } from '../../../src/base/machine-memory.ts'
import { EVTCHN_FIFO, EVTCHN_FIFO_LINK_MASK } from '../../../src/xen/abi/event_channel.ts'
import type { Domain } from '../../../src/xen/domain.ts'

const bit = (n: number) => 1 << n

export class FifoGuest {
  readonly #domain: Domain
  readonly #arrayGfn: number
  readonly #control: number
  readonly #head = new Array<number>(16).fill(0)

  /** One page of event words, one vCPU's control block at the start of a page. */
  constructor(domain: Domain, arrayGfn: number, controlGfn: number) {
    this.#domain = domain
    this.#arrayGfn = arrayGfn
    this.#control = domain.memory.hostOffset(controlGfn * PAGE_SIZE) / 4
  }

  word(port: number): number {
    return this.#domain.memory.hostOffset(this.#arrayGfn * PAGE_SIZE) / 4 + port
  }
  #has(port: number, n: number): boolean {
    return (Atomics.load(this.#domain.memory.i32, this.word(port)) & bit(n)) !== 0
  }
  isPending = (port: number) => this.#has(port, EVTCHN_FIFO.PENDING)
  isMasked = (port: number) => this.#has(port, EVTCHN_FIFO.MASKED)

  mask(port: number): void {
    Atomics.or(this.#domain.memory.i32, this.word(port), bit(EVTCHN_FIFO.MASKED))
  }

  /** Handles everything that is ready; answers the ports in the order in which they came. */
  handle(): number[] {
    const { i32 } = this.#domain.memory
    const handled: number[] = []
    let ready = Atomics.exchange(i32, this.#control, 0)
    while (ready !== 0) {
      const queue = 31 - Math.clz32(ready & -ready)
      const port = this.#head[queue] || Atomics.load(i32, this.#control + 2 + queue)
      let word = Atomics.load(i32, this.word(port))
      for (;;) {
        const seen = Atomics.compareExchange(
          i32,
          this.word(port),
          word & ~bit(EVTCHN_FIFO.BUSY),
          word & ~(bit(EVTCHN_FIFO.BUSY) | bit(EVTCHN_FIFO.LINKED) | EVTCHN_FIFO_LINK_MASK),
        )
        if (seen === (word & ~bit(EVTCHN_FIFO.BUSY))) break
        word = seen
      }
      const next = word & EVTCHN_FIFO_LINK_MASK
      if (next === 0) ready &= ~bit(queue)
      if (this.isPending(port) && !this.isMasked(port)) {
        Atomics.and(i32, this.word(port), ~bit(EVTCHN_FIFO.PENDING))
        handled.push(port)
      }
      this.#head[queue] = next
      ready |= Atomics.exchange(i32, this.#control, 0)
    }
    return handled
  }
}

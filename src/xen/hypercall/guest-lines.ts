/**
 * Text the guest prints through the hypervisor (CONSOLEIO_write, port 0xe9): whole lines to the domain's log.
 *
 * GUEST: bounded twice: a line is cut at 256 bytes, and a domain gets 64 KiB in its life, then one last notice.
 */
import type { Log } from '../../base/log.ts'
import type { SharedState } from '../shared-state.ts'

const LINE_BYTES = 256
const BUDGET_BYTES = 65536

export class GuestLines {
  readonly #state: SharedState
  readonly #log: Log
  #line = ''

  constructor(state: SharedState, log: Log) {
    this.#state = state
    this.#log = log
  }

  /** One byte; unprintable ones are dropped. */
  put(byte: number): void {
    if (byte !== 0x0a) {
      if ((byte >= 0x20 && byte < 0x7f) || byte === 0x09) this.#line += String.fromCharCode(byte)
      if (this.#line.length < LINE_BYTES) return
    }
    if (this.#line !== '') this.#print(this.#line)
    this.#line = ''
  }

  #print(line: string): void {
    const used = Atomics.add(this.#state.i32, this.#state.domain('consoleBudget'), line.length)
    if (used < BUDGET_BYTES) this.#log.info(`guest: ${line}`)
    else if (used - line.length < BUDGET_BYTES) this.#log.warn('guest: more lines are dropped')
    // The count must not wrap: past the limit it stays there.
    if (used >= BUDGET_BYTES)
      Atomics.store(this.#state.i32, this.#state.domain('consoleBudget'), 2 * BUDGET_BYTES)
  }
}

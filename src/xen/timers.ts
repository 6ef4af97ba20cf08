/**
 * Timers of each vCPU (single-shot and periodic: VIRQ_TIMER) and the two watchdogs of the domain.
 *
 * No timer runs here: the CPU backend asks for the next deadline and calls `expire` when it has come. A watchdog
 * belongs to no vCPU: whichever looks first finds it expired.
 */
import { EINVAL, ENOSPC } from './abi/errno.ts'
import { VIRQ } from './abi/xen.ts'
import type { EventChannels } from './evtchn/ports.ts'
import { type SharedState, WATCHDOGS } from './shared-state.ts'

/** Shortest period Xen accepts. */
const LEAST_PERIOD_NS = 1_000_000

export class Timers {
  readonly #state: SharedState
  readonly #evtchn: EventChannels

  constructor(state: SharedState, evtchn: EventChannels) {
    this.#state = state
    this.#evtchn = evtchn
  }

  /** Absolute system time in ns; Infinity stops it. A time that has passed fires at the next look. */
  setSingleshot(vcpu: number, atNs: number): void {
    this.#state.setTime(vcpu, 'singleshot', atNs)
  }

  /** Answers 0, or -EINVAL for a period below 1 ms. */
  setPeriodic(vcpu: number, periodNs: number, nowNs: number): number {
    if (periodNs < LEAST_PERIOD_NS) return -EINVAL
    this.#state.setTime(vcpu, 'periodicNs', periodNs)
    this.#state.setTime(vcpu, 'periodicNext', nowNs + periodNs)
    return 0
  }

  stopPeriodic(vcpu: number): void {
    this.#state.setTime(vcpu, 'periodicNext', Infinity)
  }

  /** SCHEDOP_watchdog. */
  watchdog(id: number, timeoutS: number, nowNs: number): number {
    const state = this.#state
    const used = (slot: number) => state.domain('watchdogUsed', slot)
    if (id > WATCHDOGS) return -EINVAL
    if (id === 0) {
      if (timeoutS === 0) return -EINVAL
      for (let slot = 0; slot < WATCHDOGS; slot++) {
        if (Atomics.compareExchange(state.i32, used(slot), 0, 1) !== 0) continue
        state.setWatchdog(slot, nowNs + timeoutS * 1e9)
        return slot + 1
      }
      return -ENOSPC
    }
    const slot = id - 1
    if (Atomics.load(state.i32, used(slot)) === 0) return -EINVAL
    if (timeoutS === 0) {
      state.setWatchdog(slot, Infinity)
      Atomics.store(state.i32, used(slot), 0)
    } else {
      state.setWatchdog(slot, nowNs + timeoutS * 1e9)
    }
    return 0
  }

  /** System time of the next expiry a vCPU has to look at. */
  deadline(vcpu: number): number {
    const state = this.#state
    let next = Math.min(state.getTime(vcpu, 'singleshot'), state.getTime(vcpu, 'periodicNext'))
    for (let slot = 0; slot < WATCHDOGS; slot++) next = Math.min(next, state.getWatchdog(slot))
    return next
  }

  /** Fires what is due on a vCPU. True if a watchdog has expired: the domain is to end with SHUTDOWN_watchdog. */
  expire(vcpu: number, nowNs: number): boolean {
    const state = this.#state
    if (state.getTime(vcpu, 'singleshot') <= nowNs) {
      state.setTime(vcpu, 'singleshot', Infinity)
      this.#evtchn.sendVirq(VIRQ.TIMER, vcpu)
    }
    const next = state.getTime(vcpu, 'periodicNext')
    if (next <= nowNs) {
      // Missed ticks are not made up for: the port is pending anyway.
      const period = state.getTime(vcpu, 'periodicNs')
      state.setTime(vcpu, 'periodicNext', next + period * (Math.floor((nowNs - next) / period) + 1))
      this.#evtchn.sendVirq(VIRQ.TIMER, vcpu)
    }
    let expired = false
    for (let slot = 0; slot < WATCHDOGS; slot++) {
      if (state.getWatchdog(slot) > nowNs) continue
      state.setWatchdog(slot, Infinity)
      expired = true
    }
    return expired
  }
}

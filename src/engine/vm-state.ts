/**
 * The states of a VM and the only legal ways between them, and what `xl list` shows of them.
 *
 * Pure. `paused` is a state of a VM whose guest could run; the pause count beside it is Xen's
 * (controller_pause_count): it also counts while the guest has shut down, and `list` then shows both letters.
 */
import type { VcpuInfo } from './plugin.ts'

/**
 * building  plugins attach, the guest is put into memory
 * paused    complete; no vCPU runs
 * running   vCPUs run
 * shutdown  the guest ended with a reason; kept for inspection or until its action is carried out
 * dying     plugins stop, everything is released
 * gone      nothing is left
 */
export type VmState = 'building' | 'paused' | 'running' | 'shutdown' | 'dying' | 'gone'

export const TRANSITIONS: Readonly<Record<VmState, readonly VmState[]>> = {
  building: ['paused', 'dying'],
  paused: ['running', 'shutdown', 'dying'],
  running: ['paused', 'shutdown', 'dying'],
  shutdown: ['dying'],
  dying: ['gone'],
  gone: [],
}

/** Holds a VM's state. A transition that the table does not have is a bug of ours and throws. */
export class StateMachine {
  #state: VmState = 'building'
  readonly #onChange: (state: VmState, before: VmState) => void

  constructor(onChange: (state: VmState, before: VmState) => void) {
    this.#onChange = onChange
  }

  get state(): VmState {
    return this.#state
  }

  to(next: VmState): void {
    const before = this.#state
    if (!TRANSITIONS[before].includes(next)) throw new Error(`VM state ${before} cannot become ${next}`)
    this.#state = next
    this.#onChange(next, before)
  }
}

/** Shutdown reasons (sched.h, SHUTDOWN_*). */
export const SHUTDOWN = { poweroff: 0, reboot: 1, suspend: 2, crash: 3, watchdog: 4, soft_reset: 5 } as const

/** What the letters of `list` are made of. */
export interface Visible {
  readonly state: VmState
  readonly pauseCount: number
  readonly shutdownReason?: number
  readonly vcpus: readonly VcpuInfo[]
}

/** The six letters of xl's State column: running, blocked, paused, shut down, its reason, dying. */
export function stateLetters(vm: Visible): string {
  const online = vm.vcpus.filter(({ state }) => state !== 'offline' && state !== 'down')
  const runs = online.some(({ state }) => state === 'running')
  const blocked = online.length > 0 && online.every(({ state }) => state === 'blocked')
  const paused = vm.pauseCount > 0 || vm.state === 'building'
  const reason = vm.shutdownReason
  return [
    runs && vm.state === 'running' ? 'r' : '-',
    blocked && vm.state === 'running' ? 'b' : '-',
    paused ? 'p' : '-',
    reason === undefined ? '-' : 's',
    reason === undefined ? '-' : ('-rscwS'[reason] ?? '?'),
    vm.state === 'dying' || vm.state === 'gone' ? 'd' : '-',
  ].join('')
}

/** The number of `list`'s VCPUs column: those that are neither offline nor halted for good. */
export const onlineVcpus = (vm: Pick<Visible, 'vcpus'>): number =>
  vm.vcpus.filter(({ state }) => state !== 'offline' && state !== 'down').length

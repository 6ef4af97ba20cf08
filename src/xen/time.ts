/**
 * The guest's clocks: vcpu_time_info and the wall clock (xen-abi section 8).
 *
 * The guest's TSC is exactly `tscKhz` and starts with system time, so every vCPU's clock has the same constant
 * parameters: they are written when a place for them appears, and never change.
 */
import { PAGE_SIZE } from '../base/machine-memory.ts'
import {
  shared_info,
  shared_info_32,
  vcpu_info,
  vcpu_time_info,
  XEN_PVCLOCK_TSC_STABLE_BIT,
} from './abi/xen.ts'
import { withLock } from './lock.ts'
import type { SharedState } from './shared-state.ts'

const NS_PER_S = 1_000_000_000n

export interface TimeScale {
  /** tsc_to_system_mul: 32.32 fixed point, at least 2^31. */
  readonly mul: number
  /** tsc_shift: TSC differences are shifted left by this first. */
  readonly shift: number
}

/** The factor from TSC ticks to nanoseconds, normalised as Xen does: ticks shifted to between 1 and 2 GHz. */
export function timeScale(tscKhz: number): TimeScale {
  let hz = BigInt(tscKhz) * 1000n
  let shift = 0
  while (hz > 2n * NS_PER_S) {
    hz >>= 1n
    shift--
  }
  while (hz <= NS_PER_S) {
    hz <<= 1n
    shift++
  }
  return { mul: Number((NS_PER_S << 32n) / hz), shift }
}

export class Clocks {
  readonly #state: SharedState

  constructor(state: SharedState) {
    this.#state = state
  }

  /** Writes the clock of a vCPU into its vcpu_info. */
  publishVcpu(vcpu: number): void {
    const info = this.#state.getVcpu(vcpu, 'info')
    this.publishAt(info + vcpu_info.offsetof('time'))
  }

  /** Writes a vcpu_time_info at a byte offset of machine memory. */
  publishAt(at: number): void {
    const { view, i32 } = this.#state.memory
    const version = at / 4
    const { mul, shift } = timeScale(this.#state.get('tscKhz'))
    const before = Atomics.load(i32, version)
    // ORDER: odd while the fields change; a guest reads the version before and after them.
    Atomics.store(i32, version, before | 1)
    vcpu_time_info.x64.write(view, at, {
      tsc_timestamp: 0n,
      system_time: 0n,
      tsc_to_system_mul: mul,
      tsc_shift: shift,
      flags: XEN_PVCLOCK_TSC_STABLE_BIT,
    })
    Atomics.store(i32, version, (before | 1) + 1)
  }

  /** UTC in nanoseconds at system time 0. */
  setWallclock(ns: bigint): void {
    const offsetS = this.#state.get('clockOffsetS') | 0
    this.#state.setBig('wallclockNs', ns + BigInt(offsetS) * 1_000_000_000n)
    this.publishWallclock()
  }

  /** Writes UTC at system time 0 into shared_info, in the layout in force. */
  publishWallclock(): void {
    const state = this.#state
    const { view, i32 } = state.memory
    const page = state.get('sharedInfoPage') * PAGE_SIZE
    const narrow = state.get('layout32') !== 0
    const offsets = narrow ? shared_info_32.x32.offsets : shared_info.x64.offsets
    const high = narrow
      ? shared_info_32.x32.offsets.arch + shared_info_32.fields.arch.inner!.x32.offsets['wc_sec_hi']!
      : shared_info.x64.offsets.wc_sec_hi
    withLock(i32, state.domain('timeLock'), () => {
      const ns = state.getBig('wallclockNs')
      const version = (page + offsets.wc_version) / 4
      const before = Atomics.load(i32, version)
      // ORDER: as for vcpu_time_info.
      Atomics.store(i32, version, before | 1)
      const seconds = ns / NS_PER_S
      view.setUint32(page + offsets.wc_sec, Number(seconds & 0xffffffffn), true)
      view.setUint32(page + offsets.wc_nsec, Number(ns % NS_PER_S), true)
      view.setUint32(page + high, Number(seconds >> 32n), true)
      Atomics.store(i32, version, (before | 1) + 1)
    })
  }
}

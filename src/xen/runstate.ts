/**
 * Runstate: how long each vCPU ran, could have run, slept and was offline (vcpu.h); steal time is made of it.
 *
 * A registered area is written through its guest-physical place at registration. XEN: Xen walks the guest's page
 * tables at each update of an area given by virtual address; guests keep it in memory that is never remapped.
 */

import type { Abi, Values } from './abi/struct.ts'
import { RUNSTATE, vcpu_runstate_info, XEN_RUNSTATE_UPDATE } from './abi/vcpu.ts'
import { VMASST_TYPE } from './abi/xen.ts'
import type { SharedState } from './shared-state.ts'

export type RunstateInfo = Values<typeof vcpu_runstate_info.fields>

export class Runstate {
  readonly #state: SharedState

  constructor(state: SharedState) {
    this.#state = state
  }

  /** The vCPU's thread changes its state. */
  change(vcpu: number, to: keyof typeof RUNSTATE.values, nowNs: number): void {
    const state = this.#state
    const seq = state.vcpu(vcpu, 'runstateSeq')
    const from = state.getVcpu(vcpu, 'runstate')
    const since = state.getTime(vcpu, 'runstateSince')
    Atomics.add(state.i32, seq, 1)
    state.setTime(vcpu, 'runstateTime', state.getTime(vcpu, 'runstateTime', from) + (nowNs - since), from)
    state.setVcpu(vcpu, 'runstate', RUNSTATE[to])
    state.setTime(vcpu, 'runstateSince', nowNs)
    Atomics.add(state.i32, seq, 1)
    this.publish(vcpu)
  }

  /** What VCPUOP_get_runstate_info answers. Any thread may ask. */
  read(vcpu: number, nowNs?: number): RunstateInfo {
    const state = this.#state
    const seq = state.vcpu(vcpu, 'runstateSeq')
    for (;;) {
      const before = Atomics.load(state.i32, seq)
      const current = state.getVcpu(vcpu, 'runstate')
      const since = state.getTime(vcpu, 'runstateSince')
      const time = [0, 1, 2, 3].map((n) => state.getTime(vcpu, 'runstateTime', n))
      if ((before & 1) !== 0 || Atomics.load(state.i32, seq) !== before) continue
      if (nowNs !== undefined) time[current] = time[current]! + Math.max(0, nowNs - since)
      return {
        state: current,
        state_entry_time: BigInt(Math.floor(since)),
        time: time.map((ns) => BigInt(Math.floor(ns))),
      }
    }
  }

  /** Registers an area: its first byte and the first byte of its second page, as offsets in machine memory. */
  register(vcpu: number, first: number, second: number, firstBytes: number, abi: Abi): void {
    const state = this.#state
    state.setVcpu(vcpu, 'runstateArea', 0)
    state.setVcpu(vcpu, 'runstateArea', second, 1)
    state.setVcpu(vcpu, 'runstateSplit', firstBytes)
    state.setVcpu(vcpu, 'runstateAbi', abi)
    state.setVcpu(vcpu, 'runstateArea', first)
    this.publish(vcpu)
  }

  /** Writes the registered area, if there is one. */
  publish(vcpu: number): void {
    const state = this.#state
    if (state.getVcpu(vcpu, 'runstateArea') === 0) return
    const layout = vcpu_runstate_info.for(state.getVcpu(vcpu, 'runstateAbi') === 32 ? 32 : 64)
    const info = this.read(vcpu)
    if ((state.get('vmAssist') & (1 << VMASST_TYPE.runstate_update_flag)) === 0) {
      this.#scatter(vcpu, layout.bytes(info), 0, layout.size)
      return
    }
    const entry = layout.offsets.state_entry_time
    const changing = layout.bytes({ ...info, state_entry_time: info.state_entry_time | XEN_RUNSTATE_UPDATE })
    // ORDER: the flag, then the values, then the entry time without the flag; a guest reads it before and after.
    this.#scatter(vcpu, changing, entry, entry + 8)
    this.#scatter(vcpu, changing, 0, layout.size)
    this.#scatter(vcpu, layout.bytes(info), entry, entry + 8)
  }

  /** Writes bytes `from`..`to` of the image to the area's one or two parts. */
  #scatter(vcpu: number, image: Uint8Array, from: number, to: number): void {
    const state = this.#state
    const u8 = state.memory.u8
    const first = state.getVcpu(vcpu, 'runstateArea')
    const second = state.getVcpu(vcpu, 'runstateArea', 1)
    const split = state.getVcpu(vcpu, 'runstateSplit')
    for (let i = from; i < to; i++) {
      // Atomic stores keep their order among each other.
      Atomics.store(u8, i < split ? first + i : second + i - split, image[i]!)
    }
  }
}

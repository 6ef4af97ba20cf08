/**
 * One domain: ties event channels, grants, params, clocks, timers and the physmap over shared machine memory.
 *
 * A Domain holds no state of its own: any thread builds one over the same memory. The main thread lays the area
 * out once with `Domain.initialise`; the toolstack's part of building a domain (ports, params, grants of the console
 * and the store, the memory map) is here too.
 */
import { type Domid, domid, type Gfn, gref, type Port, port } from '../base/brand.ts'
import { type MachineMemory, PAGE_SIZE } from '../base/machine-memory.ts'
import { GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE } from './abi/grant_table.ts'
import { CALLBACK_TYPE, HVM_PARAM } from './abi/hvm/params.ts'
import { E820_ENTRY_BYTES } from './abi/memory.ts'
import { RUNSTATE } from './abi/vcpu.ts'
import { LEGACY_MAX_VCPUS, vcpu_info } from './abi/xen.ts'
import { DOM0, EventChannels } from './evtchn/ports.ts'
import { Upcall } from './evtchn/upcall.ts'
import { GrantAccess } from './gnttab/access.ts'
import { GrantTable } from './gnttab/table.ts'
import { Params } from './params.ts'
import { Physmap } from './physmap.ts'
import { Runstate } from './runstate.ts'
import { MAX_GRANT_FRAMES, MAX_MEMORY_MAP, SharedState, STATE_MAGIC, WATCHDOGS } from './shared-state.ts'
import { Clocks } from './time.ts'
import { Timers } from './timers.ts'

/** xl's default of max_event_channels. */
const DEFAULT_MAX_PORT = 1023

export interface E820Entry {
  readonly addr: bigint
  readonly size: bigint
  /** 1 RAM, 2 reserved, 3 ACPI, 4 NVS, 5 unusable. */
  readonly type: number
}

export interface DomainSetup {
  readonly domid: Domid
  /** 16 bytes. */
  readonly uuid: Uint8Array
  readonly vcpus: number
  readonly tscKhz: number
  /** UTC in nanoseconds at system time 0. */
  readonly wallclockNs: bigint
  /** Highest port the guest may have. */
  readonly maxPort?: number
  /** Frames the grant table may have, at least 1; more than MAX_GRANT_FRAMES it cannot have. */
  readonly maxGrantFrames?: number
  /** Seconds that the guest's wall clock is ahead of UTC. */
  readonly clockOffsetS?: number
  /** Offer HVMOP_set_evtchn_upcall_vector; needs a CPU backend whose LAPIC takes Vcpu.raiseVector. */
  readonly perVcpuUpcall?: boolean
}

/** Ports the toolstack allocated for the guest's console or store. */
export interface SpecialPage {
  readonly gfn: Gfn
  readonly port: Port
}

export class Domain {
  readonly memory: MachineMemory
  readonly state: SharedState
  readonly upcall: Upcall
  readonly evtchn: EventChannels
  readonly physmap: Physmap
  readonly gnttab: GrantTable
  readonly grants: GrantAccess
  readonly params: Params
  readonly clocks: Clocks
  readonly timers: Timers
  readonly runstate: Runstate

  constructor(memory: MachineMemory) {
    this.memory = memory
    this.state = new SharedState(memory)
    this.upcall = new Upcall(this.state)
    this.evtchn = new EventChannels(this.state, this.upcall)
    this.physmap = new Physmap(this.state)
    this.gnttab = new GrantTable(this.state, this.physmap)
    this.grants = new GrantAccess(this.state, this.gnttab)
    this.params = new Params(this.state)
    this.clocks = new Clocks(this.state)
    this.timers = new Timers(this.state, this.evtchn)
    this.runstate = new Runstate(this.state)
  }

  /**
   * Lays the area out, before any other thread looks, or while all vCPUs are parked and the guest starts anew: then
   * RAM is where it was at first and the pages of the first time are used again.
   * Throws RangeError when machine memory has no page left.
   */
  static initialise(memory: MachineMemory, setup: DomainSetup): Domain {
    const domain = new Domain(memory)
    const { state } = domain
    const again = state.get('magic') === STATE_MAGIC
    const pages = again ? domain.#dismantle() : { sharedInfo: 0, gnttab: [] }
    state.clear(again)
    for (const [n, page] of pages.gnttab.entries()) state.set('gnttabPage', page, n)
    state.set('domid', setup.domid)
    state.set('vcpus', setup.vcpus)
    state.set('tscKhz', setup.tscKhz)
    state.bytes('uuid').set(setup.uuid.subarray(0, 16))
    state.set('perVcpuUpcall', setup.perVcpuUpcall === true ? 1 : 0)
    state.set('maxPort', setup.maxPort ?? DEFAULT_MAX_PORT)
    state.set('gnttabMaxFrames', Math.min(setup.maxGrantFrames ?? MAX_GRANT_FRAMES, MAX_GRANT_FRAMES))
    state.set('layout32', 1)
    state.set('clockOffsetS', setup.clockOffsetS ?? 0)
    state.setBig('wallclockNs', setup.wallclockNs)
    for (let slot = 0; slot < WATCHDOGS; slot++) state.setWatchdog(slot, Infinity)
    const sharedInfo = pages.sharedInfo || memory.allocatePage()
    if (sharedInfo === 0) throw new RangeError('no page left for shared_info')
    memory.u8.fill(0, sharedInfo * PAGE_SIZE, (sharedInfo + 1) * PAGE_SIZE)
    state.set('sharedInfoPage', sharedInfo)
    for (let vcpu = 0; vcpu < setup.vcpus; vcpu++) domain.#initialiseVcpu(vcpu, sharedInfo)
    domain.clocks.publishWallclock()
    if (domain.gnttab.grow(1) < 0) throw new RangeError('no page left for the grant table')
    state.set('magic', STATE_MAGIC)
    return domain
  }

  /** Takes everything out of the guest's sight and answers the pages to use again. */
  #dismantle(): { readonly sharedInfo: number; readonly gnttab: readonly number[] } {
    const { state, physmap } = this
    // Backends keep their ports until they close them; those lead nowhere from now on.
    this.evtchn.reset()
    const sharedInfo = state.get('sharedInfoPage')
    const gnttab = Array.from({ length: MAX_GRANT_FRAMES }, (_, n) => state.get('gnttabPage', n))
    physmap.withdraw(state.get('sharedInfoGfn') - 1, sharedInfo)
    for (const [n, page] of gnttab.entries()) physmap.withdraw(state.get('gnttabGfn', n) - 1, page)
    physmap.restoreRam()
    return { sharedInfo, gnttab }
  }

  #initialiseVcpu(vcpu: number, sharedInfo: number): void {
    const { state } = this
    const info =
      vcpu < LEGACY_MAX_VCPUS
        ? sharedInfo * PAGE_SIZE + vcpu * vcpu_info.size
        : state.vcpuBytes(vcpu, 'dummyInfo')
    state.setVcpu(vcpu, 'info', info)
    state.setTime(vcpu, 'singleshot', Infinity)
    state.setTime(vcpu, 'periodicNext', Infinity)
    state.setVcpu(vcpu, 'runstate', vcpu === 0 ? RUNSTATE.runnable : RUNSTATE.offline)
    this.clocks.publishVcpu(vcpu)
  }

  get domid(): Domid {
    return domid(this.state.get('domid'))
  }

  get vcpus(): number {
    return this.state.get('vcpus')
  }

  /** The guest's mode decides the layout of shared_info from now on (xen-abi: "Word-size latch"). */
  latchLayout(is64: boolean): void {
    this.state.set('layout32', is64 ? 0 : 1)
    this.clocks.publishWallclock()
  }

  /** Shows shared_info at a frame. 0 or a negative errno. */
  mapSharedInfo(gfn: number): number {
    const { state } = this
    const page = state.get('sharedInfoPage')
    const done = this.physmap.overlay(gfn, page)
    if (done < 0) return done
    const before = state.get('sharedInfoGfn')
    if (before !== 0 && before - 1 !== gfn) this.physmap.withdraw(before - 1, page)
    state.set('sharedInfoGfn', gfn + 1)
    return 0
  }

  /** HVM_PARAM_CALLBACK_IRQ was written: bits 63:56 are the type. */
  setCallback(value: bigint): void {
    const type = Number(value >> 56n)
    this.state.set('callbackVector', Number(value & 0xffn))
    this.state.set('callbackType', value === 0n ? 0 : type + 1)
    if (type !== CALLBACK_TYPE.VECTOR) return
    for (let vcpu = 0; vcpu < this.vcpus; vcpu++) if (this.upcall.isPending(vcpu)) this.upcall.interrupt(vcpu)
  }

  /** Toolstack: page, port, params and grant of the primary console. */
  setConsole(gfn: Gfn): SpecialPage {
    const at = port(this.evtchn.allocUnbound(DOM0))
    this.params.set(HVM_PARAM.CONSOLE_PFN, BigInt(gfn))
    this.params.set(HVM_PARAM.CONSOLE_EVTCHN, BigInt(at))
    this.gnttab.seed(gref(GNTTAB_RESERVED_CONSOLE), DOM0, gfn)
    return { gfn, port: at }
  }

  /** Toolstack: page, port, params and grant of the store's ring. */
  setStore(gfn: Gfn): SpecialPage {
    const at = port(this.evtchn.allocUnbound(DOM0))
    this.params.set(HVM_PARAM.STORE_PFN, BigInt(gfn))
    this.params.set(HVM_PARAM.STORE_EVTCHN, BigInt(at))
    this.gnttab.seed(gref(GNTTAB_RESERVED_XENSTORE), DOM0, gfn)
    return { gfn, port: at }
  }

  /** Toolstack: what XENMEM_memory_map answers; at most 128 entries. */
  setMemoryMap(entries: readonly E820Entry[]): void {
    if (entries.length > MAX_MEMORY_MAP)
      throw new RangeError(`a memory map has at most ${MAX_MEMORY_MAP} entries`)
    const bytes = this.state.bytes('memoryMap')
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (const [i, { addr, size, type }] of entries.entries()) {
      view.setBigUint64(i * E820_ENTRY_BYTES, addr, true)
      view.setBigUint64(i * E820_ENTRY_BYTES + 8, size, true)
      view.setUint32(i * E820_ENTRY_BYTES + 16, type, true)
    }
    this.state.set('memoryMapEntries', entries.length)
  }

  /** Packed e820 entries, 20 bytes each. */
  memoryMap(): Uint8Array {
    return this.state.bytes('memoryMap').slice(0, this.state.get('memoryMapEntries') * E820_ENTRY_BYTES)
  }

  /** The reason the domain ends with when the guest gave `reason`: SCHEDOP_shutdown_code wins. */
  shutdownReason(reason: number): number {
    const code = this.state.get('shutdownCode')
    return code === 0 ? reason : code - 1
  }
}

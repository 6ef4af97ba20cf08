/**
 * What a toolstack does for a guest before it runs: lays out the domain, gives the store and the console their page,
 * port, grant and params.
 */
import { type Gfn, gfn } from '../../base/brand.ts'
import { type MachineMemory, PAGE_SIZE } from '../../base/machine-memory.ts'
import type { VmInfo } from '../../engine/plugin.ts'
import { Domain, type SpecialPage } from '../../xen/domain.ts'
import type { XenShimSettings } from './index.ts'

declare module '../../engine/plugin.ts' {
  interface Capabilities {
    /** The emulated domain: ports, params, grants, memory map (xen-shim). */
    xenDomain: Domain
  }
}

/** The guest's TSC: 1 GHz, so that its ticks are nanoseconds of system time. */
export const TSC_KHZ = 1_000_000
/** With FIFO event channels. */
const MOST_EVENT_CHANNELS = 131071
/** Where libxl puts the two pages of a PVH guest; the domain builder maps them. */
const STORE_GFN = gfn(0xfeffc)
const CONSOLE_GFN = gfn(0xfefff)

export interface BuiltDomain {
  readonly domain: Domain
  readonly store: SpecialPage
  readonly console: SpecialPage
}

/** ORDER: the store's port comes first, so that it is 1 and the console's 2, as the store's nodes say. */
export function buildDomain(memory: MachineMemory, vm: VmInfo, settings: XenShimSettings): BuiltDomain {
  const domain = Domain.initialise(memory, {
    domid: vm.domid,
    uuid: uuidBytes(vm.uuid),
    vcpus: vm.maxVcpus,
    tscKhz: TSC_KHZ,
    // Set when the boot vCPU runs: only then both clocks are known together.
    wallclockNs: 0n,
    ...limits(vm.config['libxl'], settings),
    clockOffsetS: clockOffsetS(vm.config['libxl']),
    perVcpuUpcall: settings.upcall === 'per-vcpu',
  })
  const store = domain.setStore(specialPage(memory, STORE_GFN))
  const console = domain.setConsole(specialPage(memory, CONSOLE_GFN))
  return { domain, store, console }
}

/** xl's max_event_channels and max_grant_frames; what the domain does not say is the host's. */
function limits(libxl: unknown, settings: XenShimSettings): { maxPort: number; maxGrantFrames?: number } {
  const { b_info = {} } = (libxl ?? {}) as {
    b_info?: { event_channels?: number; max_grant_frames?: number }
  }
  return {
    maxPort: Math.min(b_info.event_channels || settings.maxEventChannels, MOST_EVENT_CHANNELS),
    ...(b_info.max_grant_frames === undefined ? {} : { maxGrantFrames: b_info.max_grant_frames }),
  }
}

/** xl's localtime and rtc_timeoffset: how far the guest's clock is ahead of UTC. */
function clockOffsetS(libxl: unknown): number {
  const { b_info = {} } = (libxl ?? {}) as { b_info?: { localtime?: string; rtc_timeoffset?: number } }
  const zone = b_info.localtime === 'True' ? -new Date().getTimezoneOffset() * 60 : 0
  return zone + ((b_info.rtc_timeoffset ?? 0) | 0)
}

/** 16 bytes of a UUID's text. */
function uuidBytes(uuid: string): Uint8Array {
  const hex = uuid.replaceAll('-', '')
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16) || 0)
}

/** A zeroed page outside RAM at a frame; the one the domain builder put there if it did. */
function specialPage(memory: MachineMemory, at: Gfn): Gfn {
  const page = memory.frame(at) || memory.allocatePage()
  if (page === 0) throw new RangeError('no page left for the special pages')
  memory.u8.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
  memory.setFrame(at, page)
  return at
}

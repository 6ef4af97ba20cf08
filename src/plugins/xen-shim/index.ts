/**
 * The Xen shim as a plugin: it plugs src/xen into the vCPUs' exits and lays out the domain before they exist.
 *
 * In the vCPUs' threads runs vcpu.ts; on the main thread this file builds what a toolstack builds: the store's and
 * the console's page, port, grant and params.
 */
import { z } from 'zod'
import { type Gfn, gfn } from '../../base/brand.ts'
import type { MachineMemory } from '../../base/machine-memory.ts'
import { definePlugin, type VmInfo } from '../../engine/plugin.ts'
import { HYPERCALL_PAGE_MSR, XEN_CPUID_FIRST, XEN_CPUID_LAST } from '../../xen/cpuid.ts'
import { Domain } from '../../xen/domain.ts'
import './capabilities.ts'

/** The guest's TSC: 1 GHz, so that ticks are nanoseconds. */
export const TSC_KHZ = 1_000_000
/** Where libxl puts the two special pages of a PVH guest. */
export const STORE_GFN = gfn(0xfeffc)
export const CONSOLE_GFN = gfn(0xfefff)
/** Hypercall numbers there can be; those without a row are answered and named too. */
const HYPERCALL_NUMBERS = 64
const PORT_E9: readonly [number, number] = [0xe9, 0xe9]

const config = z
  .object({
    /**
     * `callback`: one callback vector, injected outside the LAPIC. `per-vcpu`: offer HVMOP_set_evtchn_upcall_vector;
     * needs a CPU backend whose LAPIC delivers and ends such interrupts.
     */
    upcall: z.enum(['callback', 'per-vcpu']).default('callback'),
    maxEventChannels: z.int().min(8).max(131071).default(1023),
  })
  .strict()

/** 16 bytes of a UUID text. */
function uuidBytes(uuid: string): Uint8Array {
  const hex = uuid.replaceAll('-', '')
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16) || 0)
}

/** A zeroed page outside RAM at a frame of the guest. */
function specialPage(memory: MachineMemory, at: Gfn): Gfn {
  const page = memory.allocatePage()
  if (page === 0) throw new RangeError('no page left for the special pages')
  memory.setFrame(at, page)
  return at
}

function build(memory: MachineMemory, vm: VmInfo, settings: z.output<typeof config>): Domain {
  const domain = Domain.initialise(memory, {
    domid: vm.domid,
    uuid: uuidBytes(vm.uuid),
    vcpus: vm.maxVcpus,
    tscKhz: TSC_KHZ,
    wallclockNs: BigInt(Date.now()) * 1_000_000n,
    maxPort: settings.maxEventChannels,
    perVcpuUpcall: settings.upcall === 'per-vcpu',
  })
  domain.setStore(specialPage(memory, STORE_GFN))
  domain.setConsole(specialPage(memory, CONSOLE_GFN))
  return domain
}

export default definePlugin({
  name: 'xen-shim',
  api: 1,
  config,
  provides: ['xenDomain'],
  requires: ['guestMemory'],
  setup(ctx) {
    ctx.exits.claim({
      hypercalls: Array.from({ length: HYPERCALL_NUMBERS }, (_, nr) => nr),
      cpuid: [[XEN_CPUID_FIRST, XEN_CPUID_LAST]],
      msrs: [[HYPERCALL_PAGE_MSR, HYPERCALL_PAGE_MSR]],
      ports: [PORT_E9],
      module: new URL('./vcpu.ts', import.meta.url).href,
    })
    return {
      attach() {
        ctx.provide('xenDomain', build(ctx.use('guestMemory'), ctx.vm, ctx.config))
      },
    }
  },
})

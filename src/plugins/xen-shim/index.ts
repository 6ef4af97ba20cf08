/**
 * The Xen shim as a plugin: it plugs src/xen into the vCPUs' exits, lays out the domain before they exist, links the
 * guest's xenstore ring, and provides the bus for PV backends.
 *
 * vcpu.ts is what runs in the vCPUs' threads; toolstack.ts builds what a toolstack builds.
 */

import { extname } from 'node:path'
import { z } from 'zod'
import { definePlugin, type PvBus } from '../../engine/plugin.ts'
import { HYPERCALL_PAGE_MSR, XEN_CPUID_FIRST, XEN_CPUID_LAST } from '../../xen/cpuid.ts'
import { LocalXen } from '../../xen/local.ts'
import { BackendBus } from '../../xen/xenbus/backend-bus.ts'
import type { XenstoreClient } from '../../xen/xenhost.ts'
import { connectXenstore } from '../../xenstored/client.ts'
import { ensureXenstored } from '../../xenstored/ensure.ts'
import { storePlaces } from '../../xenstored/places.ts'
import { hostTimeMs } from './host-time.ts'
import { linkStore, type StoreLink } from './store-link.ts'
import { BackendThreads } from './threads.ts'
import { buildDomain } from './toolstack.ts'

/** Hypercall numbers there can be; those without a row are answered and named in the log too. */
const HYPERCALL_NUMBERS = 64
/** Debug port of Xen guests: text goes to the log. */
const PORT_E9 = 0xe9

const config = z
  .object({
    /**
     * `callback`: one callback vector, injected outside the LAPIC. `per-vcpu`: offer HVMOP_set_evtchn_upcall_vector;
     * needs a CPU backend whose LAPIC delivers and ends such interrupts.
     */
    upcall: z.enum(['callback', 'per-vcpu']).default('callback'),
    /** xl's max_event_channels. */
    maxEventChannels: z.int().min(8).max(131071).default(1023),
  })
  .strict()
export type XenShimSettings = z.output<typeof config>

export default definePlugin({
  name: 'xen-shim',
  api: 1,
  config,
  provides: ['pvBus', 'xenstore', 'xenDomain'],
  setup(ctx) {
    const { vm, log } = ctx
    ctx.exits.claim({
      hypercalls: Array.from({ length: HYPERCALL_NUMBERS }, (_, nr) => nr),
      cpuid: [[XEN_CPUID_FIRST, XEN_CPUID_LAST]],
      msrs: [[HYPERCALL_PAGE_MSR, HYPERCALL_PAGE_MSR]],
      ports: [[PORT_E9, PORT_E9]],
      module: new URL(`./vcpu${extname(import.meta.url)}`, import.meta.url).href,
    })
    let bus: BackendBus | undefined
    let xen: LocalXen | undefined
    let storeLink: StoreLink | undefined
    let threads: BackendThreads | undefined

    return {
      async attach() {
        const memory = ctx.use('guestMemory')
        const { domain, store } = buildDomain(memory, vm, ctx.config)
        const { socketPath } = storePlaces(vm.hostRunDir)
        const xenstore = ctx.own(
          await connectXenstore({ socketPath, revive: () => ensureXenstored(vm.hostRunDir) }),
        )
        const local = ctx.own(
          new LocalXen({ memory, defer: (task) => void setImmediate(task), now: hostTimeMs }),
        )
        storeLink = ctx.own(await linkStore(local, store, vm))
        bus = new BackendBus({
          domid: vm.domid,
          xenstore,
          xenhost: (backendPath) => local.xenhost(backendPath, xenstore),
          log,
        })
        xen = local
        threads = new BackendThreads(memory, log)
        ctx.provide('xenDomain', domain)
        ctx.provide('xenstore', xenstore)
        ctx.provide('pvBus', pvBus(bus, local, xenstore, threads))
      },
      async reset() {
        await storeLink?.[Symbol.asyncDispose]()
        const { store } = buildDomain(ctx.use('guestMemory'), vm, ctx.config)
        storeLink = ctx.own(await linkStore(xen!, store, vm))
        await bus?.reset()
      },
      async stop() {
        await bus?.close()
        await threads?.[Symbol.asyncDispose]()
        for (const line of xen?.leftovers() ?? []) log.warn(line)
      },
    }
  },
})

function pvBus(bus: BackendBus, xen: LocalXen, xenstore: XenstoreClient, threads: BackendThreads): PvBus {
  const otherend = xen.domain.domid
  return {
    xenhost: (backendPath) => xen.xenhost(backendPath, xenstore),
    thread: (options) => threads.start(options),
    add: (driver, device, place) =>
      bus.add({
        type: driver.type,
        connectOn: driver.connectOn,
        ...place,
        create: (xenhost, frontendPath) => driver.create(xenhost, device, { domid: otherend, frontendPath }),
      }),
  }
}

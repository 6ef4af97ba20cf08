/**
 * What the engine itself does in xenstore: the domain's tree, its name, requests to the guest, removal.
 * Layout as libxl's (src/xen/xenstore/domain-tree.ts).
 */
import { type Domid, gfn, port } from '../base/brand.ts'
import type { DomainConfig } from '../config/schema.ts'
import type { XenstoreClient } from '../xen/xenhost.ts'
import { domainTree, removeDomain, writeNodes } from '../xen/xenstore/domain-tree.ts'
import type { ToolstackClient } from '../xenstored/client.ts'
import { SPECIAL_PAGES } from './boot/e820.ts'
import type { DriverClock } from './driver.ts'
import { errors } from './errors.ts'

/** A toolstack's connection to the store, closed at the end. */
export type StoreConnection = XenstoreClient &
  AsyncDisposable &
  Pick<ToolstackClient, 'introduce' | 'release' | 'domainShutdown'>

/** Ports that the toolstack allocates before a guest runs (XEN: the first two, as a PVH guest of libxl gets them). */
export const RESERVED_PORTS = { store: 1, console: 2 } as const

/** Writes the domain's tree and introduces it to the store, which then takes its ring. */
export async function enterStore(
  store: StoreConnection,
  domid: Domid,
  config: DomainConfig,
  startMs: number,
  consolePath: string,
): Promise<void> {
  const nodes = domainTree({
    domid,
    name: config.name,
    uuid: config.uuid,
    vcpus: config.vcpus,
    maxVcpus: config.maxVcpus,
    staticMaxKiB: config.maxMemoryKiB,
    targetKiB: config.memoryKiB,
    startTimeSeconds: startMs / 1000,
    store: { port: RESERVED_PORTS.store, gfn: SPECIAL_PAGES.xenstore },
    console: { port: RESERVED_PORTS.console, gfn: SPECIAL_PAGES.console, tty: consolePath },
  })
  await store.transaction((tx) => writeNodes(store, nodes, tx))
  await store.introduce(domid, gfn(SPECIAL_PAGES.xenstore), port(RESERVED_PORTS.store))
}

/** Removes everything of a domain, also of one that was never introduced or is gone already. */
export async function leaveStore(store: StoreConnection, domid: Domid): Promise<void> {
  await store.release(domid).catch(ignoreAbsent)
  // The tree comes and goes in one transaction: without this node there is none.
  const vm = await store.read(`/local/domain/${domid}/vm`).catch(ignoreAbsent)
  if (vm !== undefined) await removeDomain(store, domid, vm.slice('/vm/'.length))
}

function ignoreAbsent(error: unknown): undefined {
  if ((error as { code?: unknown }).code !== 'ENOENT') throw error
}

export async function renameInStore(
  store: XenstoreClient,
  domid: Domid,
  uuid: string,
  name: string,
): Promise<void> {
  await store.transaction(async (tx) => {
    await store.write(`/local/domain/${domid}/name`, name, tx)
    await store.write(`/vm/${uuid}/name`, name, tx)
  })
}

/** libxl waits as long. */
const ACK_SECONDS = 60
/** For a guest that never said that it listens. */
const ACK_SECONDS_UNANNOUNCED = 5

/**
 * Asks the guest to shut itself down or to reboot; settles when it has taken the request up by emptying the node.
 * Rejects with XT_NOT_ACKNOWLEDGED, or XT_NO_PV_CONTROL if it never announced that it can; the request is taken
 * back then. `gone` ends the waiting: the domain goes down in another way.
 */
export async function requestOfGuest(
  store: XenstoreClient,
  domid: Domid,
  what: 'poweroff' | 'reboot',
  clock: DriverClock,
  gone: AbortSignal,
): Promise<void> {
  const node = `/local/domain/${domid}/control/shutdown`
  const feature = `/local/domain/${domid}/control/feature-${what}`
  // GUEST: the node is the guest's own, it may be gone.
  const announced = (await store.read(feature).catch(ignoreAbsent)) === '1'
  const seconds = announced ? ACK_SECONDS : ACK_SECONDS_UNANNOUNCED
  const taken = Promise.withResolvers<boolean>()
  const cancel = clock.after(seconds * 1000, () => taken.resolve(false))
  gone.addEventListener('abort', () => taken.resolve(true), { once: true })
  await store.write(node, what)
  const watch = await store.watch(node, () => {
    store.read(node).then(
      (value) => value === '' && taken.resolve(true),
      // The node goes with the domain.
      () => taken.resolve(true),
    )
  })
  try {
    if (await taken.promise) return
    await store.transaction(async (tx) => {
      if ((await store.read(node, tx)) === what) await store.write(node, '', tx)
    })
    throw announced ? errors.XT_NOT_ACKNOWLEDGED(what, seconds) : errors.XT_NO_PV_CONTROL()
  } finally {
    cancel()
    await watch[Symbol.asyncDispose]()
  }
}

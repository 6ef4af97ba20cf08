/** Ties the guest's xenstore ring to the store's process: the ring's page, its event channel, the store's socket. */
import type { VmInfo } from '../../engine/plugin.ts'
import type { SpecialPage } from '../../xen/domain.ts'
import type { LocalXen } from '../../xen/local.ts'
import { ensureXenstored } from '../../xenstored/ensure.ts'
import { attachGuestStore } from '../../xenstored/guest-link.ts'
import { storePlaces } from '../../xenstored/places.ts'

export type StoreLink = AsyncDisposable

/** The domain must have been introduced to the store. Rejects with XT_XENSTORED_GUEST_REFUSED. */
export async function linkStore(xen: LocalXen, store: SpecialPage, vm: VmInfo): Promise<StoreLink> {
  const listeners = new Set<() => void>()
  const channel = xen.bind(store.port, () => {
    for (const listener of listeners) listener()
  })
  try {
    const link = await attachGuestStore({
      memory: xen.domain.memory,
      gfn: store.gfn,
      domid: vm.domid,
      socketPath: storePlaces(vm.hostRunDir).guestSocketPath,
      onGuestEvent: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      notifyGuest: () => channel.notify(),
      ...(xen.trace && { trace: xen.trace }),
      revive: () => ensureXenstored(vm.hostRunDir),
    })
    return {
      async [Symbol.asyncDispose]() {
        await link.close()
        channel[Symbol.dispose]()
      },
    }
  } catch (error) {
    channel[Symbol.dispose]()
    throw error
  }
}

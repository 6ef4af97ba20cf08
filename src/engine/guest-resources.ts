/**
 * What a toolstack changes in a guest that runs, through xenstore, with libxl's nodes and checks: how many vCPUs are
 * online, how much memory the balloon is to leave, how much it may be, and the key of a sysrq.
 *
 * The guest acts on them in its own time, or not at all: nothing here waits for it. The `with` functions say the same in
 * the configuration, from which the domain is listed and started again.
 */
import type { Domid } from '../base/brand.ts'
import type { DomainConfig } from '../config/schema.ts'
import type { XenstoreClient } from '../xen/xenhost.ts'
import { domainPath } from '../xen/xenstore/node-path.ts'
import { errors } from './errors.ts'

/** Writes availability of all vCPUs: the first `count` online. Rejects with XT_VCPU_COUNT. */
export async function setOnlineVcpus(
  store: XenstoreClient,
  domid: Domid,
  count: number,
  maxVcpus: number,
): Promise<void> {
  if (!Number.isInteger(count) || count < 1 || count > maxVcpus)
    throw errors.XT_VCPU_COUNT(domid, count, maxVcpus)
  await store.transaction(async (tx) => {
    for (let vcpu = 0; vcpu < maxVcpus; vcpu++) {
      const node = `${domainPath(domid)}/cpu/${vcpu}/availability`
      await store.write(node, vcpu < count ? 'online' : 'offline', tx)
    }
  })
}

/** Tells the balloon how much memory the guest is to have. Rejects with XT_MEMORY_ABOVE_MAX. */
export async function setMemoryTarget(
  store: XenstoreClient,
  domid: Domid,
  uuid: string,
  kib: number,
): Promise<void> {
  const memory = `${domainPath(domid)}/memory`
  await store.transaction(async (tx) => {
    const max = Number(await store.read(`${memory}/static-max`, tx))
    if (kib > max) throw errors.XT_MEMORY_ABOVE_MAX(domid, kib, max)
    await store.write(`${memory}/target`, `${kib}`, tx)
    // XEN: libxl keeps whole MiB here as well.
    await store.write(`/vm/${uuid}/memory`, `${Math.floor(kib / 1024)}`, tx)
  })
}

/** Sets the most that the target may be. Rejects with XT_MEMORY_BELOW_TARGET. */
export async function setMaxMemory(store: XenstoreClient, domid: Domid, kib: number): Promise<void> {
  const memory = `${domainPath(domid)}/memory`
  await store.transaction(async (tx) => {
    const target = Number(await store.read(`${memory}/target`, tx))
    if (kib < target) throw errors.XT_MEMORY_BELOW_TARGET(domid, kib, target)
    await store.write(`${memory}/static-max`, `${kib}`, tx)
  })
}

/** Presses a magic SysRq key; the guest empties the node when it has seen it. */
export const sendSysrq = (store: XenstoreClient, domid: Domid, key: string): Promise<void> =>
  store.write(`${domainPath(domid)}/control/sysrq`, key)

export const withVcpus = (config: DomainConfig, vcpus: number): DomainConfig =>
  withBuildInfo({ ...config, vcpus }, { avail_vcpus: Array.from({ length: vcpus }, (_, vcpu) => vcpu) })

export const withMemory = (config: DomainConfig, memoryKiB: number): DomainConfig =>
  withBuildInfo({ ...config, memoryKiB }, { target_memkb: memoryKiB })

export const withMaxMemory = (config: DomainConfig, maxMemoryKiB: number): DomainConfig =>
  withBuildInfo({ ...config, maxMemoryKiB }, { max_memkb: maxMemoryKiB })

/** Another configuration for the same domain: its name and UUID are its own for good. */
export function withIdentityOf({ name, uuid }: DomainConfig, config: DomainConfig): DomainConfig {
  const c_info = { ...(config.libxl['c_info'] as object), name, uuid }
  return { ...config, name, uuid, libxl: { ...config.libxl, c_info } }
}

function withBuildInfo(config: DomainConfig, values: DomainConfig['libxl']): DomainConfig {
  const b_info = { ...(config.libxl['b_info'] as object), ...values }
  return { ...config, libxl: { ...config.libxl, b_info } }
}

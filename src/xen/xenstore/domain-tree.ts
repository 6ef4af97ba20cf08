/**
 * The nodes that a toolstack writes for a PVH domain, as libxl 4.17 does: same paths, values and permissions.
 * Pure: the caller writes them in one transaction (`writeNodes`) and says INTRODUCE afterwards. Devices other
 * than the primary console add their own nodes.
 */
import type { XenstoreClient, XenstoreTx } from '../xenhost.ts'
import { domainPath, parentOf } from './node-path.ts'
import { absentIs } from './xenstore-error.ts'

/** One node; nodes without `perms` inherit those of their parent. */
export interface TreeNode {
  readonly path: string
  readonly value: string
  readonly perms?: readonly string[]
}

export interface DomainTreeInput {
  readonly domid: number
  readonly name: string
  /** Lower case, with dashes. */
  readonly uuid: string
  /** Online vCPUs first; the others are there and offline. */
  readonly vcpus: number
  readonly maxVcpus: number
  /** KiB that the guest may have at most (memory/static-max). */
  readonly staticMaxKiB: number
  /** KiB that the balloon driver is to reach (memory/target). */
  readonly targetKiB: number
  /** Seconds since 1970, with two decimals in the node. */
  readonly startTimeSeconds: number
  /** The guest's end of the channel to the store, and the frame of its ring. */
  readonly store: { readonly port: number; readonly gfn: number }
  readonly console: {
    readonly port: number
    readonly gfn: number
    /** Path for people to attach to; libxl puts a pty here. */
    readonly tty: string
    /** Bytes of output that are kept for somebody who attaches later. */
    readonly limitBytes?: number
  }
}

/** Nodes that exist on a host without domains. */
export function hostTree(): TreeNode[] {
  const own = domainPath(0)
  return [
    { path: `${own}/domid`, value: '0' },
    { path: `${own}/name`, value: 'Domain-0' },
    { path: '/local/pool/0/name', value: 'Pool-0' },
    { path: '/vm', value: '' },
    { path: '/libxl', value: '' },
  ]
}

/** Everything of one domain, parents before children. */
export function domainTree(input: DomainTreeInput): TreeNode[] {
  const { domid, name, uuid } = input
  const own = domainPath(domid)
  const vm = `/vm/${uuid}`
  const libxl = `/libxl/${domid}`
  const readable = ['n0', `r${domid}`]
  const guests = [`n${domid}`]
  const directory = (path: string) => ({ path: `${own}/${path}`, value: '', perms: readable })
  const guestNode = (path: string) => ({ path: `${own}/${path}`, value: '', perms: guests })
  const node = (path: string, value: string | number) => ({ path: `${own}/${path}`, value: `${value}` })
  const cpus = Array.from({ length: input.maxVcpus }, (_, cpu) =>
    node(`cpu/${cpu}/availability`, cpu < input.vcpus ? 'online' : 'offline'),
  )
  return [
    { path: own, value: '', perms: readable },
    { path: vm, value: '', perms: readable },
    { path: libxl, value: '', perms: ['n0'] },
    { path: `${libxl}/device`, value: '', perms: ['n0'] },
    node('vm', vm),
    node('name', name),
    directory('cpu'),
    directory('memory'),
    directory('device'),
    guestNode('device/suspend/event-channel'),
    directory('control'),
    ...['shutdown', 'feature-poweroff', 'feature-reboot', 'feature-suspend', 'sysrq'].map((each) =>
      guestNode(`control/${each}`),
    ),
    ...['data', 'drivers', 'feature', 'attr', 'error'].map(guestNode),
    { path: `${vm}/uuid`, value: uuid },
    { path: `${vm}/name`, value: name },
    node('control/platform-feature-multiprocessor-suspend', 1),
    node('control/platform-feature-xs_reset_watches', 1),
    { path: `${libxl}/type`, value: 'pvh' },
    { path: `${libxl}/dm-version`, value: 'qemu_xen' },
    node('memory/static-max', input.staticMaxKiB),
    node('memory/target', input.targetKiB),
    node('memory/videoram', 0),
    node('domid', domid),
    node('store/port', input.store.port),
    node('store/ring-ref', input.store.gfn),
    ...cpus,
    { path: `${vm}/start_time`, value: input.startTimeSeconds.toFixed(2) },
    ...consoleTree(input),
  ]
}

/** The primary console: its frontend nodes lie outside of device/, it has no xenbus states to go through. */
function consoleTree(input: DomainTreeInput): TreeNode[] {
  const { domid, console } = input
  const frontend = `${domainPath(domid)}/console`
  const backend = `${domainPath(0)}/backend/console/${domid}/0`
  const libxl = `/libxl/${domid}/device/console/0`
  const readable = ['n0', `r${domid}`]
  const common = { 'frontend-id': `${domid}`, online: '1', state: '1', protocol: 'vt100' }
  return [
    { path: `${libxl}/frontend`, value: frontend },
    { path: `${libxl}/backend`, value: backend },
    { path: frontend, value: '', perms: readable },
    { path: `${frontend}/backend`, value: backend },
    { path: `${frontend}/backend-id`, value: '0', perms: [`n${domid}`, 'r0'] },
    { path: `${frontend}/limit`, value: `${console.limitBytes ?? 1 << 20}` },
    { path: `${frontend}/type`, value: 'xenconsoled' },
    { path: `${frontend}/output`, value: 'pty' },
    { path: `${frontend}/tty`, value: console.tty },
    { path: `${frontend}/port`, value: `${console.port}` },
    { path: `${frontend}/ring-ref`, value: `${console.gfn}` },
    { path: backend, value: '', perms: readable },
    { path: `${backend}/frontend`, value: frontend },
    ...Object.entries(common).flatMap(([key, value]) => [
      { path: `${backend}/${key}`, value },
      { path: `${libxl}/${key}`, value },
    ]),
  ]
}

/** Writes nodes in a transaction, in their order. */
export async function writeNodes(
  client: XenstoreClient,
  nodes: readonly TreeNode[],
  tx: XenstoreTx,
): Promise<void> {
  for (const node of nodes) {
    await client.write(node.path, node.value, tx)
    if (node.perms !== undefined) await client.setPerms(node.path, node.perms, tx)
  }
}

/**
 * Removes everything of a domain in one transaction: its roots, its backends in domain 0, and directories of
 * domain 0 that this leaves empty. What is not there is no error. Without `uuid` the domain's own `vm` node tells it.
 */
export async function removeDomain(client: XenstoreClient, domid: number, uuid?: string): Promise<void> {
  await client.transaction(async (tx) => {
    const vm =
      uuid === undefined
        ? await client.read(`${domainPath(domid)}/vm`, tx).catch(absentIs(''))
        : `/vm/${uuid}`
    const backends = `${domainPath(0)}/backend`
    for (const type of await children(client, backends, tx)) {
      await removeWithEmptyParents(client, `${backends}/${type}/${domid}`, domainPath(0), tx)
    }
    for (const root of [vm, domainPath(domid), `/libxl/${domid}`]) {
      if (root !== '' && (await exists(client, root, tx))) await client.rm(root, tx)
    }
  })
}

async function removeWithEmptyParents(
  client: XenstoreClient,
  path: string,
  stop: string,
  tx: XenstoreTx,
): Promise<void> {
  if (!(await exists(client, path, tx))) return
  await client.rm(path, tx)
  for (let at = parentOf(path); at !== stop; at = parentOf(at)) {
    if ((await client.directory(at, tx)).length > 0) return
    await client.rm(at, tx)
  }
}

const children = (client: XenstoreClient, path: string, tx: XenstoreTx): Promise<string[]> =>
  client.directory(path, tx).catch(absentIs<string[]>([]))

const exists = (client: XenstoreClient, path: string, tx: XenstoreTx): Promise<boolean> =>
  client.readBytes(path, tx).then(() => true, absentIs(false))

/**
 * One network interface: its schema (an item of the configuration's `vifs`) and the nodes that a toolstack writes for
 * it, as libxl does.
 */
import { z } from 'zod'

const text = z.string()
const count = z.int().min(0)

export const vifDevice = z.strictObject({
  devid: count.describe('Number of the interface: its handle'),
  mac: text.optional().describe('Default: made of the domain and the number'),
  bridge: text.optional(),
  gatewaydev: text.optional(),
  type: z.enum(['vif', 'ioemu']).default('vif'),
  model: text.optional().describe('Without effect'),
  vifname: text.optional(),
  script: text.optional(),
  ip: text.optional(),
  backend: text.optional(),
  mtu: count.optional(),
  rateBytesPerInterval: count.optional(),
  rateIntervalUs: count.optional(),
  vlan: text.optional(),
  trusted: z.boolean().default(true),
  forward: text.optional(),
  hostLoopback: z.boolean().default(false),
})
export type VifDevice = z.output<typeof vifDevice>
/** One that is complete. */
export type Vif = VifDevice & { readonly mac: string }

export const vifName = ({ devid }: { readonly devid: number }): string => `vif ${devid}`

/** What the toolstack tells the frontend. */
export function frontendNodes({ devid, mac, mtu, trusted }: Vif): Record<string, string> {
  return {
    handle: String(devid),
    mac,
    mtu: String(mtu ?? 1500),
    trusted: trusted ? '1' : '0',
  }
}

/** What the toolstack tells the backend. Without a bridge there is no script. */
export function backendNodes(vif: Vif): Record<string, string> {
  const { devid, mac, bridge, ip, mtu, vifname, script, rateBytesPerInterval, rateIntervalUs } = vif
  const given = {
    bridge,
    ip,
    vifname,
    script,
    mtu: mtu === undefined ? undefined : String(mtu),
    rate: rateBytesPerInterval === undefined ? undefined : `${rateBytesPerInterval},${rateIntervalUs}`,
  }
  const nodes = { handle: String(devid), mac, type: 'vif', 'hotplug-status': '', ...given }
  return Object.fromEntries(
    Object.entries(nodes).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

/**
 * The address of an interface that names none: in Xen's 00:16:3e, its half for random ones (XEN: libxl draws it anew
 * for each domain made; here it comes from the domain's uuid, so that it stays when the domain starts again).
 */
export function defaultMac(uuid: string, devid: number): string {
  // FNV-1a: it only has to spread.
  let hash = 0x811c9dc5
  for (const char of `${uuid}/${devid}`) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193) >>> 0
  hash = (hash ^ (hash >>> 15)) >>> 0
  const bytes = [0x00, 0x16, 0x3e, (hash >>> 16) & 0x7f, (hash >>> 8) & 0xff, hash & 0xff]
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/**
 * A tap device on a bridge of the host. Where Xen's hotplug scripts are installed, vif-bridge does it, or the script
 * that `script=` names, with the same environment as from libxl; else iproute2.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import type { Vif } from './device.ts'
import { vifErrors } from './errors.ts'
import type { HostPort } from './port.ts'
import { openTap, type TapPort } from './tap.ts'

const SCRIPTS = '/etc/xen/scripts'
/** libxl waits as long for a script. */
const SCRIPT_MS = 40_000
/** XEN: what the scripts of Linux give the device: the largest address, so that no bridge takes it as its own. */
const ADDRESS = 'fe:ff:ff:ff:ff:ff'

const run = promisify(execFile)

export interface BridgeOptions {
  readonly name: string
  readonly vif: Vif
  readonly domid: number
  /** To be run; undefined: iproute2 does it. */
  readonly script: string | undefined
  /** Socket of the store, for scripts. */
  readonly storeSocket: string
  /** Reads a node below the backend; undefined if it is not there. */
  readonly readNode: (path: string) => Promise<string | undefined>
}

/** The script for an interface, if one is to be run. */
export function scriptOf({ script, bridge }: Pick<Vif, 'script' | 'bridge'>): string | undefined {
  if (script !== undefined && script !== '') return isAbsolute(script) ? script : join(SCRIPTS, script)
  if (bridge === undefined || bridge.startsWith('vde:')) return undefined
  const usual = join(SCRIPTS, 'vif-bridge')
  return existsSync(usual) ? usual : undefined
}

/** @throws XtError XT_VIF_TAP, XT_VIF_NO_BRIDGE, XT_VIF_SCRIPT, XT_VIF_IP */
export async function openBridged(options: BridgeOptions): Promise<HostPort> {
  const { name, vif, domid, script } = options
  const { bridge, vifname } = vif
  // XEN: the script looks for another bridge where the usual one is not there; we leave that to it.
  if (script === undefined && (await linkOf(bridge!))?.kind !== 'bridge')
    throw vifErrors.XT_VIF_NO_BRIDGE(name, bridge!)
  if (script !== undefined && !existsSync(script))
    throw vifErrors.XT_VIF_SCRIPT(name, script, 'it does not exist')
  const usual = `vif${domid}.${vif.devid}`
  // A script renames the device itself.
  const device = script === undefined ? (vifname ?? usual) : usual
  const tap = await openTap(name, device)
  if (script === undefined) {
    try {
      await joinBridge(name, device, bridge!, vif.mtu ?? 1500)
      tap.setMtu(vif.mtu ?? 1500)
    } catch (error) {
      await tap[Symbol.asyncDispose]()
      throw error
    }
    tap.description = `${device} on bridge ${bridge}`
    return tap
  }
  tap.description = `${vifname ?? usual}, by ${script}`
  return scripted(tap, script, device, options)
}

/** What the host says of a device; undefined: it is not there. (/sys may show another network namespace.) */
async function linkOf(device: string): Promise<{ mtu: number; kind: string | undefined } | undefined> {
  try {
    const { stdout } = await run('ip', ['-json', '-details', 'link', 'show', 'dev', device])
    const [link] = JSON.parse(stdout) as { mtu: number; linkinfo?: { info_kind?: string } }[]
    return link === undefined ? undefined : { mtu: link.mtu, kind: link.linkinfo?.info_kind }
  } catch {
    return undefined
  }
}

async function joinBridge(name: string, device: string, bridge: string, mtu: number): Promise<void> {
  const ip = async (...args: readonly string[]) => {
    try {
      await run('ip', ['link', 'set', 'dev', device, ...args])
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string }
      throw vifErrors.XT_VIF_IP(
        name,
        `ip link set dev ${device} ${args.join(' ')}`,
        stderr?.trim() || message,
      )
    }
  }
  await ip('addrgenmode', 'none')
  await ip('address', ADDRESS, 'mtu', String(mtu))
  await ip('master', bridge, 'up')
}

/** The tap with a script that is run when the interface's nodes are there, and again before it goes. */
function scripted(tap: TapPort, script: string, device: string, options: BridgeOptions): HostPort {
  const { name, vif, domid, storeSocket, readNode } = options
  const backendPath = `/local/domain/0/backend/vif/${domid}/${vif.devid}`
  const call = (command: 'online' | 'offline') =>
    run(script, [command, 'type_if=vif'], {
      timeout: SCRIPT_MS,
      env: {
        PATH: process.env['PATH'],
        script,
        XENBUS_TYPE: 'vif',
        XENBUS_PATH: backendPath,
        XENBUS_BASE_PATH: 'backend',
        XENSTORED_PATH: storeSocket,
        vif: device,
        ...(vif.gatewaydev === undefined ? {} : { netdev: vif.gatewaydev }),
      },
    })
  let isOnline = false
  const dispose = tap[Symbol.asyncDispose].bind(tap)
  return Object.assign(tap, {
    async plug() {
      try {
        await call('online')
        if ((await readNode('hotplug-status')) !== 'connected')
          throw new Error('it did not say that all is well')
      } catch (error) {
        const { stderr, message } = error as Error & { stderr?: string }
        const why = (await readNode('hotplug-error')) ?? (stderr?.trim() || message)
        throw vifErrors.XT_VIF_SCRIPT(name, script, why)
      }
      isOnline = true
      const link = await linkOf(vif.vifname ?? device)
      tap.setMtu(link?.mtu ?? 1500)
    },
    async [Symbol.asyncDispose]() {
      // What it says does not matter any more: the device goes in any case.
      if (isOnline) await call('offline').catch(() => undefined)
      await dispose()
    },
  })
}

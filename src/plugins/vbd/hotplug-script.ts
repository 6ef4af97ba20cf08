/**
 * Xen's block scripts (/etc/xen/scripts/block-*), run as libxl runs them: they find the backend's nodes by
 * XENBUS_PATH, make a device of `params`, and leave its number in `physical-device`, or a path in
 * `physical-device-path`, and `hotplug-status` connected.
 */
import { isAbsolute, join } from 'node:path'
import type { XenstoreClient } from '../../engine/plugin.ts'
import { storePlaces } from '../../xenstored/places.ts'
import { vbdErrors } from './errors.ts'
import { run } from './run.ts'

const FOLDER = '/etc/xen/scripts'

export interface ScriptOptions {
  readonly vdev: string
  /** As in the configuration: a name in Xen's folder, or a path. */
  readonly script: string
  readonly backendPath: string
  readonly xenstore: XenstoreClient
  readonly hostRunDir: string
}

/** Runs `add`; answers the path of the device that it made. @throws XtError XT_VBD_SCRIPT */
export async function addByScript(
  options: ScriptOptions,
  nodes: Readonly<Record<string, string>>,
): Promise<string> {
  const { vdev, script, backendPath, xenstore } = options
  const read = (node: string) => xenstore.read(`${backendPath}/${node}`).catch(() => '')
  for (const [name, value] of Object.entries({ ...nodes, script: scriptPath(script) }))
    await xenstore.write(`${backendPath}/${name}`, value)
  const { status, stderr } = await runScript(options, 'add')
  const hotplugStatus = await read('hotplug-status')
  if (status !== 0 || hotplugStatus === 'error') {
    const why = (await read('hotplug-error')) || lastLine(stderr) || `status ${status}`
    await removeByScript(options)
    throw vbdErrors.XT_VBD_SCRIPT(vdev, scriptPath(script), why)
  }
  const path = await read('physical-device-path')
  const [major, minor] = (await read('physical-device'))
    .split(':')
    .map((digits) => Number.parseInt(digits, 16))
  if (path !== '') return path
  if (major !== undefined && minor !== undefined && minor >= 0) return `/dev/block/${major}:${minor}`
  await removeByScript(options)
  throw vbdErrors.XT_VBD_SCRIPT(
    vdev,
    scriptPath(script),
    'it left neither physical-device nor physical-device-path',
  )
}

/** Runs `remove`, while the nodes are there. What goes wrong then nobody can help. */
export async function removeByScript(options: ScriptOptions): Promise<void> {
  await runScript(options, 'remove')
}

export const scriptPath = (script: string): string => (isAbsolute(script) ? script : join(FOLDER, script))

function runScript({ script, backendPath, hostRunDir }: ScriptOptions, action: 'add' | 'remove') {
  const path = scriptPath(script)
  return run(path, [action], {
    script: path,
    XENBUS_TYPE: 'vbd',
    XENBUS_PATH: backendPath,
    XENBUS_BASE_PATH: 'backend',
    XENSTORED_PATH: storePlaces(hostRunDir).socketPath,
  })
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''

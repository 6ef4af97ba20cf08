/**
 * The primary console as the toolstack describes it: settings of the plugin and the xenstore nodes that libxl
 * and xenconsoled write for it. `console/port` and `console/ring-ref` come from whoever built the domain.
 */
import { z } from 'zod'
import type { Domid } from '../../base/brand.ts'
import type { XenstoreClient } from '../../xen/xenhost.ts'

export const consoleSettings = z.strictObject({
  scrollbackBytes: z
    .int()
    .min(4096)
    .max(256 * 1024 * 1024)
    .default(1024 * 1024)
    .describe('How much of the output is kept for those who attach later.'),
  log: z.string().min(1).optional().describe('File to which all output is appended.'),
  logBytes: z
    .int()
    .min(4096)
    .max(Number.MAX_SAFE_INTEGER)
    .default(64 * 1024 * 1024)
    .describe('Size at which the log becomes FILE.1 and a new one is begun.'),
})
export type ConsoleSettings = z.output<typeof consoleSettings>

export const consoleFrontendPath = (guest: Domid): string => `/local/domain/${guest}/console`
export const consoleBackendPath = (guest: Domid): string => `/local/domain/0/backend/console/${guest}/0`

/** libxl's own record of the device, from which its tools find the two ends. */
const consoleRecordPath = (guest: Domid): string => `/libxl/${guest}/device/console/0`

/** Writes the nodes with the owners and readers that libxl gives them. `tty` names where xenconsole would attach. */
export async function writePrimaryConsole(store: XenstoreClient, guest: Domid, tty: string): Promise<void> {
  const frontend = consoleFrontendPath(guest)
  const backend = consoleBackendPath(guest)
  const ends = { frontend, 'frontend-id': String(guest), online: '1', protocol: 'vt100', state: '1' }
  const readable = ['n0', `r${guest}`]
  await store.transaction(async (tx) => {
    const write = async (path: string, perms: readonly string[], nodes: Readonly<Record<string, string>>) => {
      for (const [name, value] of Object.entries(nodes)) {
        await store.write(`${path}/${name}`, value, tx)
        await store.setPerms(`${path}/${name}`, perms, tx)
      }
    }
    for (const path of [backend, frontend]) {
      await store.mkdir(path, tx)
      await store.setPerms(path, readable, tx)
    }
    await write(consoleRecordPath(guest), ['n0'], { ...ends, backend })
    await write(backend, readable, ends)
    await write(frontend, readable, { backend, limit: '1048576', type: 'xenconsoled', output: 'pty', tty })
    await write(frontend, [`n${guest}`, 'r0'], { 'backend-id': '0' })
  })
}

/** Takes the backend's nodes away; the others go with the domain. */
export async function removePrimaryConsole(store: XenstoreClient, guest: Domid): Promise<void> {
  await store.rm(`/local/domain/0/backend/console/${guest}`)
}

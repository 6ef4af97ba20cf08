/**
 * The 9pfs plugin: folders of the host that a domain's configuration shares with it (`p9=`).
 *
 * device.ts knows a share's settings and nodes, backend.ts the talk in xenstore, transport.ts a ring, protocol.ts the
 * messages, session.ts what they do, folder.ts the folder itself.
 */
import { z } from 'zod'
import { type BackendDriver, definePlugin } from '../../engine/plugin.ts'
import { P9Backend } from './backend.ts'
import { backendNodes, frontendNodes, mustBeServed, type P9Device, p9Device } from './device.ts'
import { share } from './share.ts'

export default definePlugin({
  name: '9pfs',
  api: 1,
  config: z.strictObject({}),
  requires: ['pvBus'],
  setup(ctx) {
    const devices = z.array(p9Device).parse(ctx.vm.config['p9'] ?? [])
    const backends: P9Backend[] = []

    async function add(device: P9Device): Promise<void> {
      const log = ctx.log.child(device.tag)
      const { root, maxFids } = ctx.own(await share(device, devices.length))
      const driver: BackendDriver<P9Device> = {
        type: '9pfs',
        device: p9Device as z.ZodType<P9Device>,
        connectOn: 'Initialised',
        create(xenhost, { maxOpenFiles }, otherend) {
          const backend = new P9Backend(xenhost, otherend, {
            root,
            maxFids,
            maxOpenFiles: maxOpenFiles || maxFids,
            defer: (task) => void setImmediate(task),
            log,
          })
          backends.push(backend)
          return backend
        },
      }
      await ctx.use('pvBus').add(driver, device, {
        id: device.devid,
        frontend: frontendNodes(device),
        backend: backendNodes(device),
      })
      log.info(`${device.path}, ${device.readOnly ? 'read-only' : 'writable'}`)
    }

    return {
      async attach() {
        for (const device of devices) await ctx.forDevice(device.tag, () => add(mustBeServed(device)))
      },
      async pause() {
        await Promise.all(backends.map((backend) => backend.settled()))
      },
      async stop() {
        await Promise.all(backends.map((backend) => backend.disconnect()))
      },
    }
  },
})

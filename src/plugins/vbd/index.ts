/**
 * The vbd plugin: the disks of a domain's configuration.
 *
 * device.ts knows a disk's settings and nodes, store.ts the file behind it, backend.ts the talk in xenstore, queue.ts
 * the ring, request.ts what a request may ask for.
 */
import { z } from 'zod'
import { type BackendDriver, definePlugin } from '../../engine/plugin.ts'
import { VbdBackend } from './backend.ts'
import { backendNodes, frontendNodes, mustBeServed, type VbdDevice, vbdDevice } from './device.ts'
import { openStore } from './store.ts'

const vbdSettings = z.strictObject({
  persistentGrants: z
    .boolean()
    .default(true)
    .describe(
      'Ask guests to keep their buffers granted, as Xen does; they copy all data through these then.',
    ),
})

export default definePlugin({
  name: 'vbd',
  api: 1,
  config: vbdSettings,
  requires: ['pvBus'],
  setup(ctx) {
    const disks = z.array(vbdDevice).parse(ctx.vm.config['disks'] ?? [])
    const backends: VbdBackend[] = []

    async function add(disk: VbdDevice): Promise<void> {
      const log = ctx.log.child(disk.vdev)
      const store = ctx.own(await openStore(disk))
      const driver: BackendDriver<VbdDevice> = {
        type: 'vbd',
        device: vbdDevice as z.ZodType<VbdDevice>,
        connectOn: 'Initialised',
        create(xenhost, device, otherend) {
          const backend = new VbdBackend(xenhost, otherend, {
            disk: device,
            store,
            persistentGrants: ctx.config.persistentGrants,
            defer: (task) => void setImmediate(task),
            log,
          })
          backends.push(backend)
          return backend
        },
      }
      await ctx.use('pvBus').add(driver, disk, {
        id: disk.vdevNumber,
        frontend: frontendNodes(disk),
        backend: backendNodes(disk),
      })
      const size = `${store.sectors} sectors of 512 bytes`
      log.info(`${disk.target}, ${disk.readwrite ? 'writable' : 'read-only'}, ${size}`)
    }

    return {
      async attach() {
        for (const disk of disks) await ctx.forDevice(disk.vdev, () => add(mustBeServed(disk)))
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

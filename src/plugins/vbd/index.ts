/**
 * The vbd plugin: the disks of a domain's configuration, and those that come and go while it runs.
 *
 * device.ts knows a disk's settings and nodes, image.ts the file behind it, backend.ts the talk in xenstore; rings.ts,
 * queue.ts and request.ts are the ring service, which runs in a thread of its own (thread.ts, disk-threads.ts).
 */
import { z } from 'zod'
import { definePlugin } from '../../engine/plugin.ts'
import { vbdDevice } from './device.ts'
import { type Disk, DiskMaker } from './disk.ts'
import { DiskThreads } from './disk-threads.ts'
import { vbdSettings } from './settings.ts'

export default definePlugin({
  name: 'vbd',
  api: 1,
  config: vbdSettings,
  requires: ['pvBus', 'xenstore'],
  setup(ctx) {
    const configured = z.array(vbdDevice).parse(ctx.vm.config['disks'] ?? [])
    const present = new Set<Disk>()
    let maker: DiskMaker | undefined

    const disks = ctx.devices.serve({
      kind: 'vbd',
      spec: vbdDevice,
      listedIn: 'disks',
      id: ({ vdevNumber }) => vdevNumber,
      name: ({ vdev }) => vdev,
      async attach(spec) {
        const disk = await maker!.make(spec)
        present.add(disk)
        return {
          async remove(options) {
            await disk.remove(options)
            present.delete(disk)
          },
          change: (to) => disk.change(to),
        }
      },
    })

    return {
      async attach() {
        const bus = ctx.use('pvBus')
        const { config, log, vm } = ctx
        const threads = new DiskThreads({
          bus,
          most: config.threads,
          onFailure: (cause, names) => ctx.fail(cause, names),
        })
        maker = new DiskMaker({ bus, threads, config, log, vm, xenstore: ctx.use('xenstore') })
        for (const disk of configured) await disks.attach(disk)
      },
      async pause() {
        await Promise.all([...present].map((disk) => disk.settled()))
      },
      async stop() {
        await Promise.all([...present].map((disk) => disk.close()))
      },
    }
  },
})

/**
 * The vif plugin: the network interfaces of a domain's configuration.
 *
 * device.ts knows an interface's settings and nodes, host-side.ts which port it gets, passt.ts and its neighbours the
 * ports, backend.ts the talk in xenstore, queue.ts the rings, tx.ts and rx.ts the packets.
 */
import { z } from 'zod'
import { type BackendDriver, definePlugin } from '../../engine/plugin.ts'
import { VifBackend } from './backend.ts'
import { scriptOf } from './bridge.ts'
import {
  backendNodes,
  defaultMac,
  frontendNodes,
  type Vif,
  type VifDevice,
  vifDevice,
  vifName,
} from './device.ts'
import { openHostSide } from './host-side.ts'
import { after, defer, nowUs } from './timing.ts'

/** More queues than these bring nothing: one thread serves them all. */
const MOST_QUEUES = 4

export default definePlugin({
  name: 'vif',
  api: 1,
  config: z.strictObject({}),
  requires: ['pvBus', 'xenstore'],
  setup(ctx) {
    const configured = z.array(vifDevice).parse(ctx.vm.config['vifs'] ?? [])
    const backends = new Set<VifBackend>()

    const vifs = ctx.devices.serve<VifDevice>({
      kind: 'vif',
      spec: vifDevice as z.ZodType<VifDevice>,
      listedIn: 'vifs',
      id: ({ devid }) => devid,
      name: vifName,
      complete(request, taken) {
        let devid = 0
        while (taken.includes(devid)) devid++
        const asked = { devid, ...(request as Partial<VifDevice>) }
        return { mac: defaultMac(ctx.vm.uuid, asked.devid), ...asked }
      },
      attach,
    })

    async function attach(device: VifDevice) {
      const vif: Vif = { ...device, mac: device.mac ?? defaultMac(ctx.vm.uuid, device.devid) }
      const log = ctx.log.child(vifName(vif))
      const port = await openHostSide({
        vif,
        domid: ctx.vm.domid,
        hostRunDir: ctx.vm.hostRunDir,
        readNode: (node) =>
          ctx
            .use('xenstore')
            .read(`/local/domain/0/backend/vif/${ctx.vm.domid}/${vif.devid}/${node}`)
            .catch(() => undefined),
      })
      let backend: VifBackend | undefined
      const driver: BackendDriver<Vif> = {
        type: 'vif',
        device: vifDevice as unknown as z.ZodType<Vif>,
        connectOn: 'Connected',
        create(xenhost, settings, otherend) {
          const maxQueues = Math.min(ctx.vm.maxVcpus, MOST_QUEUES)
          backend = new VifBackend(xenhost, otherend, {
            vif: settings,
            port,
            maxQueues,
            nowUs,
            after,
            defer,
            log,
          })
          backends.add(backend)
          return backend
        },
      }
      let isClosed = false
      const close = async () => {
        if (isClosed) return
        isClosed = true
        if (backend !== undefined) backends.delete(backend)
        await port[Symbol.asyncDispose]()
      }
      ctx.own({ [Symbol.asyncDispose]: close })
      const script = scriptOf(vif)
      const nodes = backendNodes({ ...vif, ...(script === undefined ? {} : { script }) })
      const place = { id: vif.devid, frontend: frontendNodes(vif), backend: nodes }
      try {
        const device = await ctx.use('pvBus').add(driver, vif, place)
        try {
          await port.plug?.()
        } catch (error) {
          await device.remove({ force: true })
          throw error
        }
        log.info(`${vif.mac}, ${port.description}`)
        return {
          async remove(options: { readonly force: boolean }) {
            await device.remove(options)
            await close()
          },
        }
      } catch (error) {
        await close()
        throw error
      }
    }

    return {
      async attach() {
        for (const vif of configured) await vifs.attach(vif)
      },
      pause() {
        for (const backend of backends) backend.pause()
      },
      resume() {
        for (const backend of backends) backend.resume()
      },
      async stop() {
        await Promise.all([...backends].map((backend) => backend.disconnect()))
      },
    }
  },
})

/** The hello plugin: `hello = ["id=0,greeting=good day"]` gives a guest a device that greets it by name. */
import { type BackendDriver, definePlugin } from 'xt/plugin'
import { z } from 'zod'
import { HelloBackend } from './backend.ts'
import { type HelloDevice, helloDevice, helloStanza } from './device.ts'

export default definePlugin({
  name: 'hello',
  api: 1,
  config: z.strictObject({
    greeting: z.string().min(1).max(1000).default('hello').describe('For devices that say nothing else'),
  }),
  stanzas: { hello: helloStanza },
  requires: ['pvBus'],
  setup({ config, stanzas, vm, log, forDevice, use }) {
    const driver: BackendDriver<HelloDevice> = {
      type: 'hello',
      device: helloDevice,
      connectOn: 'Initialised',
      create(xenhost, device, otherend) {
        const text = `${device.greeting ?? config.greeting}, ${vm.name}`
        return new HelloBackend(xenhost, otherend, text, log.child(`hello/${device.id}`))
      },
    }
    return {
      async attach() {
        for (const device of stanzas.hello)
          await forDevice(`hello/${device.id}`, async () => {
            await use('pvBus').add(driver, device, { id: device.id })
          })
      },
    }
  },
})

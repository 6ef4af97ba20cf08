/** Greets in the domain's log when a guest starts, and logs the lines that the guest writes to a port. */
import { definePlugin } from 'xt/plugin'
import { z } from 'zod'

export default definePlugin({
  name: 'hello',
  api: 1,
  config: z.strictObject({
    greeting: z.string().default('hello'),
    /** I/O port that takes text; 0x402 is what other debug consoles use. */
    port: z.int().min(0).max(0xffff).default(0x402),
  }),
  setup({ config, exits, log, vm }) {
    exits.claim({
      ports: [[config.port, config.port]],
      module: new URL('./port.ts', import.meta.url).href,
      data: config.greeting,
    })
    return {
      start: () => log.info(`${config.greeting}, ${vm.name}`),
      stop: () => log.info(`goodbye, ${vm.name}`),
    }
  },
})

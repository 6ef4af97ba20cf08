/** The console backend as a device of the bus: a secondary console, whose frontend publishes its page. */
import { z } from 'zod'
import type { BackendDriver } from '../../../src/engine/plugin.ts'
import { ConsoleBackend } from '../../../src/plugins/console/backend.ts'
import { consoleScript, type MakeBackend } from '../../../src/testkit/index.ts'

/** What is kept of the output: enough for the line that an exchange looks for. */
const KEPT = 20_000

export const makeConsole: MakeBackend<object> = (host) => {
  let printed = ''
  let backend: ConsoleBackend | undefined
  const sink = {
    output: (bytes: Uint8Array) => {
      printed = (printed + new TextDecoder('latin1').decode(bytes)).slice(-KEPT)
    },
    inputRoom: () => {},
  }
  const driver: BackendDriver<object> = {
    type: 'console',
    device: z.strictObject({}),
    connectOn: 'Initialised',
    create(xenhost, _device, otherend) {
      backend = new ConsoleBackend(xenhost, otherend, 'ring-ref', sink, host.log)
      return backend
    },
  }
  return {
    driver,
    device: {},
    place: { id: 1, frontend: { type: 'xenconsoled', limit: '1048576', output: 'pty', tty: '' } },
    script: consoleScript({
      printed: () => printed,
      type: (bytes) => void backend?.input(bytes),
    }),
  }
}

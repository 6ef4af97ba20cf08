/**
 * The console plugin: what the guest prints is kept and shown, what is typed reaches the guest.
 *
 * backend.ts is the ring service, port.ts and log-file.ts the host side, scrollback.ts lies between them,
 * device.ts knows the settings and the place in xenstore.
 */
import { gref } from '../../base/brand.ts'
import { definePlugin } from '../../engine/plugin.ts'
import { ConsoleBackend } from './backend.ts'
import { consoleBackendPath, consoleFrontendPath, consoleSettings } from './device.ts'
import { ConsoleLog } from './log-file.ts'
import { ConsolePort } from './port.ts'
import { Scrollback } from './scrollback.ts'

/** Grant entry that the domain's builder reserves for the console page (grant_table.h, GNTTAB_RESERVED_CONSOLE). */
const RESERVED_CONSOLE = gref(0)

export default definePlugin({
  name: 'console',
  api: 1,
  config: consoleSettings,
  requires: ['pvBus'],
  setup(ctx) {
    const { config, log } = ctx
    const guest = ctx.vm.domid
    const socket = `${ctx.vm.runDir}/console-0.sock`
    const scrollback = new Scrollback(config.scrollbackBytes)
    const port = new ConsolePort(scrollback, (bytes) => backend?.input(bytes) ?? 0)
    const file =
      config.log === undefined ? undefined : new ConsoleLog(config.log, config.logBytes, scrollback, log)
    const sink = {
      output(bytes: Uint8Array) {
        scrollback.append(bytes)
        port.outputArrived()
        file?.outputArrived()
      },
      inputRoom: () => port.inputRoom(),
    }
    let backend: ConsoleBackend | undefined

    return {
      async attach() {
        const xenhost = ctx.use('pvBus').xenhost(consoleBackendPath(guest))
        const otherend = { domid: guest, frontendPath: consoleFrontendPath(guest) }
        await file?.open()
        await port.listen(socket)
        backend = new ConsoleBackend(xenhost, otherend, RESERVED_CONSOLE, sink, log)
        await backend.connect()
      },
      /** Earlier output and attached clients stay; page and port are new ones. */
      async reset() {
        await backend?.disconnect()
        await backend?.connect()
      },
      async stop() {
        await backend?.disconnect()
        await port.close()
        await file?.close()
      },
    }
  },
})

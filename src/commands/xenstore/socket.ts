import { XenstoreCommand } from '../../cli/xenstore-command.ts'
import { ensureXenstored } from '../../xenstored/ensure.ts'

export default class XenstoreSocket extends XenstoreCommand {
  static override summary = "Print the path of the store's socket; start the store if need be."
  static override description =
    "For Xen's own programs: XENSTORED_PATH=$(<%= config.bin %> xenstore socket) xenstore-ls -f"

  async run(): Promise<{ socketPath: string }> {
    await this.parse(XenstoreSocket)
    const { socketPath } = await ensureXenstored(this.paths.runDir)
    this.log(socketPath)
    return { socketPath }
  }
}

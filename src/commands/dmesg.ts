import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { clearHostLog, type HostLogLine, readHostLog } from '../engine/host-log.ts'

export default class Dmesg extends XtCommand {
  static override summary = 'Read or clear the log of the hypervisor.'
  static override description =
    'There is no hypervisor for all: these are the logs of the domains, in the order of time.'
  static override flags = {
    clear: boolean({ char: 'c', summary: 'Do not show these lines again.' }),
  }

  async run(): Promise<readonly HostLogLine[]> {
    const { flags } = await this.parse(Dmesg)
    const now = new Date()
    const lines = readHostLog(this.paths)
    if (!this.jsonEnabled()) process.stdout.write(lines.map(print).join(''))
    if (flags.clear && lines.length > 0) clearHostLog(this.paths, now)
    return lines
  }
}

/** As Xen prints with console_timestamps=datems. */
function print({ time, domain, level, text }: HostLogLine): string {
  const prefix = `(XEN) [${time.replace('T', ' ').replace('Z', '')}] ${domain}: `
  return text
    .split('\n')
    .map((line) => `${prefix}${level === 'error' || level === 'warn' ? `${level}: ` : ''}${line}\n`)
    .join('')
}

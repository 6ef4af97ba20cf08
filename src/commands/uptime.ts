import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { askChosen } from '../cli/domain-answers.ts'
import { clockText, uptimeText } from '../cli/uptime-text.ts'

interface UptimeRow {
  readonly name: string
  readonly domid: number
  readonly seconds: number
}

export default class Uptime extends XtCommand {
  static override summary = 'Print the uptime of all or some domains.'
  static override usage = 'uptime [-s] [DOMAIN ...]'
  static override strict = false
  static override flags = {
    short: boolean({ char: 's', summary: 'A sentence for each domain, without seconds.' }),
  }

  async run(): Promise<readonly UptimeRow[]> {
    const { argv, flags } = await this.parse(Uptime)
    const { infos, unknown } = await askChosen(this.paths, argv as string[], {
      listsHost: this.listsHost,
      note: (line) => this.note(line),
    })
    if (unknown !== undefined) throw unknown
    const now = new Date()
    const rows = infos.map(({ name, domid, createdMs }) => ({
      name,
      domid,
      seconds: Math.max(0, Math.floor((now.getTime() - createdMs) / 1000)),
    }))
    if (!flags.short) this.log('Name                                ID Uptime')
    for (const { name, domid, seconds } of rows) {
      if (flags.short) this.log(` ${clockText(now)} up ${uptimeText(seconds, true)}, ${name} (${domid})`)
      else this.log(`${name.padEnd(33)} ${String(domid).padStart(4)} ${uptimeText(seconds)}`)
    }
    return rows
  }
}

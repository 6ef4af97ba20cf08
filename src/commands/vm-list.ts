import { XtCommand } from '../cli/command.ts'
import { askChosen } from '../cli/domain-answers.ts'

interface VmRow {
  readonly uuid: string
  readonly domid: number
  readonly name: string
}

export default class VmList extends XtCommand {
  static override summary = 'List guest domains with their UUIDs.'

  async run(): Promise<readonly VmRow[]> {
    await this.parse(VmList)
    const { infos } = await askChosen(this.paths, [], {
      listsHost: this.listsHost,
      note: (line) => this.note(line),
    })
    const rows = infos.map(({ uuid, domid, name }) => ({ uuid, domid, name }))
    this.log('UUID                                  ID    name')
    for (const { uuid, domid, name } of rows) this.log(`${uuid}  ${domid}    ${name.padEnd(30)}`)
    return rows
  }
}

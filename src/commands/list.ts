import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { type Answer, askDomain, noteSilent } from '../cli/domain-answers.ts'
import { cliErrors } from '../cli/errors.ts'
import { longEntry } from '../cli/list-long.ts'
import { type ListRow, listTable } from '../cli/list-table.ts'
import { printJson } from '../config/xl-json.ts'
import { type DomainEntry, findDomain, listDomains } from '../engine/domains.ts'
import { onlineVcpus, stateLetters } from '../engine/vm-state.ts'

const NO_UUID = '00000000-0000-0000-0000-000000000000'

export default class List extends XtCommand {
  static override summary = 'List information about all domains, or one.'
  static override args = {
    domain: string({ ignoreStdin: true, description: 'name or number of a domain' }),
  }
  static override strict = false
  static override flags = {
    long: boolean({ char: 'l', summary: 'All details, as JSON in the form of `xl list -l`.' }),
    verbose: boolean({ char: 'v', summary: 'Also UUIDs and shutdown reasons.' }),
    context: boolean({ char: 'Z', summary: 'Also security labels.' }),
    cpupool: boolean({ char: 'c', summary: 'Also CPU pools.' }),
    numa: boolean({ char: 'n', summary: 'Also affinity to NUMA nodes.' }),
  }

  async run(): Promise<readonly ListRow[]> {
    const { args, argv, flags } = await this.parse(List)
    if (argv.length > 1) throw cliErrors.XT_LIST_ONE(argv.length)
    const entries =
      args.domain === undefined ? await listDomains(this.paths) : [await findDomain(this.paths, args.domain)]
    const answers = await Promise.all(entries.map(askDomain))
    const rows = entries.flatMap((entry, i) => row(entry, answers[i]!))
    noteSilent(entries, answers, (line) => this.note(line))
    if (!this.jsonEnabled()) {
      const infos = answers.filter((answer) => typeof answer === 'object')
      process.stdout.write(flags.long ? `${printJson(infos.map(longEntry))}\n\n` : listTable(rows, flags))
    }
    return rows
  }
}

function row({ name, domid }: DomainEntry, answer: Answer): ListRow[] {
  if (answer === 'gone') return []
  if (answer === 'silent') {
    return [{ name, domid, memoryMiB: 0, vcpus: 0, state: '------', cpuSeconds: 0, uuid: NO_UUID }]
  }
  return [
    {
      name: answer.name,
      domid,
      memoryMiB: answer.memoryMiB,
      vcpus: onlineVcpus(answer),
      state: stateLetters(answer),
      cpuSeconds: answer.vcpus.reduce((sum, { ranNs }) => sum + ranNs, 0) / 1e9,
      uuid: answer.uuid,
      ...(answer.shutdownReason === undefined ? {} : { shutdownReason: answer.shutdownReason }),
    },
  ]
}

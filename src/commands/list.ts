import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { type Answer, askDomain, memoryOf, noteSilent } from '../cli/domain-answers.ts'
import { cliErrors } from '../cli/errors.ts'
import { hostDomain, namesHost } from '../cli/host-domain.ts'
import { type ListRow, listTable } from '../cli/list-table.ts'
import type { LibxlObject } from '../config/libxl-config.ts'
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

  async run(): Promise<readonly ListRow[] | readonly LibxlObject[]> {
    const { args, argv, flags } = await this.parse(List)
    if (argv.length > 1) throw cliErrors.XT_LIST_ONE(argv.length)
    const { entries, answers } = await this.#ask(args.domain)
    noteSilent(entries, answers, (line) => this.note(line))
    if (flags.long) {
      const [{ longEntry }, { printJson }] = await Promise.all([
        import('../cli/list-long.ts'),
        import('../config/xl-json.ts'),
      ])
      const infos = answers.filter((answer) => typeof answer === 'object')
      const text = printJson(infos.map(longEntry))
      if (!this.jsonEnabled()) process.stdout.write(`${text}\n\n`)
      return JSON.parse(text)
    }
    const rows = entries.flatMap((entry, i) => row(entry, answers[i]!))
    if (!this.jsonEnabled()) process.stdout.write(listTable(rows, flags))
    return rows
  }

  /** Each domain, and what it says of itself; the host in front where it is listed. */
  async #ask(
    domain: string | undefined,
  ): Promise<{ readonly entries: readonly DomainEntry[]; readonly answers: readonly Answer[] }> {
    const everyone = await listDomains(this.paths)
    const hasHost = this.listsHost && everyone[0]?.domid !== 0
    const isHost = hasHost && namesHost(domain)
    const all = domain === undefined || isHost
    const entries = all ? everyone : [await findDomain(this.paths, domain)]
    const answers = await Promise.all(entries.map(askDomain))
    if (!hasHost || !all) return { entries, answers }
    const host = hostDomain(memoryOf(answers))
    const entry = { ...host, dir: '' } as unknown as DomainEntry
    if (isHost) return { entries: [entry], answers: [host] }
    return { entries: [entry, ...entries], answers: [host, ...answers] }
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

import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { type ListRow, listTable } from '../cli/list-table.ts'
import type { LibxlObject } from '../config/libxl-config.ts'
import { printJson } from '../config/xl-json.ts'
import type { DomainInfo } from '../engine/control.ts'
import { connectDomain, type DomainEntry, findDomain, listDomains } from '../engine/domains.ts'
import { onlineVcpus, stateLetters } from '../engine/vm-state.ts'

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
    const infos =
      args.domain === undefined
        ? await all(await listDomains(this.paths))
        : [await ask(await findDomain(this.paths, args.domain))]
    const rows = infos.map(row)
    if (!this.jsonEnabled()) {
      process.stdout.write(flags.long ? `${printJson(infos.map(long))}\n\n` : listTable(rows, flags))
    }
    return rows
  }
}

async function ask(entry: DomainEntry): Promise<DomainInfo> {
  using client = await connectDomain(entry)
  return await client.info()
}

/** One that ends while it is asked is no longer there to be listed. */
async function all(entries: readonly DomainEntry[]): Promise<DomainInfo[]> {
  const answers = await Promise.allSettled(entries.map(ask))
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
}

const row = (info: DomainInfo): ListRow => ({
  name: info.name,
  domid: info.domid,
  memoryMiB: info.memoryMiB,
  vcpus: onlineVcpus(info),
  state: stateLetters(info),
  cpuSeconds: info.vcpus.reduce((sum, { ranNs }) => sum + ranNs, 0) / 1e9,
  uuid: info.uuid,
  ...(info.shutdownReason === undefined ? {} : { shutdownReason: info.shutdownReason }),
})

function long({ domid, name, config }: DomainInfo): LibxlObject {
  const libxl = config.libxl as LibxlObject
  return { domid, config: { ...libxl, c_info: { ...(libxl['c_info'] as LibxlObject), name } } }
}

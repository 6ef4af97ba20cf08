import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { outline, type Plain } from '../cli/outline.ts'
import type { DomainInfo } from '../engine/control.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'
import { cpuTopology, hostInfo, type InfoField } from '../engine/host-info.ts'

export default class Info extends XtCommand {
  static override summary = 'Get information about this machine and the Xen that guests see on it.'
  static override description = `With the beginning of names of fields: their values alone.
With a domain: what its process says of it, for instance the hypercalls that its guest made in vain.`
  static override args = {
    what: string({
      ignoreStdin: true,
      description: 'fields whose name starts so, or a domain',
    }),
  }
  static override flags = {
    numa: boolean({ char: 'n', summary: 'Also CPUs and NUMA nodes.' }),
  }

  async run(): Promise<Readonly<Record<string, string | number>> | Omit<DomainInfo, 'config'>> {
    const { args, flags } = await this.parse(Info)
    const fields = hostInfo(this.config.version)
    const chosen = fields.filter(([name]) => name.startsWith(args.what ?? ''))
    // XEN: xl is silent about a field that does not exist.
    if (chosen.length === 0 && !this.listsHost) return await this.#domainInfo(args.what!)
    for (const [name, value] of chosen) {
      if (args.what !== undefined) this.log(String(value))
      else this.log(`${name.padEnd(23)}: ${value}`)
      if (name === 'free_cpus' && flags.numa && args.what === undefined) this.log(numaText(fields))
    }
    return Object.fromEntries(chosen)
  }

  async #domainInfo(name: string): Promise<Omit<DomainInfo, 'config'>> {
    using client = await connectDomain(await findDomain(this.paths, name))
    const { config: _, ...info } = await client.info()
    process.stdout.write(this.jsonEnabled() ? '' : outline(info as unknown as { [key: string]: Plain }))
    return info
  }
}

/** The sections of -n. All memory is one node. */
function numaText(fields: readonly InfoField[]): string {
  const mib = (name: string) => String(fields.find(([field]) => field === name)?.[1] ?? 0)
  const cell = (value: number | string, width: number) => String(value).padStart(width)
  return [
    'cpu_topology           :',
    'cpu:    core    socket     node',
    ...cpuTopology().map(
      ({ core, socket }, cpu) =>
        `${cell(cpu, 3)}:    ${cell(core, 4)}     ${cell(socket, 4)}     ${cell(0, 4)}`,
    ),
    'device topology        :',
    'device           node',
    'No device topology data available',
    'numa_info              :',
    'node:    memsize    memfree    distances',
    `   0:    ${cell(mib('total_memory'), 6)}     ${cell(mib('free_memory'), 6)}      10`,
  ].join('\n')
}

import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { cpuTopology, hostInfo, type InfoField } from '../engine/host-info.ts'

export default class Info extends XtCommand {
  static override summary = 'Get information about this machine and the Xen that guests see on it.'
  static override args = {
    field: string({
      ignoreStdin: true,
      description: 'only the values of fields whose name starts so',
    }),
  }
  static override flags = {
    numa: boolean({ char: 'n', summary: 'Also CPUs and NUMA nodes.' }),
  }

  async run(): Promise<Readonly<Record<string, string | number>>> {
    const { args, flags } = await this.parse(Info)
    const fields = hostInfo(this.config.version)
    const chosen = fields.filter(([name]) => name.startsWith(args.field ?? ''))
    for (const [name, value] of chosen) {
      if (args.field !== undefined) this.log(String(value))
      else this.log(`${name.padEnd(23)}: ${value}`)
      if (name === 'free_cpus' && flags.numa && args.field === undefined) this.log(numaText(fields))
    }
    return Object.fromEntries(chosen)
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

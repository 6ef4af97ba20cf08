import { XtCommand } from '../cli/command.ts'
import { askChosen } from '../cli/domain-answers.ts'
import { type VcpuRow, vcpuTable } from '../cli/vcpu-table.ts'
import type { DomainInfo } from '../engine/control.ts'
import { hostCpuOfVcpus } from '../engine/host-info.ts'

export default class VcpuList extends XtCommand {
  static override summary = 'List the vCPUs of all or some domains.'
  static override usage = 'vcpu-list [DOMAIN ...]'
  static override strict = false

  async run(): Promise<readonly VcpuRow[]> {
    const { argv } = await this.parse(VcpuList)
    const { infos, unknown } = await askChosen(this.paths, argv as string[], {
      listsHost: this.listsHost,
      note: (line) => this.note(line),
    })
    const rows = infos.flatMap(vcpuRows)
    if (!this.jsonEnabled()) process.stdout.write(vcpuTable(rows))
    // XEN: the table comes first, down to the name that no domain has.
    if (unknown !== undefined) throw unknown
    return rows
  }
}

function vcpuRows({ name, domid, pid, state, vcpus }: DomainInfo): VcpuRow[] {
  const cpus = hostCpuOfVcpus(pid)
  return vcpus.map((vcpu) => {
    const online = vcpu.state !== 'offline' && vcpu.state !== 'down'
    const cpu = domid === 0 ? vcpu.index : online ? cpus.get(vcpu.index) : undefined
    return {
      name,
      domid,
      vcpu: vcpu.index,
      ...(cpu === undefined ? {} : { cpu }),
      online,
      running: vcpu.state === 'running' && state === 'running',
      blocked: vcpu.state === 'blocked' && state === 'running',
      cpuSeconds: vcpu.ranNs / 1e9,
    }
  })
}

import { XtCommand } from '../cli/command.ts'
import { askDomains, chooseDomains } from '../cli/domain-answers.ts'
import { type VcpuRow, vcpuTable } from '../cli/vcpu-table.ts'
import type { DomainInfo } from '../engine/control.ts'
import { hostCpuOfVcpus } from '../engine/host-info.ts'

export default class VcpuList extends XtCommand {
  static override summary = 'List the vCPUs of all or some domains.'
  static override usage = 'vcpu-list [DOMAIN ...]'
  static override strict = false

  async run(): Promise<readonly VcpuRow[]> {
    const { argv } = await this.parse(VcpuList)
    const entries = await chooseDomains(this.paths, argv as string[])
    const rows = (await askDomains(entries, (line) => this.note(line))).flatMap(vcpuRows)
    if (!this.jsonEnabled()) process.stdout.write(vcpuTable(rows))
    return rows
  }
}

function vcpuRows({ name, domid, pid, state, vcpus }: DomainInfo): VcpuRow[] {
  const cpus = hostCpuOfVcpus(pid)
  return vcpus.map((vcpu) => {
    const online = vcpu.state !== 'offline' && vcpu.state !== 'down'
    const cpu = online ? cpus.get(vcpu.index) : undefined
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

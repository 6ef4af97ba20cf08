import { MemoryCommand, memoryArgs } from '../cli/memory-command.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class MemMax extends MemoryCommand {
  static override summary = 'Set the most memory that a domain may have.'
  static override description = 'More than the domain was created with is for its next start.'
  static override args = memoryArgs

  async run(): Promise<{ domid: number; maxMemoryKiB: number }> {
    const { args } = await this.parse(MemMax)
    const domain = await findDomain(this.paths, args.domain)
    const maxMemoryKiB = this.kibOf(args.size)
    using client = await connectDomain(domain)
    const { machineKiB } = await client.setMaxMemory(maxMemoryKiB)
    if (maxMemoryKiB > machineKiB) {
      this.note(`${domain.name} was made with ${machineKiB} KiB: it can have more after its next reboot.`)
    }
    return { domid: domain.domid, maxMemoryKiB }
  }
}

import { MemoryCommand, memoryArgs } from '../cli/memory-command.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class MemSet extends MemoryCommand {
  static override summary = 'Set the current memory of a domain.'
  static override description = 'The guest is told; its balloon driver gives memory back or takes it again.'
  static override args = memoryArgs

  async run(): Promise<{ domid: number; memoryKiB: number }> {
    const { args } = await this.parse(MemSet)
    const domain = await findDomain(this.paths, args.domain)
    const memoryKiB = this.kibOf(args.size)
    using client = await connectDomain(domain)
    await client.setMemory(memoryKiB)
    return { domid: domain.domid, memoryKiB }
  }
}

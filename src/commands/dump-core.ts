import { resolve } from 'node:path'
import { string } from '@oclif/core/args'
import { domainArg, XtCommand } from '../cli/command.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

export default class DumpCore extends XtCommand {
  static override summary = 'Write the memory of a domain to a core file.'
  static override description = 'An ELF core file with guest RAM; the guest is paused meanwhile.'
  static override args = {
    domain: domainArg,
    file: string({ required: true, ignoreStdin: true, description: 'the file to write' }),
  }

  async run(): Promise<{ domid: number; file: string }> {
    const { args } = await this.parse(DumpCore)
    const domain = await findDomain(this.paths, args.domain)
    const file = resolve(args.file)
    using client = await connectDomain(domain)
    await client.dumpCore(file)
    return { domid: domain.domid, file }
  }
}

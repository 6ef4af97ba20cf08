import { availableParallelism } from 'node:os'
import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { domainArg, XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'
import { onlineVcpus } from '../engine/vm-state.ts'

export default class VcpuSet extends XtCommand {
  static override summary = 'Set how many vCPUs of a domain are online.'
  static override description = `The guest is told and takes its CPUs on- and offline in its own time.
Linux takes them offline by itself; onlining it leaves to user space (/sys/devices/system/cpu/cpuN/online).`
  static override args = {
    domain: domainArg,
    count: string({ required: true, ignoreStdin: true, description: 'number of vCPUs' }),
  }
  static override flags = {
    'ignore-host': boolean({ char: 'i', summary: 'Also more vCPUs than this machine has CPUs.' }),
  }

  async run(): Promise<{ domid: number; vcpus: number }> {
    const { args, flags } = await this.parse(VcpuSet)
    const domain = await findDomain(this.paths, args.domain)
    if (!/^[0-9]{1,9}$/.test(args.count)) throw cliErrors.XT_INVALID_VCPU_COUNT(args.count)
    const count = Number(args.count)
    using client = await connectDomain(domain)
    const most = availableParallelism()
    if (!flags['ignore-host'] && count > most && count > onlineVcpus(await client.info())) {
      throw cliErrors.XT_OVERCOMMITTED(most, count)
    }
    await client.setVcpus(count)
    return { domid: domain.domid, vcpus: count }
  }
}

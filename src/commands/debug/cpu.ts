import { boolean, integer } from '@oclif/core/flags'
import { domainArg, XtCommand } from '../../cli/command.ts'
import { type CpuReport, cpuReport, cpuText } from '../../cli/cpu-report.ts'
import type { ControlClient } from '../../engine/control.ts'
import { connectDomain, findDomain } from '../../engine/domains.ts'

const SECONDS = { least: 1, usual: 2, most: 60 } as const

export default class DebugCpu extends XtCommand {
  static override summary = 'Show what the software CPU of a domain spends its time on.'
  static override description =
    'Watches for some seconds. For each vCPU: its speed, the share of host time of each part (interpreter, translated ' +
    'regions, memory unit, assists, Xen, waiting), and what was counted: translations, TLB misses, invalidations, assists ' +
    'by kind. The guest is a little slower meanwhile; nothing is measured at any other time. See docs/debugging.md.'
  static override args = { domain: domainArg }
  static override flags = {
    seconds: integer({
      char: 's',
      min: SECONDS.least,
      max: SECONDS.most,
      default: SECONDS.usual,
      summary: 'How long to watch.',
    }),
    functions: boolean({ char: 'f', summary: 'Also the functions that took most of the time.' }),
    watch: boolean({ char: 'w', summary: 'Again and again, until Ctrl-C.', exclusive: ['json'] }),
  }

  async run(): Promise<CpuReport> {
    const { args, flags } = await this.parse(DebugCpu)
    using client = await connectDomain(await findDomain(this.paths, args.domain))
    for (;;) {
      const report = await watchOnce(client, flags.seconds * 1000)
      if (!this.jsonEnabled()) process.stdout.write(cpuText(report, flags))
      if (!flags.watch) return report
      process.stdout.write('\n')
    }
  }
}

async function watchOnce(client: ControlClient, ms: number): Promise<CpuReport> {
  const before = await client.cpuCounters()
  const profiles = await client.cpuProfile(ms)
  return cpuReport(before, await client.cpuCounters(), profiles)
}

import { string } from '@oclif/core/args'
import { XtError } from '../base/errors.ts'
import { domainArg, XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'

const BUTTON = 'a PVH guest has no ACPI buttons.'
/** Why nothing happens for the others. XEN: with status 0; `xt` says it at least. */
const WITHOUT_EFFECT: ReadonlyMap<string, string> = new Map([
  ['power', `${BUTTON} xt shutdown asks the guest.`],
  ['sleep', BUTTON],
  ['reset', 'Xen resets no x86 guest this way. xt reboot asks the guest.'],
  ['init', 'Xen sends INIT to no x86 guest.'],
  ['s3resume', 'a PVH guest does not sleep in S3.'],
])

export default class Trigger extends XtCommand {
  static override summary = 'Send a trigger to a domain: a non-maskable interrupt.'
  static override args = {
    domain: domainArg,
    trigger: string({
      required: true,
      ignoreStdin: true,
      description: `nmi; without effect on PVH guests: ${[...WITHOUT_EFFECT.keys()].join(', ')}`,
    }),
    vcpu: string({ ignoreStdin: true, default: '0', description: 'number of a vCPU' }),
  }

  async run(): Promise<{ domid: number; sent: boolean }> {
    const { args } = await this.parse(Trigger)
    const { trigger, vcpu } = args
    const domain = await findDomain(this.paths, args.domain)
    if (trigger !== 'nmi' && !WITHOUT_EFFECT.has(trigger)) throw cliErrors.XT_INVALID_TRIGGER(trigger)
    const why = WITHOUT_EFFECT.get(trigger) ?? (await interrupt())
    if (why !== undefined) this.note(`Trigger "${trigger}" had no effect: ${why}`)
    return { domid: domain.domid, sent: why === undefined }

    async function interrupt(): Promise<string | undefined> {
      using client = await connectDomain(domain)
      try {
        await client.nmi(/^[0-9]+$/.test(vcpu) ? Number(vcpu) : -1)
        return undefined
      } catch (error) {
        if (error instanceof XtError && error.code === 'XT_NO_SUCH_VCPU') return error.message
        throw error
      }
    }
  }
}

/**
 * The verbs of xl that xt does not have yet, each with one sentence why. They are in `xt help`, may be shortened as
 * others, want xl's options and arguments (status 2), look for the domain (status 1), and then say the sentence (status 1).
 */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import type { XtPaths } from '../engine/paths.ts'
import { cliErrors } from './errors.ts'

export interface AbsentVerb {
  readonly name: string
  /** Options, `[-cp]` or `[-s|--socket SOCKET]`, then arguments: those in brackets may be left out; DOMAIN is looked for. */
  readonly usage: string
  readonly summary: string
  readonly why: string
}

const PASSTHROUGH = 'there is no passing through of host devices.'
const SAVING = 'the state of a guest cannot be saved and restored yet.'
const MOVING = 'a guest cannot move to another machine yet.'
const SCHEDULER = 'the host schedules the vCPUs, with fair shares for all; there is nothing to set yet.'
const POOLS = 'there are no CPU pools: every vCPU may run on every CPU of the host.'
const XSM = 'there is no Flask security module.'
const RESOURCES = 'cache and memory bandwidth are the host kernel’s to share out (resctrl).'
const DISPLAY = 'guests have no display, keyboard or mouse yet.'
const NO_SUCH = (device: string) => `there is no ${device} for guests yet.`

const verb = (name: string, usage: string, summary: string, why: string): AbsentVerb => ({
  name,
  usage,
  summary,
  why,
})

const devices = (type: string, device: string, why: string): AbsentVerb[] => [
  verb(`${type}-attach`, 'DOMAIN [key=value ...]', `Add a ${device} to a domain.`, why),
  verb(`${type}-list`, 'DOMAIN ...', `List the ${device}s of domains.`, why),
  verb(`${type}-detach`, 'DOMAIN DEVID', `Take a ${device} from a domain.`, why),
]

const ROWS: readonly AbsentVerb[] = [
  ...devices('vtpm', 'virtual TPM', NO_SUCH('virtual TPM')),
  ...devices('vkb', 'virtual keyboard', DISPLAY),
  ...devices('vdispl', 'virtual display', DISPLAY),
  ...devices('vsnd', 'virtual sound card', NO_SUCH('virtual sound card')),
  verb(
    'vncviewer',
    '[-a|--autopass] [--vncviewer-autopass] DOMAIN',
    'Show the display of a domain.',
    DISPLAY,
  ),
  verb('pci-attach', 'DOMAIN BDF', 'Pass a PCI device through to a domain.', PASSTHROUGH),
  verb('pci-detach', '[-f] DOMAIN BDF', 'Take a PCI device from a domain.', PASSTHROUGH),
  verb('pci-list', 'DOMAIN', 'List the PCI devices of a domain.', PASSTHROUGH),
  verb(
    'pci-assignable-add',
    '[-n|--name NAME] BDF',
    'Make a PCI device ready to be passed through.',
    PASSTHROUGH,
  ),
  verb('pci-assignable-remove', '[-r] BDF', 'Give a PCI device back to the host.', PASSTHROUGH),
  verb(
    'pci-assignable-list',
    '[-n|--show-names]',
    'List PCI devices that can be passed through.',
    PASSTHROUGH,
  ),
  verb('usbctrl-attach', 'DOMAIN [key=value ...]', 'Add a USB controller to a domain.', PASSTHROUGH),
  verb('usbctrl-detach', 'DOMAIN DEVID', 'Take a USB controller from a domain.', PASSTHROUGH),
  verb('usbdev-attach', 'DOMAIN key=value ...', 'Pass a USB device through to a domain.', PASSTHROUGH),
  verb('usbdev-detach', 'DOMAIN CONTROLLER PORT', 'Take a USB device from a domain.', PASSTHROUGH),
  verb('usb-list', 'DOMAIN', 'List the USB controllers and devices of a domain.', PASSTHROUGH),
  verb('save', '[-cpD] DOMAIN FILE [CONFIG]', 'Save the state of a domain to a file.', SAVING),
  verb(
    'restore',
    '[-Fcped] [-V|--vncviewer] [-A|--vncviewer-autopass] [CONFIG] FILE',
    'Restore a domain from a file.',
    SAVING,
  ),
  verb('suspend', 'DOMAIN', 'Suspend a domain in memory.', SAVING),
  verb('resume', 'DOMAIN', 'Resume a domain that was suspended in memory.', SAVING),
  verb(
    'migrate',
    '[-FepD] [-C CONFIG] [-s COMMAND] [--debug] [--live] DOMAIN HOST',
    'Move a domain to another machine.',
    MOVING,
  ),
  verb(
    'migrate-receive',
    '[-Fedrp] [--colo] [--coloft-script SCRIPT] [--userspace-colo-proxy]',
    'Take a domain that another machine sends.',
    MOVING,
  ),
  verb(
    'remus',
    '[-Fbundecp] [-i MS] [-s COMMAND] [-N SCRIPT] DOMAIN HOST',
    'Keep a copy of a domain on another machine.',
    MOVING,
  ),
  verb('button-press', 'DOMAIN BUTTON', 'Press an ACPI button.', 'a PVH guest has no ACPI buttons.'),
  verb(
    'vcpu-pin',
    '[-f|--force] [-i|--ignore-global-affinity-masks] DOMAIN VCPU HARD [SOFT]',
    'Set which CPUs a vCPU may use.',
    SCHEDULER,
  ),
  verb(
    'sched-credit',
    '[-d|--domain DOMAIN] [-w|--weight WEIGHT] [-c|--cap CAP] [-s|--schedparam] [-p|--cpupool POOL] [-t|--tslice_ms MS] [-r|--ratelimit_us US] [-m|--migration_delay_us US]',
    'Show or set the parameters of the credit scheduler.',
    SCHEDULER,
  ),
  verb(
    'sched-credit2',
    '[-d|--domain DOMAIN] [-w|--weight WEIGHT] [-c|--cap CAP] [-s|--schedparam] [-p|--cpupool POOL] [-r|--ratelimit_us US]',
    'Show or set the parameters of the credit2 scheduler.',
    SCHEDULER,
  ),
  verb(
    'sched-rtds',
    '[-d|--domain DOMAIN] [-p|--period US] [-b|--budget US] [-e|--extratime 0|1] [-v|--vcpuid VCPU] [-c|--cpupool POOL]',
    'Show or set the parameters of the rtds scheduler.',
    SCHEDULER,
  ),
  verb('cpupool-create', '[-n|--dryrun] [-f|--defconfig FILE] [FILE]', 'Make a CPU pool.', POOLS),
  verb('cpupool-list', '[-c|--cpus] [POOL]', 'List the CPU pools.', POOLS),
  verb('cpupool-destroy', 'POOL', 'Remove a CPU pool.', POOLS),
  verb('cpupool-rename', 'POOL NAME', 'Rename a CPU pool.', POOLS),
  verb('cpupool-cpu-add', 'POOL CPU', 'Add a CPU to a pool.', POOLS),
  verb('cpupool-cpu-remove', 'POOL CPU', 'Take a CPU from a pool.', POOLS),
  verb('cpupool-migrate', 'DOMAIN POOL', 'Move a domain to another pool.', POOLS),
  verb('cpupool-numa-split', '', 'Make a CPU pool of each NUMA node.', POOLS),
  verb('sharing', '[DOMAIN]', 'Show how much memory domains share.', 'domains share no memory.'),
  verb('claims', '', 'Show claims on memory.', 'memory is taken when a domain is made: there are no claims.'),
  verb(
    'top',
    '',
    'Watch the host and its domains.',
    'use `xt list`, or top on the processes xt-domain NAME.',
  ),
  verb('debug-keys', 'KEYS', 'Send debug keys to Xen.', 'there is no hypervisor to debug; see `xt dmesg`.'),
  verb('set-parameters', 'PARAMETERS', 'Set parameters of the hypervisor.', 'there are none to set.'),
  verb('getenforce', '', 'Show the mode of the security module.', XSM),
  verb('setenforce', 'MODE', 'Set the mode of the security module.', XSM),
  verb('loadpolicy', 'FILE', 'Load a policy into the security module.', XSM),
  verb(
    'devd',
    '[-F] [-p|--pidfile FILE]',
    'Start backends in a driver domain.',
    'each domain process serves its own backends.',
  ),
  verb('psr-hwinfo', '[-m|--cmt] [-a|--cat] [-b|--mba]', 'Show what the hardware can share out.', RESOURCES),
  verb('psr-cmt-attach', 'DOMAIN', 'Begin to monitor the cache use of a domain.', RESOURCES),
  verb('psr-cmt-detach', 'DOMAIN', 'End the monitoring of a domain.', RESOURCES),
  verb('psr-cmt-show', 'WHAT [DOMAIN]', 'Show what was monitored.', RESOURCES),
  verb(
    'psr-cat-set',
    '[-s|--socket SOCKET] [-l|--level LEVEL] [-c|--code] [-d|--data] DOMAIN CBM',
    'Set the share of the cache of a domain.',
    RESOURCES,
  ),
  verb('psr-cat-show', '[-l|--level LEVEL] [DOMAIN]', 'Show shares of the cache.', RESOURCES),
  verb(
    'psr-mba-set',
    '[-s|--socket SOCKET] DOMAIN THROTTLE',
    'Throttle the memory bandwidth of a domain.',
    RESOURCES,
  ),
  verb('psr-mba-show', '[DOMAIN]', 'Show throttling of memory bandwidth.', RESOURCES),
  verb('qemu-monitor-command', 'DOMAIN COMMAND', 'Send a command to QEMU.', 'guests have no device model.'),
  verb('dt-overlay', 'OPERATION FILE', 'Change the device tree of the host.', 'device trees are for Arm.'),
  verb('xenstore-quota-get', '[DOMAIN]', 'Show quotas of xenstore.', 'quotas cannot be shown yet.'),
  verb('xenstore-quota-set', 'DOMAIN QUOTA=N', 'Set quotas of xenstore.', 'quotas cannot be set yet.'),
]

export const ABSENT_VERBS: ReadonlyMap<string, AbsentVerb> = new Map(ROWS.map((row) => [row.name, row]))

/** Rejects: with what is wrong with the words, or else with the sentence. */
export async function refuseAbsent(
  absent: AbsentVerb,
  words: readonly string[],
  paths: XtPaths,
): Promise<never> {
  const { name, usage, why } = absent
  const options = optionsIn(usage)
  // Not strict: what is wrong is said in xl's words.
  const { positionals: given, tokens } = parseArgs({
    args: [...words],
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const option = options[token.name]
    if (option === undefined) throw cliErrors.XT_UNKNOWN_OPTION(name, token.name)
    if (option.type === 'string' && token.value === undefined)
      throw cliErrors.XT_USAGE(name, `option ${token.rawName} expects a value`)
  }
  const required = usage.replace(/\[.*?\]|\.\.\./g, '').match(/\S+/g) ?? []
  if (given.length < required.length) throw cliErrors.XT_TOO_FEW_ARGUMENTS(name, required.length)
  if (required[0] === 'DOMAIN') {
    // Loaded here: every command line passes this file.
    const { findDomain } = await import('../engine/domains.ts')
    await findDomain(paths, given[0]!)
  }
  throw cliErrors.XT_NOT_THERE_YET(name, why)
}

/** The options in a usage, as parseArgs takes them. */
function optionsIn(usage: string): ParseArgsOptionsConfig {
  const options: ParseArgsOptionsConfig = {}
  for (const [, names = '', value] of usage.matchAll(/\[(-[^ \]]+)( [^\]]+)?\]/g)) {
    const type = value === undefined ? 'boolean' : 'string'
    const [, letters = '', long] = /^(?:-([A-Za-z]+)\|?)?(?:--(.+))?$/.exec(names) ?? []
    if (long === undefined) for (const short of letters) options[short] = { type, short }
    else options[long] = letters === '' ? { type } : { type, short: letters }
  }
  return options
}

/** Help of one of them, in the manner of oclif's. */
export const absentHelp = ({ name, usage, summary, why }: AbsentVerb): string =>
  `${summary}\n\nUSAGE\n  $ xt ${`${name} ${usage}`.trimEnd()}\n\nNOT THERE YET\n  ${why}\n`

/** What stands below the commands in the list of all. */
export function absentList(): string {
  const width = Math.max(...ROWS.map(({ name }) => name.length))
  const lines = ROWS.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(
    ({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`,
  )
  return `COMMANDS OF xl THAT ARE NOT THERE YET\n${lines.join('')}`
}

/** What a user can do wrong on the command line. Exit statuses are xl's: 2 for wrong usage, 1 for nearly all else. */
import { defineErrors } from '../base/errors.ts'
import type { SpecFault } from '../config/specs/fault.ts'

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`

export const cliErrors = defineErrors({
  XT_NO_SUCH_COMMAND: {
    title: 'No command has this name',
    message: (name: string, _near: readonly string[]) => `command not implemented: ${name}`,
    hint: (_name: string, near: readonly string[]) =>
      near.length === 0 ? '`xt help` lists the commands.' : `Did you mean ${near.join(' or ')}?`,
  },
  XT_AMBIGUOUS_COMMAND: {
    title: 'A shortened command fits several commands',
    message: (name: string, fits: readonly string[]) =>
      `command not implemented: ${name} could be ${fits.join(', ')}`,
  },
  XT_NO_DRY_RUN: {
    title: 'A command that cannot be tried with -N',
    message: (name: string) => `command does not implement -N (dryrun) option: ${name}`,
  },
  XT_GLOBAL_OPTION: {
    title: 'An option before the command that does not exist',
    message: (option: string) => `unknown global option: ${option}`,
    hint: 'Options of a command stand after it.',
  },
  XT_TOO_FEW_ARGUMENTS: {
    title: 'A command needs more arguments',
    message: (command: string, count: number) =>
      `'xt ${command}' requires at least ${plural(count, 'argument')}.`,
    hint: (command: string) => `xt ${command} --help`,
    exit: 2,
  },
  XT_TOO_MANY_ARGUMENTS: {
    title: 'A command has no use for these arguments',
    message: (command: string, extra: readonly string[]) =>
      `'xt ${command}' does not take ${extra.map((word) => `"${word}"`).join(', ')}.`,
    hint: (command: string) => `xt ${command} --help`,
    exit: 2,
  },
  XT_UNKNOWN_OPTION: {
    title: 'A command does not have this option',
    message: (_command: string, option: string) => `option \`${option}' not supported.`,
    hint: (command: string) => `xt ${command} --help`,
    exit: 2,
  },
  XT_USAGE: {
    title: 'A command was called in a way it does not understand',
    message: (_command: string, what: string) => what,
    hint: (command: string) => `xt ${command} --help`,
    exit: 2,
  },
  XT_LIST_ONE: {
    title: 'list with several domains',
    message: (count: number) => `'xt list' takes one domain, not ${count}.`,
    hint: '`xt list` alone shows all.',
  },
  XT_ALL_OR_DOMAIN: {
    title: 'Neither a domain nor -a was given',
    message: () => 'You must specify -a or a domain id.',
  },
  XT_NO_CONFIG_FILE: {
    title: 'create without a configuration file',
    message: () => 'Config file not specified',
    hint: 'xt create FILE [key=value ...]',
    exit: 6,
  },
  XT_CREATE_STOPPED: {
    title: 'The creation of a domain was stopped by the user',
    message: (name: string) => `Stopped: nothing is left of ${name}.`,
    // What a shell reports for a program that Ctrl-C ended.
    exit: 130,
  },
  XT_NO_DOMID_FOR_NAME: {
    title: 'domid: no domain has this name',
    message: (name: string) => `Can't get domid of domain name '${name}', maybe this domain does not exist.`,
  },
  XT_NO_NAME_FOR_DOMID: {
    title: 'domname: no domain has this number',
    message: (number: string) =>
      `Can't get domain name of domain id '${number}', maybe this domain does not exist.`,
  },
  XT_INVALID_DOMID: {
    title: 'Something that is not a number stands where a domid should',
    message: (text: string) => `Invalid domain id: ${text}`,
  },
  XT_NO_SUCH_CONSOLE: {
    title: 'console -n with a number that the domain has no console for',
    message: (domain: string, number: number) =>
      `${domain} has no console ${number}: there is console 0 only.`,
    // XEN: the status of xenconsole, which xl becomes.
    exit: 2,
  },
  XT_CONSOLE_TYPE: {
    title: 'A kind of console that xl does not know',
    message: (_type: string, known: readonly string[]) => `console type supported are: ${known.join(', ')}`,
    hint: (type: string) => `"${type}" is none of them.`,
  },
  XT_NO_CONSOLE_OF_TYPE: {
    title: 'A kind of console that the guest does not have',
    message: (domain: string, type: string) => `Unable to attach console: ${domain} has no ${type} console.`,
    hint: 'A PVH guest has the pv console only: leave -t out.',
  },
  XT_HOST_DOMAIN: {
    title: 'Domain 0 was to be destroyed',
    message: () => 'Not destroying domain 0: it is this machine itself.',
  },
  XT_INVALID_VCPU_COUNT: {
    title: 'vcpu-set with something that is no number',
    message: (text: string) => `Error: Invalid argument: "${text}" is no number of vCPUs`,
  },
  XT_OVERCOMMITTED: {
    title: 'vcpu-set with more vCPUs than this machine has CPUs',
    message: (cpus: number, vcpus: number) =>
      `You are overcommitting: this machine has ${cpus} CPUs, and you try to set ${vcpus} vCPUs.`,
    hint: '-i (--ignore-host) does it all the same.',
  },
  XT_MEMORY_SIZE: {
    title: 'mem-set or mem-max with something that is no size',
    message: (text: string) => `invalid memory size: ${text}`,
    hint: 'A number of MiB, or a number with b, k, m, g or t behind it: 512, 1g, 262144k.',
  },
  XT_INVALID_SYSRQ: {
    title: 'sysrq with something that is not one key',
    message: () => 'Invalid sysrq: it is one letter or digit.',
  },
  XT_INVALID_TRIGGER: {
    title: 'A trigger that does not exist',
    message: (trigger: string) => `Invalid trigger "${trigger}"`,
    hint: 'There are nmi, reset, init, power, sleep and s3resume.',
  },
  XT_DISK_SPEC: {
    title: 'A description of a disk that cannot be read',
    // XEN: the words of xl; what is the matter with the whole is not quoted twice.
    message: ({ message, near }: SpecFault, whole: string) =>
      `command line: config parsing error in disk specification: ${message}${near === whole ? '' : `: near \`${near}'`} in \`${whole}'`,
    hint: ({ hint }: SpecFault, _whole: string) => hint ?? 'The whole form: /srv/data.img,raw,xvdb,w',
  },
  XT_DISK_NAME: {
    title: 'A name that no disk can have',
    message: (vdev: string) => `"${vdev}" is no name of a disk`,
    hint: 'xvda to xvdz and on, hda to hdd, sda to sdp, with the number of a partition behind it if need be.',
  },
  XT_NOT_CONNECTED: {
    title: 'The domain has no such disk',
    message: (vdev: string) => `Error: Device ${vdev} not connected.`,
    hint: '`xt block-list` shows the disks of a domain.',
  },
  XT_VIF_OPTION: {
    title: 'An option of a network interface that cannot be read',
    message: ({ message, near }: SpecFault) => `command line: ${message}: near \`${near}'`,
    hint: ({ hint }: SpecFault) =>
      hint ?? 'Options are words of their own: mac=00:16:3e:01:02:03 bridge=xenbr0',
  },
  XT_UNKNOWN_VIF: {
    title: 'The domain has no such network interface',
    message: (device: string) => `Unknown device ${device}.`,
    hint: '`xt network-list` shows the interfaces of a domain.',
  },
  XT_NO_DRIVE: {
    title: 'cd-insert or cd-eject with a disk that is no CD drive',
    message: (vdev: string) => `${vdev} is no CD drive`,
    hint: 'A drive is a disk with devtype=cdrom in its description.',
  },
  XT_CANNOT_STAT: {
    title: 'cd-insert with an image that is not there',
    message: (file: string) => `Cannot stat file: ${file}`,
  },
  XT_CONFIG_UPDATE_FILE: {
    title: 'config-update without a configuration file',
    message: () => 'Config file not specified',
    hint: 'xt config-update DOMAIN FILE [key=value ...]',
  },
  XT_CONFIG_UPDATE_DOMAIN: {
    title: 'config-update without a domain',
    message: () => 'xt config-update requires a domain argument',
  },
  XT_NOT_THERE_YET: {
    title: 'A command of xl that xt does not have yet',
    message: (verb: string, why: string) => `xt ${verb}: ${why}`,
  },
  XT_NO_CONSOLE: {
    title: 'The console of a domain cannot be reached',
    message: (name: string, why: string) => `Unable to attach console of ${name}: ${why}`,
  },
  XT_CONSOLE_BUSY: {
    title: 'Somebody else types into the console',
    message: (name: string) => `The console of ${name} is in use by another \`xt console\`.`,
    hint: (name: string) => `\`xt console -r ${name}\` watches without typing.`,
    // xenconsole's status when it cannot lock the console (EAGAIN).
    exit: 11,
  },
  XT_ESCAPE_KEY: {
    title: 'The escape character of a console is not one character',
    message: (text: string) => `escape character "${text}" is neither one character nor ^X`,
    exit: 2,
  },
  XT_XENSTORE_REFUSED: {
    title: 'The store refused what was asked',
    message: (path: string, why: string) => `${path}: ${why}`,
  },
  XT_XENSTORE_PERMISSION: {
    title: 'A permission of a node in the store that cannot be read',
    message: (text: string) => `"${text}" is no permission`,
    hint: 'A letter (n none, r read, w write, b both) and a domid, the owner first: n0 r3.',
    exit: 2,
  },
  XT_XENSTORE_ESCAPE: {
    title: 'A value for the store with an escape that does not exist',
    message: (sequence: string) => `\`${sequence}' is no escape`,
    hint: 'Escapes are \\\\ \\t \\n \\r and \\xHH; -R takes the value as it is.',
    exit: 2,
  },
  XT_OUTPUT: {
    title: 'Standard output cannot be written',
    message: (why: string) => `standard output: ${why}`,
  },
  XT_INTERNAL: {
    title: 'A fault in xt itself',
    message: (what: string) => `xt failed: ${what}`,
    hint: 'This is a fault of xt. XT_DEBUG=1 shows where it happened.',
  },
  XT_SOME_FAILED: {
    title: 'A command for several domains failed for some',
    message: (verb: string, failed: readonly string[]) => `${verb} failed for ${failed.join(', ')}`,
  },
  XT_TRACE_KIND: {
    title: 'A kind of record that there is not',
    message: (kind: string, kinds: readonly string[]) =>
      `\`${kind}' cannot be traced; there are ${kinds.join(', ')}`,
    exit: 2,
  },
})

/**
 * What a user can do wrong with domains and plugins, as data (docs/errors.md is generated from it).
 *
 * Texts follow xl where scripts may look for them; exit statuses are xl's.
 */
import { defineErrors } from '../base/errors.ts'
import type { VmState } from './vm-state.ts'

/** States of a VM as the end of a sentence. */
const IS: Readonly<Record<VmState, string>> = {
  building: 'is still being built',
  paused: 'is paused',
  running: 'is running',
  shutdown: 'has shut down',
  dying: 'is being destroyed',
  gone: 'is gone',
}

const list = (names: readonly string[]) => (names.length === 0 ? 'nothing' : names.join(', '))

export const errors = defineErrors({
  // Directories and the registry of domains.
  XT_DIRECTORY_UNUSABLE: {
    title: 'A directory of xt cannot be made or used',
    message: (path: string, why: string) => `${path}: ${why}`,
    hint: 'XT_HOME names another directory for everything xt keeps.',
  },
  XT_HOST_REFUSED: {
    title: 'The operating system refused what a domain needs',
    message: (why: string, call: string) => `the domain could not be made: ${why} (${call})`,
    hint: 'XT_HOME names another directory for everything xt keeps, if a disk is full.',
  },
  XT_DIRECTORY_UNSAFE: {
    title: 'A directory of xt belongs to, or is open to, somebody else',
    message: (path: string) => `${path} must belong to you and be closed to others (mode 0700)`,
    hint: (path: string) => `chmod 700 ${path}, or name another directory with XT_HOME.`,
  },
  XT_SOCKET_PATH_TOO_LONG: {
    title: 'The path of a UNIX socket is longer than the system allows',
    message: (path: string, bytes: number) =>
      `${path}: socket path of ${bytes} bytes, the system allows at most 107`,
    hint: 'XT_HOME names a shorter directory.',
  },
  XT_NO_SUCH_DOMAIN: {
    title: 'No domain has this name or number',
    message: (name: string) => `${name} is an invalid domain identifier: no such domain`,
    hint: '`xt list` shows the domains that exist.',
  },
  XT_NAME_IN_USE: {
    title: 'Another domain has this name',
    message: (name: string, domid: number) =>
      `Domain with name "${name}" already exists${domid < 0 ? '' : ` (domid ${domid})`}.`,
    hint: 'Give it another name on the command line: name=..., or destroy the other one.',
  },
  XT_BAD_NAME: {
    title: 'A name that no domain can have',
    message: (name: string, why: string) => `"${name}" cannot be the name of a domain: ${why}`,
  },
  XT_NO_FREE_DOMID: {
    title: 'Every domain number is taken',
    message: () => 'every domain number is taken',
  },

  // Talking to a domain process.
  XT_DOMAIN_LOST: {
    title: 'The process of a domain went away while we talked to it',
    message: (name: string, what: string) => `domain ${name} went away during ${what}`,
  },
  XT_DOMAIN_PROCESS_FAILED: {
    title: 'The process of a domain could not start',
    message: (name: string, why: string, _log: string) =>
      `the process of domain ${name} ended before the guest ran: ${why}`,
    hint: (_name: string, _why: string, log: string) => `Its log is ${log}.`,
    exit: 3,
  },
  XT_NOT_NOW: {
    title: 'The domain is in a state in which this cannot be done',
    message: (what: string, state: VmState) => `cannot ${what}: the domain ${IS[state]}`,
  },
  XT_NOT_PAUSED: {
    title: 'unpause of a domain that nobody paused',
    message: (name: string) => `domain ${name} is not paused`,
  },
  XT_NO_PV_CONTROL: {
    title: 'The guest does not listen to shutdown requests',
    message: () => 'PV control interface not available: external graceful shutdown not possible.',
    hint: 'The guest has not booted far enough, or has no Xen drivers; `xt destroy` always works.',
  },
  XT_NOT_ACKNOWLEDGED: {
    title: 'The guest did not take up a shutdown request',
    message: (what: string, seconds: number) =>
      `the guest did not acknowledge the ${what} request within ${seconds} s`,
    hint: '`xt console` shows what it does; `xt destroy` ends it at once.',
  },

  // Changing a guest that runs.
  XT_VCPU_COUNT: {
    title: 'vcpu-set with a number of vCPUs that the domain cannot have',
    message: (domid: number, count: number, most: number) =>
      `Domain ${domid}: requested ${count} vCPUs, however it has 1 to ${most}.`,
    hint: 'maxvcpus= in the configuration says how many there may be.',
  },
  XT_MEMORY_ABOVE_MAX: {
    title: 'mem-set with more than the domain may have',
    message: (domid: number, kib: number, max: number) =>
      `cannot set domid ${domid} dynamic max memory to ${kib} KiB: its static maximum is ${max} KiB`,
    hint: 'maxmem= in the configuration says how much it may be.',
  },
  XT_MEMORY_BELOW_TARGET: {
    title: 'mem-max with less than the domain is meant to have now',
    message: (domid: number, kib: number, target: number) =>
      `cannot set domid ${domid} static max memory to ${kib} KiB: its target is ${target} KiB`,
    hint: '`xt mem-set` makes the target smaller.',
  },
  XT_NO_SUCH_VCPU: {
    title: 'A vCPU that the domain does not have',
    message: (domid: number, vcpu: number) => `Domain ${domid} has no vCPU ${vcpu} that is online.`,
  },
  XT_NOT_COUNTED: {
    title: 'The CPU of a domain does not count what it does',
    message: (name: string) => `${name}: its CPU plugin counts nothing, or the guest has ended`,
  },
  XT_DUMP_FAILED: {
    title: 'A core dump could not be written',
    message: (path: string, why: string) => `core dump to ${path} failed: ${why}`,
  },

  // Building a machine.
  XT_MEMORY_UNUSABLE: {
    title: 'A machine of this size cannot be made',
    message: (mib: number, vcpus: number) => `cannot make a machine of ${mib} MiB with ${vcpus} vCPUs`,
    hint: 'Memory is limited to about 3.5 GiB, less with many vCPUs.',
  },
  XT_CPU_UNAVAILABLE: {
    title: 'A CPU backend that this xt does not have',
    message: (cpu: string) => `cpu="${cpu}": this xt has no such CPU backend`,
    hint: 'Leave cpu= out, or say cpu="software": it runs everywhere.',
  },
  XT_DEVICE_NOT_SERVED: {
    title: 'Devices that no plugin of the domain serves',
    message: (key: string) => `${key}= is given, but no plugin of this domain serves such devices`,
    hint: (key: string) => {
      const more = key === 'vkb' ? ' and vfb, which brings one along,' : ''
      return `Leave ${key}${more} out (on the command line: ${key}=[]), or name a plugin that serves it in plugins=.`
    },
  },
  XT_KERNEL_MISSING: {
    title: 'The configuration names no kernel',
    message: () => 'Neither kernel nor bootloader specified',
    hint: 'kernel="FILE" names a bzImage or an ELF file with a PVH entry.',
  },
  XT_BOOTLOADER_MISSING: {
    title: 'The bootloader is not installed',
    message: (name: string) => `bootloader="${name}": there is no such program`,
    hint: (name: string) =>
      name.includes('/')
        ? 'It is given as a path: is that right?'
        : "pygrub is in Debian's package xen-utils-4.17 (apt install --no-install-recommends xen-utils-4.17). " +
          'Without it, name kernel= and ramdisk= themselves.',
  },
  XT_BOOTLOADER_DISK: {
    title: 'The bootloader has no disk to look into',
    message: (name: string, why: string) => `bootloader="${name}": ${why}`,
    hint: 'A bootloader reads the first entry of disk=: a file, a block device, or an image of any format.',
  },
  XT_BOOTLOADER_STUCK: {
    title: 'The bootloader does not end',
    message: (name: string, disk: string, seconds: number, _command: string) =>
      `${name} on ${disk} has not ended after ${seconds} s and was killed`,
    hint: (_name: string, _disk: string, _seconds: number, command: string) =>
      `Does the disk answer, and does it ask somebody something? Try it by hand: ${command}`,
  },
  XT_BOOTLOADER_FAILED: {
    title: 'The bootloader found nothing to boot',
    message: (name: string, disk: string, why: string) => `${name} on ${disk}: ${why}`,
    hint: 'pygrub looks for /boot/grub/grub.cfg or menu.lst in an ext2-4, FAT, XFS, UFS or ISO9660 file system.',
  },
  XT_FILE_UNREADABLE: {
    title: 'A file that the configuration names cannot be read',
    message: (key: string, path: string, why: string) => `${key} ${path}: ${why}`,
  },
  XT_TYPE_UNSUPPORTED: {
    title: 'A kind of guest that xt cannot run',
    message: (type: string) => `type="${type}": only PVH guests can be run`,
    hint: 'Most kernels that run as PV guests run as PVH guests too: say type="pvh".',
  },
  XT_BROKEN_OFF: {
    title: 'A domain was destroyed while something else was being done with it',
    message: (name: string) => `domain ${name} was destroyed meanwhile`,
  },
  XT_VM_FAILED: {
    title: 'The machine stopped because of a fault of ours or of a plugin',
    message: (why: string) => `the machine was stopped: ${why}`,
    hint: 'This is not the guest’s fault; the log of the domain says where it happened.',
  },

  // Devices that come and go.
  XT_DEVICE_KIND_TWICE: {
    title: 'Two plugins serve one kind of device',
    message: (kind: string, first: string, second: string) => `${first} and ${second} both serve ${kind}`,
  },
  XT_DEVICE_KIND_UNSERVED: {
    title: 'A kind of device that no plugin of the domain serves',
    message: (kind: string) => `no plugin of this domain serves devices of type ${kind}`,
  },
  XT_DEVICE_SPEC: {
    title: 'A device that its plugin does not understand',
    message: (kind: string, problems: readonly string[]) => `${kind}: ${problems.join('; ')}`,
  },
  XT_DEVICE_EXISTS: {
    title: 'The domain has a device of this number already',
    message: (_kind: string, name: string) => `device ${name} exists already`,
    // libxl's ERROR_DEVICE_EXISTS; xl answers 1 all the same.
  },
  XT_NO_SUCH_DEVICE: {
    title: 'The domain has no such device',
    message: (kind: string, id: number) => `there is no ${kind} ${id}`,
  },
  XT_DEVICE_IN_USE: {
    title: 'The guest did not let go of a device',
    message: (_kind: string, name: string, seconds: number) =>
      `the guest has not let go of ${name} within ${seconds} s`,
    hint: 'It goes as soon as the guest lets go of it (unmount it there); --force takes it away now.',
  },
  XT_DEVICE_UNCHANGEABLE: {
    title: 'A device that cannot become what was asked for',
    message: (_kind: string, name: string) => `${name} cannot be changed`,
  },

  // Plugins.
  XT_PLUGIN_NOT_FOUND: {
    title: 'A plugin that the configuration names does not exist',
    message: (name: string, why: string) => `plugin ${name}: ${why}`,
    hint: 'A plugin is named by its package or by a path that starts with "./", "../" or "/".',
  },
  XT_PLUGIN_INVALID: {
    title: 'A module that is no plugin',
    message: (name: string, why: string) => `plugin ${name}: ${why}`,
    hint: 'docs/writing-a-plugin.md shows what a plugin looks like.',
  },
  XT_PLUGIN_API: {
    title: 'A plugin for another version of the plugin API',
    message: (name: string, wants: unknown, has: number) =>
      `plugin ${name} is written for plugin API ${String(wants)}, this xt has ${has}`,
    hint: 'docs/writing-a-plugin.md says what changed between versions.',
  },
  XT_PLUGIN_TWICE: {
    title: 'Two plugins with one name',
    message: (name: string) => `two plugins are called ${name}`,
  },
  XT_PLUGIN_SETTINGS: {
    title: 'Settings that a plugin does not accept',
    message: (name: string, problems: readonly string[]) =>
      `settings of plugin ${name}: ${problems.join('; ')}`,
  },
  XT_PLUGIN_INSTALL: {
    title: 'A plugin that cannot be installed',
    message: (spec: string, why: string) => `cannot install the plugin ${spec}: ${why}`,
    hint: 'a plugin is a tarball (npm pack), a folder with a package.json, or the name of a package',
  },
  XT_PLUGIN_NO_NPM: {
    title: 'npm is missing',
    message: () => 'plugins are installed by npm, which is not there',
    hint: 'on Debian: apt install npm',
  },
  XT_PLUGIN_NOT_INSTALLED: {
    title: 'A plugin that is not installed',
    message: (name: string, dir: string) => `no plugin ${name} is installed in ${dir}`,
    hint: 'xt plugins list shows them',
  },
  XT_PLUGIN_MANIFEST: {
    title: 'The list of installed plugins cannot be read',
    message: (file: string, why: string) => `${file} cannot be used: ${why}`,
    hint: 'remove its folder, and install the plugins again',
  },
  XT_PLUGIN_STANZA: {
    title: 'A key of the configuration that a plugin does not accept',
    message: (name: string, key: string, problems: readonly string[]) =>
      `\`${key}' of plugin ${name}: ${problems.join('; ')}`,
  },
  XT_CAPABILITY_UNMET: {
    title: 'A plugin needs something that no plugin provides',
    message: (name: string, capability: string, plugins: readonly string[]) =>
      `${name} requires ${capability}, provided by none of: ${list(plugins)}`,
  },
  XT_CAPABILITY_TWICE: {
    title: 'Two plugins provide the same thing',
    message: (capability: string, first: string, second: string) =>
      `${first} and ${second} both provide ${capability}; exactly one may`,
  },
  XT_CAPABILITY_CYCLE: {
    title: 'Plugins that wait for one another',
    message: (cycle: readonly string[]) => `plugins require one another in a circle: ${cycle.join(' → ')}`,
  },
  XT_CAPABILITY_NOT_READY: {
    title: 'A plugin used something before it was there',
    message: (name: string, capability: string) =>
      `${name} used ${capability} before it was provided; use it in attach or later`,
  },
  XT_CAPABILITY_UNDECLARED: {
    title: 'A plugin used or provided something that it does not declare',
    message: (name: string, verb: 'use' | 'provide', capability: string) =>
      verb === 'use'
        ? `${name} uses ${capability} without naming it in requires`
        : `${name} provides ${capability} without naming it in provides`,
  },
  XT_CAPABILITY_NOT_PROVIDED: {
    title: 'A plugin did not provide what it declares',
    message: (name: string, capability: string) =>
      `${name} declares that it provides ${capability}, but did not`,
  },
  XT_EXIT_CONFLICT: {
    title: 'Two plugins claim the same exit of the processor',
    message: (what: string, first: string, second: string) =>
      first === second ? `${first} claims ${what} twice` : `${first} and ${second} both claim ${what}`,
  },
  XT_EXIT_INVALID: {
    title: 'A claim that makes no sense',
    message: (plugin: string, what: string) => `${plugin} claims ${what}`,
  },
  XT_EXIT_LATE: {
    title: 'A claim after the tables were frozen',
    message: (plugin: string) => `${plugin} claims exits after setup; the tables are frozen then`,
  },
  XT_PLUGIN_CALL_FAILED: {
    title: 'A call of a plugin failed',
    message: (place: string, why: string) => `${place} failed: ${why}`,
  },
  XT_PLUGIN_CALL_STUCK: {
    title: 'A call of a plugin did not end in time',
    message: (place: string, seconds: number) => `${place} did not end within ${seconds} s`,
  },
})

/** What can go wrong with a network interface through the host's or the user's doing. */
import { defineErrors } from '../../base/errors.ts'

export const vifErrors = defineErrors({
  XT_VIF_UNSUPPORTED: {
    title: 'A setting of a network interface that xt cannot follow',
    message: (name: string, setting: string, _instead: string) => `${name}: ${setting} cannot be followed`,
    hint: (_name: string, _setting: string, instead: string) => instead,
  },
  XT_VIF_FORWARD: {
    title: 'A port forward that cannot be read',
    message: (name: string, item: string) => `${name}: forward=${item} cannot be read`,
    hint: 'Forwards are written [tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT, separated by blanks: forward=2222:22 udp:0.0.0.0:5353:53',
  },
  XT_VIF_NO_PASST: {
    title: 'passt is not installed',
    message: (name: string) => `${name}: passt is not there, which connects a guest without a bridge`,
    hint: 'Install it (Debian: apt install passt), or name a bridge with bridge=.',
  },
  XT_VIF_PASST: {
    title: 'passt does not run',
    message: (name: string, reason: string) => `${name}: passt does not run: ${reason}`,
    hint: 'It needs a network interface with a default route. A port that is to be forwarded must be free.',
  },
  XT_VIF_TAP: {
    title: 'A tap device cannot be made',
    message: (name: string, device: string, reason: string) =>
      `${name}: the tap device ${device} cannot be made: ${reason}`,
    hint: 'Bridges are for root and need the optional package koffi. Without bridge= the guest has user-mode networking; bridge=vde:NAME is a switch between guests. Both need no root.',
  },
  XT_VIF_NO_BRIDGE: {
    title: 'A bridge that is not there',
    message: (name: string, bridge: string) => `${name}: this host has no bridge ${bridge}`,
    hint: (_name: string, bridge: string) =>
      `Make it (ip link add ${bridge} type bridge; ip link set ${bridge} up), or leave bridge= out: the guest then has user-mode networking.`,
  },
  XT_VIF_IP: {
    title: 'A network device cannot be configured',
    message: (name: string, command: string, reason: string) => `${name}: ${command} failed: ${reason}`,
    hint: 'The program ip is in the package iproute2.',
  },
  XT_VIF_SCRIPT: {
    title: 'A hotplug script failed',
    message: (name: string, script: string, reason: string) => `${name}: ${script} failed: ${reason}`,
    hint: "Scripts of Xen write to /var/log/xen/xen-hotplug.log, whose directory must exist, and need Xen's xenstore-read (Debian: xenstore-utils).",
  },
  XT_VIF_NO_VDE: {
    title: 'VDE is not installed',
    message: (name: string) =>
      `${name}: vde_switch and vde_plug are not there, which make a switch between guests`,
    hint: 'Install them (Debian: apt install vde2 vdeplug).',
  },
  XT_VIF_VDE: {
    title: 'A VDE switch cannot be used',
    message: (name: string, reason: string) => `${name}: ${reason}`,
    hint: 'bridge=vde:NAME is a switch that xt starts; bridge=vde:/DIRECTORY is one that runs: vde_switch -s /DIRECTORY.',
  },
  XT_VIF_SWITCH_NAME: {
    title: 'A switch with a name that cannot be',
    message: (name: string, place: string) => `${name}: bridge=vde:${place} is no name of a switch`,
    hint: 'A name has letters, digits, dots and dashes, at most 40; what begins with / is the directory of a switch.',
  },
  XT_VIF_NODE: {
    title: 'A network frontend published something unusable',
    message: (path: string, value: string) => `${path} holds ${JSON.stringify(value)}`,
  },
})

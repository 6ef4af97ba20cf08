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
  XT_VIF_NODE: {
    title: 'A network frontend published something unusable',
    message: (path: string, value: string) => `${path} holds ${JSON.stringify(value)}`,
  },
})

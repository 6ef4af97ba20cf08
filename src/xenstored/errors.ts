/** What can go wrong between xt and its store process. */
import { defineErrors } from '../base/errors.ts'

export const errors = defineErrors({
  XT_XENSTORED_NOT_STARTED: {
    title: 'The store process does not start',
    message: (why: string, log: string) => `xenstored does not start: ${why} (its log: ${log})`,
    hint: 'Run the command again; if it stays so, the log says why.',
  },
  XT_XENSTORED_SOCKET_PATH_TOO_LONG: {
    title: 'A socket path is too long',
    message: (path: string) => `the path of the store's socket has more than 107 bytes: ${path}`,
    hint: 'Set XT_HOME to a directory with a shorter path.',
  },
  XT_XENSTORED_UNREACHABLE: {
    title: 'The store does not answer',
    message: (path: string, why: string) => `xenstored does not answer on ${path}: ${why}`,
  },
  XT_XENSTORED_GUEST_REFUSED: {
    title: 'The store does not take a guest',
    message: (domid: number, why: string) => `xenstored does not take the ring of domain ${domid}: ${why}`,
  },
})

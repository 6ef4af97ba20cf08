/** What can go wrong with a console through the host's or the user's doing. */
import { defineErrors } from '../../base/errors.ts'

export const consoleErrors = defineErrors({
  XT_CONSOLE_NODE: {
    title: 'Console node without a usable number',
    message: (path: string, value: string) => `${path} in xenstore should hold a number but holds "${value}"`,
  },
  XT_CONSOLE_SOCKET: {
    title: 'The console socket cannot be made',
    message: (path: string, reason: string) => `cannot listen for consoles on ${path}: ${reason}`,
    hint: 'A UNIX socket path may have at most 107 bytes, and its folder must be writable.',
  },
  XT_CONSOLE_LOG: {
    title: 'The console log cannot be written',
    message: (path: string, reason: string) => `cannot write the console log ${path}: ${reason}`,
  },
})

/** What can go wrong in the Xen shim through a plugin's or our own doing. */
import { defineErrors } from '../../base/errors.ts'

export const shimErrors = defineErrors({
  XT_SHIM_NO_THREAD: {
    title: 'More threads of backends than a domain can have',
    message: (name: string, most: number) => `no thread for ${name}: a domain has at most ${most}`,
  },
  XT_SHIM_THREAD_FAILED: {
    title: 'A thread of backends failed',
    message: (name: string, why: string) => `the thread of ${name} failed: ${why}`,
    hint: 'This is a fault of the plugin, not of the guest.',
  },
})

/** What can go wrong with the software CPU through the user's doing. */
import { defineErrors } from '../../base/errors.ts'

export const cpuErrors = defineErrors({
  XT_CPU_TRACE_FILE: {
    title: 'The trace of the CPU cannot be written',
    message: (path: string, reason: string) => `cannot write the trace of the CPU to ${path}: ${reason}`,
    hint: 'Its folder must exist and be writable.',
  },
})

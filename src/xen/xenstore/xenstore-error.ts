/** What a XenstoreClient rejects with: the store refused a request, or cannot be reached. */
import type { XsErrno } from './wire.ts'

export class XenstoreError extends Error {
  /** The wire's text, e.g. ENOENT; ENOTCONN when there is no store to ask. */
  readonly code: XsErrno | 'ENOTCONN'

  /** `what` names the request for people, e.g. `read /vm`. */
  constructor(code: XsErrno | 'ENOTCONN', what: string) {
    super(`xenstore: ${what}: ${code}`)
    this.name = 'XenstoreError'
    this.code = code
  }
}

/** Handler of a rejection: ENOENT becomes a value, everything else goes on. */
export const absentIs =
  <T>(value: T) =>
  (error: unknown): T => {
    if (error instanceof XenstoreError && error.code === 'ENOENT') return value
    throw error
  }

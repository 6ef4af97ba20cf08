/** Errors of xenhost: what a backend's author did wrong, and the two that carry Xen's own answers. */
import { defineErrors } from '../base/errors.ts'
import { GNTST } from './abi/grant_table.ts'

export const errors = defineErrors({
  XT_XENHOST_SCOPE: {
    title: 'A backend reached outside its device',
    message: (backendPath: string, what: string) => `the backend of ${backendPath} may not ${what}`,
    hint: 'a xenhost is made for one device: one frontend domain, one backend path',
  },
  XT_XENHOST_NOT_GIVEN_BACK: {
    title: 'A backend left something behind',
    message: (backendPath: string, what: string) => `the backend of ${backendPath} did not give back ${what}`,
  },
})

/** Mapping failed: `status` is the GNTST_* of the first reference that did. */
export class GrantError extends Error {
  readonly status: number

  constructor(ref: number, status: number) {
    super(`grant ${ref}: ${GNTST.nameOf(status)}`)
    this.name = 'GrantError'
    this.status = status
  }
}

/** Binding failed: `errno` is Xen's answer, negative. */
export class EvtchnError extends Error {
  readonly errno: number

  constructor(remotePort: number, errno: number) {
    super(`event channel ${remotePort}: errno ${-errno}`)
    this.name = 'EvtchnError'
    this.errno = errno
  }
}

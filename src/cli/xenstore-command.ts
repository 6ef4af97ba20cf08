/** What the `xt xenstore` commands share: a connection to the store, and its refusals in words. */
import { string } from '@oclif/core/args'
import { connectXenstore, type ToolstackClient, XenstoreError } from '../xenstored/client.ts'
import { ensureXenstored } from '../xenstored/ensure.ts'
import { XtCommand } from './command.ts'
import { cliErrors } from './errors.ts'

/** The first of the paths; commands that take more are not strict and read argv. */
export const pathArg = string({
  required: true,
  ignoreStdin: true,
  description: 'path of a node; without a leading / below /local/domain/0',
})

const REASONS: Readonly<Record<Exclude<XenstoreError['code'], 'EAGAIN'>, string>> = {
  ENOENT: 'no such node',
  EINVAL: 'not a path that the store takes',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EEXIST: 'exists already',
  EISDIR: 'is a directory',
  ENOTEMPTY: 'is not empty',
  ENOMEM: 'the store has no memory left',
  ENOSPC: 'the quota of the store is reached',
  E2BIG: 'too long for the store',
  EIO: 'the store failed',
  ENOSYS: 'the store cannot do this',
  EROFS: 'the store is read-only',
  EBUSY: 'the store is busy',
  EISCONN: 'connected already',
  ENOTCONN: 'the store is gone',
}

export abstract class XenstoreCommand extends XtCommand {
  /** Runs `work` with dom0's connection; the store is started if need be. */
  protected async withStore<T>(work: (store: ToolstackClient) => Promise<T>): Promise<T> {
    const revive = () => ensureXenstored(this.paths.runDir)
    const { socketPath } = await revive()
    await using store = await connectXenstore({ socketPath, revive })
    return await work(store)
  }
}

/** A request for one path: what the store refuses becomes XT_XENSTORE_REFUSED, but for the EAGAIN that a transaction answers itself. */
export async function forPath<T>(path: string, request: Promise<T>): Promise<T> {
  try {
    return await request
  } catch (error) {
    if (!(error instanceof XenstoreError) || error.code === 'EAGAIN') throw error
    throw cliErrors.XT_XENSTORE_REFUSED(path, REASONS[error.code])
  }
}

/** Whether a request found its node. */
export async function isThere(path: string, request: Promise<unknown>): Promise<boolean> {
  try {
    await request
    return true
  } catch (error) {
    if (error instanceof XenstoreError && error.code === 'ENOENT') return false
    return await forPath(path, Promise.reject(error))
  }
}

/** `/a` and `b` make `/a/b`; also below the root. */
export const below = (path: string, name: string): string =>
  path.endsWith('/') ? `${path}${name}` : `${path}/${name}`

/** Where the store process keeps its files, given xt's run directory. */
import { statSync } from 'node:fs'
import { join } from 'node:path'

export interface StorePlaces {
  readonly directory: string
  /** Tools of dom0: plain xenstore wire, as with Xen's own daemon (XENSTORED_PATH). */
  readonly socketPath: string
  /** Rings of guests: one JSON line (GuestHello) and its answer, then the wire. */
  readonly guestSocketPath: string
  readonly journal: string
  readonly log: string
}

export function storePlaces(runDir: string): StorePlaces {
  const directory = join(runDir, 'xenstored')
  return {
    directory,
    socketPath: join(directory, 'socket'),
    guestSocketPath: join(directory, 'guest-socket'),
    journal: join(directory, 'journal'),
    log: join(directory, 'log'),
  }
}

/**
 * Name of an abstract socket that only one process can hold, for this very directory whatever it is called. The
 * kernel lets go of it when the process dies, so it is never stale.
 */
export function lockName(directory: string): string {
  const { dev, ino } = statSync(directory)
  return `\0xt-xenstored-${dev}-${ino}`
}

/** First line on the guest socket. */
export interface GuestHello {
  readonly domid: number
  /** The guest was connected before the store restarted: its watches and transactions still count. */
  readonly resume: boolean
  /** The domain is introduced with this connection and released when it ends, also by the death of its process. */
  readonly introduce?: { readonly gfn: number; readonly port: number }
}
/** What the store answers to it, or else one line that says why not. */
export const GUEST_WELCOME = 'OK'

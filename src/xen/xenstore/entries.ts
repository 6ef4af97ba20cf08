/**
 * What must outlive the store's process: entries that a host appends to a journal as they are recorded, and
 * that make the same state again when they are replayed in order. Plain JSON, values as latin-1 text.
 */
import { formatPerms, parsePerms } from './perms.ts'
import type { Limits } from './quota.ts'
import type { Change } from './tx.ts'
import { latin1, latin1Bytes } from './wire.ts'

/** What the store knows of a domain; `gfn` and `port` are what INTRODUCE said. */
export interface DomainRecord {
  readonly domid: number
  readonly introduced: boolean
  /** It lives as long as its connection. */
  readonly linked?: boolean
  readonly gfn: number
  readonly port: number
  /** The domain that it may act for (SET_TARGET). */
  readonly target?: number
  /** XENSTORE_SERVER_FEATURE_* bits offered to it. */
  readonly features: number
  readonly limits: Limits
}

export type Entry =
  | readonly ['put', path: string, value: string, perms: string]
  | readonly ['remove', path: string]
  | readonly ['domain', DomainRecord]
  | readonly ['released', domid: number]
  | readonly ['limits', Limits]
  /** Watches and open transactions of guests, who do not notice that the store restarts. */
  | readonly ['watch', domid: number, name: string, token: string, depth: number | null]
  | readonly ['unwatch', domid: number, path: string, token: string]
  | readonly ['begin', domid: number, tx: number]
  | readonly ['end', domid: number, tx: number]
  /** A guest's connection starts from nothing. */
  | readonly ['reset', domid: number]

export function changeEntry(change: Change): Entry {
  return change.op === 'put'
    ? ['put', change.path, latin1(change.value), formatPerms(change.perms).join(',')]
    : ['remove', change.path]
}

/** The change of a 'put' or 'remove' entry; undefined for a 'put' with damaged permissions. */
export function entryChange(entry: Entry & readonly ['put' | 'remove', ...unknown[]]): Change | undefined {
  if (entry[0] === 'remove') return { op: 'remove', path: entry[1] }
  const perms = parsePerms(entry[3].split(','))
  return perms && { op: 'put', path: entry[1], value: latin1Bytes(entry[2]), perms }
}

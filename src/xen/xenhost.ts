/**
 * xenhost: the one handle through which a backend reaches "a Xen" (Juergen Gross' `xenhost_t`, 2019).
 *
 * Four services: xenstore, event channels, grant table, hypercalls. A backend must not be able to tell which
 * kind it was given. A handle is scoped to one device: one otherend, one backend path; counters hang on it and
 * whatever was not given back is reported when the device stops.
 */
import type { Domid, Gref, Port } from '../base/brand.ts'

export interface XenHost {
  /** local: the domain is emulated here; regular: a real dom0; nested: the outer Xen of a nested one. */
  readonly kind: 'local' | 'regular' | 'nested'
  /** The domain this backend lives in (0 on a local host). */
  readonly domid: Domid
  readonly xenstore: XenstoreClient
  readonly evtchn: EvtchnClient
  readonly gnttab: GnttabClient
  /** Where to tell what the frontend asks for; absent where nobody could look. */
  readonly trace?: DeviceTrace
  /** A hypercall of the backend's own domain; -ENOSYS (-38n) where the kind has none. */
  hypercall(nr: number, ...args: readonly bigint[]): bigint
}

/** What `xt trace` shows of a device. Free while nobody looks: a text is only made then. */
export interface DeviceTrace {
  /** One word of shared memory: whether somebody looks at this moment. */
  readonly isOn: boolean
  /** A request that was taken from a ring: `read of 8 sectors at 2048`. */
  request(text: () => string): void
}

/** Cold path: every call is a round trip. Rejects with XenstoreError (its `code` is the wire's text, e.g. ENOENT). */
export interface XenstoreClient {
  read(path: string, tx?: XenstoreTx): Promise<string>
  /** Bytes as stored: values need not be text. */
  readBytes(path: string, tx?: XenstoreTx): Promise<Uint8Array>
  write(path: string, value: string | Uint8Array, tx?: XenstoreTx): Promise<void>
  mkdir(path: string, tx?: XenstoreTx): Promise<void>
  rm(path: string, tx?: XenstoreTx): Promise<void>
  directory(path: string, tx?: XenstoreTx): Promise<string[]>
  getPerms(path: string, tx?: XenstoreTx): Promise<string[]>
  setPerms(path: string, perms: readonly string[], tx?: XenstoreTx): Promise<void>
  /** Fires once at once, then on each change at or below the path. */
  watch(path: string, onEvent: (path: string) => void): Promise<XenstoreWatch>
  /** Runs the body in a transaction, again from the start as long as it ends in EAGAIN. */
  transaction<T>(body: (tx: XenstoreTx) => Promise<T>): Promise<T>
}
/** Opaque transaction id. */
export interface XenstoreTx {
  readonly id: number
}
export interface XenstoreWatch extends AsyncDisposable {
  readonly path: string
  readonly token: string
}

/** Hot path: synchronous. */
export interface EvtchnClient {
  /** Binds to a port that the other end allocated for us; `onEvent` runs on the thread that bound. */
  bindInterdomain(otherend: Domid, remotePort: Port, onEvent: () => void): Channel
}
export interface Channel extends Disposable {
  readonly port: Port
  notify(): void
  /**
   * Blocks the thread until the processor that gets the events has nothing to do, at most so long. Absent where that cannot
   * be known, and on the main thread.
   */
  awaitIdle?(ms: number): void
}

export interface GnttabClient {
  /** Maps grants as one view. Throws GrantError with the GNTST_* of the first that failed; nothing stays mapped then. */
  map(otherend: Domid, refs: readonly Gref[], access: 'ro' | 'rw'): Mapping
  /** One GNTST_* per operation. */
  copy(ops: readonly GrantCopy[]): readonly number[]
}
export interface Mapping extends Disposable {
  /**
   * One view per granted page, 4096 bytes each; a write through a read-only mapping is a bug of the backend. The
   * otherend's processors hear of writes when the mapping is given back: do that before saying that data is there.
   */
  readonly pages: readonly Uint8Array<SharedArrayBuffer>[]
}
/** Copies between a granted page of the otherend and the backend's own bytes. */
export interface GrantCopy {
  readonly otherend: Domid
  readonly ref: Gref
  readonly offset: number
  readonly length: number
  readonly direction: 'from-guest' | 'to-guest'
  readonly local: Uint8Array
  readonly localOffset: number
}

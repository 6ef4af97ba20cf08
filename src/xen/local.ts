/**
 * The in-process xenhost: backends are in "dom0" of a domain that is emulated here.
 *
 * One LocalXen per thread of backends; each has its doorbell. Handles are scoped to a device and count what they
 * hold. Grant mappings are views on guest memory itself, as vhost would have them.
 */
import { type Domid, type Gref, type Port, port } from '../base/brand.ts'
import { type MachineMemory, PAGE_SIZE } from '../base/machine-memory.ts'
import { announceWrite, CONTROL_WORD, controlWord, VCPU_STATE } from '../base/vcpu-control.ts'
import { ENOSYS } from './abi/errno.ts'
import { GNTST } from './abi/grant_table.ts'
import { HYPERVISOR } from './abi/xen.ts'
import { Domain } from './domain.ts'
import { EvtchnError, errors, GrantError } from './errors.ts'
import { Doorbell } from './evtchn/doorbell.ts'
import { DOM0 } from './evtchn/ports.ts'
import { XEN_MAJOR, XEN_MINOR } from './hypercall/xen_version.ts'
import { backendRing, TraceWriter } from './trace.ts'
import type { Channel, GrantCopy, Mapping, XenHost, XenstoreClient, XenstoreTx } from './xenhost.ts'

export interface LocalXenOptions {
  readonly memory: MachineMemory
  /** Runs a task after other events of this thread had their turn (setImmediate). */
  readonly defer: (task: () => void) => void
  /** Which doorbell: 0 on the main thread, one of its own on any other thread of backends. */
  readonly doorbell?: number
  /** Milliseconds, one clock for all threads of the process; without it nothing is traced here. */
  readonly now?: () => number
}

/** What a handle holds at the moment. */
export interface Held {
  readonly grants: number
  readonly ports: number
  readonly watches: number
}

export interface LocalXenHost extends XenHost {
  readonly backendPath: string
  held(): Held
}
/** A handle on a thread that has no connection to the store. */
export type LocalThreadHost = Omit<LocalXenHost, 'xenstore'>

export class LocalXen implements Disposable {
  readonly domain: Domain
  /** This thread's pen for `xt trace`. */
  readonly trace: TraceWriter | undefined
  readonly #doorbell: Doorbell
  readonly #hosts: LocalThreadHost[] = []

  constructor({ memory, defer, doorbell = 0, now }: LocalXenOptions) {
    this.domain = new Domain(memory)
    const { state } = this.domain
    this.trace = now && new TraceWriter(state, backendRing(doorbell), now)
    this.#doorbell = new Doorbell(this.domain.state, this.domain.evtchn.dom0, doorbell, defer)
  }

  /** A handle for one device of this domain. `xenstore` is dom0's own connection; the handle narrows it. */
  xenhost(backendPath: string, xenstore: XenstoreClient): LocalXenHost {
    const counters = { grants: 0, ports: 0, watches: 0 }
    return {
      ...this.#host(backendPath, counters),
      xenstore: scopedStore(xenstore, backendPath, counters),
    }
  }

  /** The same for a thread without a connection to the store. */
  threadHost(backendPath: string): LocalThreadHost {
    return this.#host(backendPath, { grants: 0, ports: 0, watches: 0 })
  }

  #host(backendPath: string, counters: { grants: number; ports: number; watches: number }): LocalThreadHost {
    const scope = { backendPath, otherend: this.domain.domid }
    const device = deviceOf(backendPath)
    const trace = this.trace?.forDevice(device)
    const host: LocalThreadHost = {
      kind: 'local',
      ...(trace && { trace }),
      domid: DOM0,
      backendPath,
      held: () => ({ ...counters }),
      evtchn: {
        bindInterdomain: (otherend, remotePort, onEvent) => {
          mustBeOtherend(scope, otherend, 'bind to a port')
          return this.#bind(remotePort, onEvent, counters, device)
        },
      },
      gnttab: {
        map: (otherend, refs, access) => {
          mustBeOtherend(scope, otherend, 'map a grant')
          return this.#map(refs, access, counters)
        },
        copy: (ops) => {
          for (const op of ops) mustBeOtherend(scope, op.otherend, 'copy a grant')
          return ops.map((op) => this.#copy(op))
        },
      },
      hypercall: dom0Hypercall,
    }
    this.#hosts.push(host)
    return host
  }

  /** One line for each handle that holds something, e.g. to be reported when the machine stops. */
  leftovers(): string[] {
    return this.#hosts.flatMap((host) => {
      const what = Object.entries(host.held())
        .filter(([, count]) => count > 0)
        .map(([kind, count]) => `${count} ${kind}`)
      return what.length === 0
        ? []
        : [errors.XT_XENHOST_NOT_GIVEN_BACK(host.backendPath, what.join(', ')).message]
    })
  }

  /** Guest events on a port for parts that are no backend (the store's ring). */
  bind(remotePort: Port, onEvent: () => void): Channel {
    return this.#bind(remotePort, onEvent, { ports: 0 }, 'xenstore')
  }

  [Symbol.dispose](): void {
    this.#doorbell[Symbol.dispose]()
  }

  #bind(remotePort: Port, onEvent: () => void, counters: { ports: number }, device: string): Channel {
    const { evtchn } = this.domain
    const { trace } = this
    const own = evtchn.bindFromDom0(remotePort, this.#doorbell.index)
    if (own < 0) throw new EvtchnError(remotePort, own)
    counters.ports++
    this.#doorbell.attach(own, () => {
      if (trace?.isOn) trace.event('from guest', remotePort, device)
      onEvent()
    })
    let open = true
    return {
      port: port(own),
      notify: () => {
        if (!open) return
        if (trace?.isOn) trace.event('to guest', remotePort, device)
        evtchn.notifyFromDom0(own)
      },
      // The main thread may not block.
      ...(this.#doorbell.index === 0 ? {} : { awaitIdle: (ms: number) => this.#awaitIdle(remotePort, ms) }),
      [Symbol.dispose]: () => {
        if (!open) return
        open = false
        counters.ports--
        this.#doorbell.detach(own)
        evtchn.closeFromDom0(own)
      },
    }
  }

  #awaitIdle(remotePort: Port, ms: number): void {
    const { memory, state } = this.domain
    const word = controlWord(memory, state.getPort(remotePort, 'vcpu'), CONTROL_WORD.state)
    Atomics.wait(memory.i32, word, VCPU_STATE.running, ms)
  }

  #map(refs: readonly Gref[], access: 'ro' | 'rw', counters: { grants: number }): Mapping {
    const pinned: Gref[] = []
    const hostPages: number[] = []
    for (const ref of refs) {
      const pin = this.domain.grants.pin(ref, DOM0, access)
      if ('status' in pin) {
        for (const done of pinned) this.domain.grants.unpin(done, access)
        throw new GrantError(ref, pin.status)
      }
      pinned.push(ref)
      hostPages.push(pin.page)
    }
    counters.grants += pinned.length
    let held = true
    return {
      pages: hostPages.map((page) => this.domain.grants.bytes(page)),
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        // ORDER: before the backend's answer, after which the guest may run what was written.
        if (access === 'rw') for (const page of hostPages) this.#announce(page, 0, PAGE_SIZE)
        counters.grants -= pinned.length
        for (const ref of pinned) this.domain.grants.unpin(ref, access)
      },
    }
  }

  #copy(op: GrantCopy): number {
    // GUEST: offsets and lengths come from requests.
    if (op.offset < 0 || op.length < 0 || op.offset + op.length > PAGE_SIZE) return GNTST.bad_copy_arg
    const access = op.direction === 'to-guest' ? 'rw' : 'ro'
    const pin = this.domain.grants.pin(op.ref, DOM0, access)
    if ('status' in pin) return pin.status
    const page = this.domain.grants.bytes(pin.page).subarray(op.offset, op.offset + op.length)
    const local = op.local.subarray(op.localOffset, op.localOffset + op.length)
    if (op.direction === 'to-guest') {
      page.set(local)
      this.#announce(pin.page, op.offset, page.length)
    } else local.set(page)
    this.domain.grants.unpin(op.ref, access)
    return GNTST.okay
  }

  /** Tells the vCPUs that bytes of a host page, of which they may hold decoded code, were written from here. */
  #announce(page: number, offset: number, length: number): void {
    announceWrite(this.domain.memory, page * PAGE_SIZE + offset, length)
  }
}

/** `vbd/51712` of /local/domain/0/backend/vbd/6/51712. */
function deviceOf(backendPath: string): string {
  const [type = '', , id = ''] = backendPath.split('/').slice(-3)
  return `${type}/${id}`
}

function mustBeOtherend(scope: { backendPath: string; otherend: Domid }, asked: Domid, what: string): void {
  if (asked !== scope.otherend) throw errors.XT_XENHOST_SCOPE(scope.backendPath, `${what} of domain ${asked}`)
}

/** dom0's own hypercalls: the version; everything else works on memory of a domain that is not emulated. */
function dom0Hypercall(nr: number, ...args: readonly bigint[]): bigint {
  const isVersion = nr === HYPERVISOR.xen_version && args[0] === 0n
  return isVersion ? BigInt((XEN_MAJOR << 16) | XEN_MINOR) : BigInt(-ENOSYS)
}

/** A store client that writes only below the backend's path and counts its watches. */
function scopedStore(
  store: XenstoreClient,
  backendPath: string,
  counters: { watches: number },
): XenstoreClient {
  const inside = (path: string) => {
    if (path !== backendPath && !path.startsWith(`${backendPath}/`))
      throw errors.XT_XENHOST_SCOPE(backendPath, `write ${path}`)
  }
  const guard =
    <A extends readonly unknown[]>(call: (path: string, ...rest: A) => Promise<void>) =>
    async (path: string, ...rest: A) => {
      inside(path)
      await call(path, ...rest)
    }
  return {
    read: (path, tx) => store.read(path, tx),
    readBytes: (path, tx) => store.readBytes(path, tx),
    directory: (path, tx) => store.directory(path, tx),
    getPerms: (path, tx) => store.getPerms(path, tx),
    write: guard((path, value: string | Uint8Array, tx?: XenstoreTx) => store.write(path, value, tx)),
    mkdir: guard((path, tx?: XenstoreTx) => store.mkdir(path, tx)),
    rm: guard((path, tx?: XenstoreTx) => store.rm(path, tx)),
    setPerms: guard((path, perms: readonly string[], tx?: XenstoreTx) => store.setPerms(path, perms, tx)),
    transaction: (body) => store.transaction(body),
    watch: async (path, onEvent) => {
      const watch = await store.watch(path, onEvent)
      counters.watches++
      let held = true
      return {
        path: watch.path,
        token: watch.token,
        [Symbol.asyncDispose]: async () => {
          if (held) counters.watches--
          held = false
          await watch[Symbol.asyncDispose]()
        },
      }
    },
  }
}

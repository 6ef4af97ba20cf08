/**
 * Event-channel ports of the guest: allocate, bind, close, send, poll (event_channel.h).
 *
 * Answers are Xen's: 0 or a port, or a negative errno. The port table is shared words; changes of bindings happen
 * under one lock, sending takes none: a send that races with a close may still set the old peer pending, which a
 * port's owner has to bear anyway. PIRQs do not exist for PVH.
 */
import { type Domid, domid } from '../../base/brand.ts'
import { requestVcpu, VCPU_REQUEST } from '../../base/vcpu-control.ts'
import { EEXIST, EINVAL, ENOENT, ENOSPC, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../abi/errno.ts'
import { EVTCHN_FIFO_MAX_QUEUES, EVTCHN_FIFO_PRIORITY_DEFAULT, EVTCHNSTAT } from '../abi/event_channel.ts'
import { DOMID, NR_VIRQS, VIRQ } from '../abi/xen.ts'
import { withLock } from '../lock.ts'
import type { SharedState } from '../shared-state.ts'
import type { Delivery } from './delivery.ts'
import { Dom0Ports } from './dom0-ports.ts'
import { Fifo } from './fifo.ts'
import { TwoLevel } from './two-level.ts'
import type { Upcall } from './upcall.ts'

/** The domain backends live in. */
export const DOM0: Domid = domid(0)
const PER_VCPU_VIRQS: readonly number[] = [VIRQ.TIMER, VIRQ.DEBUG, VIRQ.XENOPROF, VIRQ.XENPMU]
const POLLS_SEVERAL = 0xffffffff

export interface PortStatus {
  readonly status: number
  readonly vcpu: number
  readonly remoteDomid: number
  readonly remotePort: number
  /** VIRQ_* where the status is virq. */
  readonly virq: number
}

export class EventChannels {
  readonly #state: SharedState
  readonly #upcall: Upcall
  readonly #twoLevel: TwoLevel
  readonly #fifo: Fifo
  readonly dom0: Dom0Ports

  constructor(state: SharedState, upcall: Upcall) {
    this.#state = state
    this.#upcall = upcall
    this.#twoLevel = new TwoLevel(state, upcall)
    this.#fifo = new Fifo(state, upcall)
    this.dom0 = new Dom0Ports(state)
  }

  get delivery(): Delivery {
    return this.#state.get('fifo') !== 0 ? this.#fifo : this.#twoLevel
  }

  #locked<T>(body: () => T): T {
    return withLock(this.#state.i32, this.#state.domain('evtchnLock'), body)
  }

  /** GUEST: any number may come in; a port outside the table counts as closed. */
  isValid(port: number): boolean {
    return port > 0 && port <= this.#state.get('maxPort') && port < this.delivery.capacity()
  }

  status(port: number): PortStatus {
    const state = this.#state
    const status = state.getPort(port, 'status')
    const remote = state.getPort(port, 'remoteDomid')
    return {
      status,
      vcpu: state.getPort(port, 'vcpu'),
      remoteDomid: remote,
      remotePort: state.getPort(port, 'remotePort'),
      virq: remote,
    }
  }

  #isOpen(port: number): boolean {
    return this.isValid(port) && this.#state.getPort(port, 'status') !== EVTCHNSTAT.closed
  }

  /** Takes the lowest free port and gives it a kind. -ENOSPC when none is left. */
  #open(status: number, remoteDomid: number, remotePort: number, vcpu: number): number {
    const state = this.#state
    const end = Math.min(state.get('maxPort') + 1, this.delivery.capacity())
    for (let port = 1; port < end; port++) {
      if (state.getPort(port, 'status') !== EVTCHNSTAT.closed || this.delivery.isBusy(port)) continue
      state.setPort(port, 'remoteDomid', remoteDomid)
      state.setPort(port, 'remotePort', remotePort)
      state.setPort(port, 'vcpu', vcpu)
      state.setPort(port, 'priority', EVTCHN_FIFO_PRIORITY_DEFAULT)
      // ORDER: the kind last: senders look at it first.
      state.setPort(port, 'status', status)
      return port
    }
    return -ENOSPC
  }

  /** EVTCHNOP_alloc_unbound for the guest itself; the toolstack uses it for the console's and the store's port. */
  allocUnbound(remote: Domid): number {
    return this.#locked(() => this.#open(EVTCHNSTAT.unbound, remote, 0, 0))
  }

  /** EVTCHNOP_bind_interdomain by the guest: only channels with itself, as dom0's backends offer none. */
  bindInterdomain(remote: Domid, remotePort: number): number {
    const state = this.#state
    const own = state.get('domid')
    if (remote !== own) return remote === DOM0 ? -EINVAL : -ESRCH
    return this.#locked(() => {
      if (!this.#isOpen(remotePort)) return -EINVAL
      if (
        state.getPort(remotePort, 'status') !== EVTCHNSTAT.unbound ||
        state.getPort(remotePort, 'remoteDomid') !== own
      )
        return -EINVAL
      const port = this.#open(EVTCHNSTAT.interdomain, own, remotePort, 0)
      if (port < 0) return port
      state.setPort(remotePort, 'remotePort', port)
      state.setPort(remotePort, 'status', EVTCHNSTAT.interdomain)
      this.#signal(port)
      return port
    })
  }

  /** A backend binds to a port that the guest allocated for it. Answers the dom0 port, or a negative errno. */
  bindFromDom0(remotePort: number, doorbell: number): number {
    const state = this.#state
    return this.#locked(() => {
      if (!this.#isOpen(remotePort)) return -EINVAL
      if (
        state.getPort(remotePort, 'status') !== EVTCHNSTAT.unbound ||
        state.getPort(remotePort, 'remoteDomid') !== DOM0
      )
        return -EINVAL
      const port = this.dom0.allocate(doorbell)
      if (port === 0) return -ENOSPC
      state.setDom0Port(port, 'remoteDomid', state.get('domid'))
      state.setDom0Port(port, 'remotePort', remotePort)
      state.setDom0Port(port, 'status', EVTCHNSTAT.interdomain)
      state.setPort(remotePort, 'remotePort', port)
      state.setPort(remotePort, 'status', EVTCHNSTAT.interdomain)
      // Events sent before the binding were lost, so the new port starts pending.
      this.dom0.setPending(port)
      return port
    })
  }

  /** A backend closes its port; the guest's end is unbound again. */
  closeFromDom0(port: number): void {
    const state = this.#state
    this.#locked(() => {
      if (state.getDom0Port(port, 'status') === EVTCHNSTAT.interdomain) {
        const remotePort = state.getDom0Port(port, 'remotePort')
        state.setPort(remotePort, 'status', EVTCHNSTAT.unbound)
        state.setPort(remotePort, 'remotePort', 0)
      }
      state.setDom0Port(port, 'status', EVTCHNSTAT.closed)
      this.dom0.clearPending(port)
    })
  }

  /** A backend's event for the guest. */
  notifyFromDom0(port: number): void {
    const state = this.#state
    if (state.getDom0Port(port, 'status') === EVTCHNSTAT.interdomain)
      this.#signal(state.getDom0Port(port, 'remotePort'))
  }

  /** EVTCHNOP_bind_virq. */
  bindVirq(virq: number, vcpu: number): number {
    const state = this.#state
    if (virq >= NR_VIRQS) return -EINVAL
    if (!PER_VCPU_VIRQS.includes(virq) && vcpu !== 0) return -EINVAL
    if (vcpu >= state.get('vcpus')) return -ENOENT
    return this.#locked(() => {
      if (state.getVcpu(vcpu, 'virqPort', virq) !== 0) return -EEXIST
      const port = this.#open(EVTCHNSTAT.virq, virq, 0, vcpu)
      if (port > 0) state.setVcpu(vcpu, 'virqPort', port, virq)
      return port
    })
  }

  /** EVTCHNOP_bind_ipi. */
  bindIpi(vcpu: number): number {
    if (vcpu >= this.#state.get('vcpus')) return -ENOENT
    return this.#locked(() => this.#open(EVTCHNSTAT.ipi, 0, 0, vcpu))
  }

  /** EVTCHNOP_close. */
  close(port: number): number {
    return this.#locked(() => this.#close(port))
  }

  #close(port: number): number {
    const state = this.#state
    if (!this.#isOpen(port)) return -EINVAL
    const { status, vcpu, remoteDomid, remotePort, virq } = this.status(port)
    if (status === EVTCHNSTAT.virq)
      state.setVcpu(PER_VCPU_VIRQS.includes(virq) ? vcpu : 0, 'virqPort', 0, virq)
    if (status === EVTCHNSTAT.interdomain) {
      if (remoteDomid === state.get('domid')) {
        state.setPort(remotePort, 'status', EVTCHNSTAT.unbound)
        state.setPort(remotePort, 'remotePort', 0)
      } else {
        state.setDom0Port(remotePort, 'status', EVTCHNSTAT.unbound)
      }
    }
    state.setPort(port, 'status', EVTCHNSTAT.closed)
    this.delivery.clearPending(port)
    return 0
  }

  /** EVTCHNOP_reset: closes every port and goes back to 2-level. */
  reset(): void {
    this.#locked(() => {
      for (let port = 1; port <= this.#state.get('maxPort'); port++) this.#close(port)
      this.#fifo.destroy()
    })
  }

  /** EVTCHNOP_init_control: the first call switches to FIFO and takes over what is pending. */
  initControl(vcpu: number, controlGfn: number, offset: number): number {
    const state = this.#state
    if (vcpu >= state.get('vcpus')) return -ENOENT
    return this.#locked(() => {
      const mapped = this.#fifo.mapControlBlock(vcpu, controlGfn, offset)
      if (mapped < 0 || state.get('fifo') !== 0) return mapped
      const end = Math.min(state.get('maxPort') + 1, this.#twoLevel.capacity())
      for (let port = 1; port < end; port++) {
        state.setPort(port, 'early', this.#twoLevel.isPending(port) ? 1 : 0)
        state.setPort(port, 'priority', EVTCHN_FIFO_PRIORITY_DEFAULT)
      }
      state.set('fifo', 1)
      return 0
    })
  }

  /** EVTCHNOP_expand_array: one more page of event words. */
  expandArray(gfn: number): number {
    if (this.#state.get('fifo') === 0) return -EOPNOTSUPP
    return this.#locked(() => {
      const first = this.#fifo.addPage(gfn)
      if (first < 0) return first
      // Events that came while the page was missing.
      for (let port = Math.max(first, 1); port < first + 1024; port++) {
        if (this.#state.getPort(port, 'early') === 0) continue
        this.#state.setPort(port, 'early', 0)
        this.#signal(port)
      }
      return 0
    })
  }

  /** EVTCHNOP_set_priority: counts from the next time the port is queued. */
  setPriority(port: number, priority: number): number {
    if (!this.isValid(port)) return -EINVAL
    if (this.#state.get('fifo') === 0) return -ENOSYS
    if (priority >= EVTCHN_FIFO_MAX_QUEUES) return -EINVAL
    this.#state.setPort(port, 'priority', priority)
    return 0
  }

  /** EVTCHNOP_send. */
  send(port: number): number {
    if (!this.isValid(port)) return -EINVAL
    const state = this.#state
    switch (state.getPort(port, 'status')) {
      case EVTCHNSTAT.interdomain: {
        const remotePort = state.getPort(port, 'remotePort')
        if (state.getPort(port, 'remoteDomid') === state.get('domid')) this.#signal(remotePort)
        else this.dom0.setPending(remotePort)
        return 0
      }
      case EVTCHNSTAT.ipi:
        this.#signal(port)
        return 0
      case EVTCHNSTAT.unbound:
        return 0
      default:
        return -EINVAL
    }
  }

  /** A VIRQ for a vCPU (for the domain: vCPU 0 has it bound, whichever it was moved to). */
  sendVirq(virq: number, vcpu: number): void {
    const port = this.#state.getVcpu(vcpu, 'virqPort', virq)
    if (port !== 0) this.#signal(port)
  }

  /** EVTCHNOP_unmask. */
  unmask(port: number): number {
    if (!this.isValid(port)) return -EINVAL
    if (this.#isOpen(port)) this.delivery.unmask(port, this.#state.getPort(port, 'vcpu'))
    return 0
  }

  /** EVTCHNOP_bind_vcpu. */
  bindVcpu(port: number, vcpu: number): number {
    const state = this.#state
    if (vcpu >= state.get('vcpus')) return -ENOENT
    return this.#locked(() => {
      if (!this.#isOpen(port)) return -EINVAL
      const { status, virq } = this.status(port)
      const movable =
        status === EVTCHNSTAT.unbound ||
        status === EVTCHNSTAT.interdomain ||
        (status === EVTCHNSTAT.virq && !PER_VCPU_VIRQS.includes(virq))
      if (!movable) return -EINVAL
      state.setPort(port, 'vcpu', vcpu)
      return 0
    })
  }

  /** An event on a port of the guest, with the pollers of SCHEDOP_poll. */
  #signal(port: number): void {
    if (this.delivery.setPending(port, this.#state.getPort(port, 'vcpu'))) this.#wakePollers(port)
  }

  #wakePollers(port: number): void {
    const state = this.#state
    const vcpus = state.get('vcpus')
    for (let group = 0; group * 32 < vcpus; group++) {
      const polling = state.get('pollMask', group)
      if (polling === 0) continue
      for (let bit = 0; bit < 32; bit++) {
        if ((polling & (1 << bit)) === 0) continue
        const vcpu = group * 32 + bit
        const wanted = state.getVcpu(vcpu, 'pollPort')
        if (wanted === port || wanted === POLLS_SEVERAL) requestVcpu(state.memory, vcpu, VCPU_REQUEST.kick)
      }
    }
  }

  /** SCHEDOP_poll begins: from now on an event on one of the ports kicks the vCPU, masked or not. */
  beginPoll(vcpu: number, ports: readonly number[]): void {
    const state = this.#state
    state.setVcpu(vcpu, 'pollPort', ports.length === 1 ? ports[0]! : POLLS_SEVERAL)
    // ORDER: set before the caller looks at the pending bits; senders set the pending bit before they look here.
    Atomics.or(state.i32, state.domain('pollMask', vcpu >>> 5), 1 << (vcpu & 31))
  }

  endPoll(vcpu: number): void {
    const state = this.#state
    if (state.getVcpu(vcpu, 'pollPort') === 0) return
    Atomics.and(state.i32, state.domain('pollMask', vcpu >>> 5), ~(1 << (vcpu & 31)))
    state.setVcpu(vcpu, 'pollPort', 0)
  }

  /** Who a domid in an operation on ports means: 0, or a negative errno where the guest may not. */
  own(dom: number): number {
    if (dom === DOMID.SELF || dom === this.#state.get('domid')) return 0
    return dom === DOM0 ? -EPERM : -ESRCH
  }

  get upcall(): Upcall {
    return this.#upcall
  }
}

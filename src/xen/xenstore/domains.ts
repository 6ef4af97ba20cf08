/** Domains that the store knows: their records, their connections, and what a restart has to hand on to these. */
import type { Connection } from './connection.ts'
import type { DomainRecord } from './entries.ts'
import { defaultLimits, dom0Limits, type Limits } from './quota.ts'
import { SERVER_FEATURES } from './requests.ts'

export interface Domain {
  record: DomainRecord
  connection: Connection | undefined
  /** It has shut down, and @releaseDomain fired for that. */
  shutdown: boolean
}

export class Domains {
  #limits = defaultLimits()
  #dom0Limits = dom0Limits(this.#limits)
  readonly #domains = new Map<number, Domain>()
  /** Connections of guests as the journal left them, until their other end comes back. */
  readonly #carried = new Map<number, Connection>()

  /** Limits that new domains get. */
  get limits(): Limits {
    return this.#limits
  }

  set limits(limits: Limits) {
    this.#limits = limits
    this.#dom0Limits = dom0Limits(limits)
  }

  get(domid: number): Domain | undefined {
    return this.#domains.get(domid)
  }

  [Symbol.iterator](): IterableIterator<Domain> {
    return this.#domains.values()
  }

  /** Changes what is known of a domain, making it known if it was not. */
  set(domid: number, fields: Partial<DomainRecord>): DomainRecord {
    const old = this.#domains.get(domid)
    const basis = old?.record ?? {
      domid,
      introduced: false,
      gfn: 0,
      port: 0,
      features: SERVER_FEATURES,
      limits: this.#limits,
    }
    const record = { ...basis, ...fields }
    if (old === undefined) this.#domains.set(domid, { record, connection: undefined, shutdown: false })
    else {
      old.record = record
      old.connection?.setTarget(record.target)
    }
    return record
  }

  /** Forgets the domain, and answers what it was. */
  remove(domid: number): Domain | undefined {
    const domain = this.#domains.get(domid)
    this.#domains.delete(domid)
    this.#carried.delete(domid)
    return domain
  }

  /** True for dom0 and for domains between INTRODUCE and RELEASE. */
  isIntroduced(domid: number): boolean {
    return domid === 0 || this.#domains.get(domid)?.record.introduced === true
  }

  limitsOf(domid: number): Readonly<Limits> {
    return domid === 0 ? this.#dom0Limits : (this.#domains.get(domid)?.record.limits ?? this.#limits)
  }

  /** The connection that a restart handed on, without taking it. */
  carried(domid: number): Connection | undefined {
    return this.#carried.get(domid)
  }

  carry(domid: number, connection: Connection): void {
    this.#carried.set(domid, connection)
  }

  /** Takes what was handed on; it is gone then. */
  takeCarried(domid: number): Connection | undefined {
    const connection = this.#carried.get(domid)
    this.#carried.delete(domid)
    return connection
  }
}

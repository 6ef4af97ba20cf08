/** The groups that a guest has joined, if it filters (feature-multicast-control). */
import { isMulticast } from './packet.ts'

/** As many as Linux' backend keeps (XEN_NETBK_MCAST_MAX). */
const MOST_GROUPS = 64

export class MulticastGroups {
  /** Whether the guest asked that only its groups are brought (request-multicast-control). */
  isOn = false
  readonly #groups = new Set<string>()

  /** False: there is no room for another group. */
  change(address: Uint8Array, join: boolean): boolean {
    const key = keyOf(address)
    if (!join) this.#groups.delete(key)
    else if (this.#groups.has(key) || this.#groups.size < MOST_GROUPS) this.#groups.add(key)
    else return false
    return true
  }

  wants(frame: Uint8Array): boolean {
    return !this.isOn || !isMulticast(frame) || this.#groups.has(keyOf(frame))
  }

  clear(): void {
    this.isOn = false
    this.#groups.clear()
  }
}

const keyOf = (bytes: Uint8Array): string => bytes.subarray(0, 6).join(':')

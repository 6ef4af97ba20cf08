/** How a port's events reach a vCPU; 2-level and FIFO each have their own words in guest memory. */
export interface Delivery {
  /** Ports this ABI can express. */
  capacity(): number
  /** An event on a port bound to `vcpu`. True if the port was not pending before. */
  setPending(port: number, vcpu: number): boolean
  /** Forgets a pending event (the port is closed). */
  clearPending(port: number): void
  isPending(port: number): boolean
  isMasked(port: number): boolean
  /** True while a closed port may not be used again: the guest has yet to take it out of a queue. */
  isBusy(port: number): boolean
  /** EVTCHNOP_unmask. */
  unmask(port: number, vcpu: number): void
}

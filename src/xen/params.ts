/** HVM params: what the guest may read and write, and with which answer (hvm/params.h; xen-abi section 6). */
import { EEXIST, EINVAL, EPERM } from './abi/errno.ts'
import { HVM_NR_PARAMS, HVM_PARAM } from './abi/hvm/params.ts'
import type { SharedState } from './shared-state.ts'

const P = HVM_PARAM
const GUEST_READS: ReadonlySet<number> = new Set([
  P.CALLBACK_IRQ,
  P.STORE_PFN,
  P.STORE_EVTCHN,
  P.VM86_TSS,
  P.CONSOLE_PFN,
  P.CONSOLE_EVTCHN,
  P.ACPI_IOPORTS_LOCATION,
  P.VM_GENERATION_ID_ADDR,
  P.ALTP2M,
  P.X87_FIP_WIDTH,
  P.VM86_TSS_SIZED,
])
const GUEST_WRITES: ReadonlySet<number> = new Set([
  P.CALLBACK_IRQ,
  P.STORE_EVTCHN,
  P.VM86_TSS,
  P.CONSOLE_EVTCHN,
  P.ACPI_IOPORTS_LOCATION,
  P.VM_GENERATION_ID_ADDR,
  P.X87_FIP_WIDTH,
  P.VM86_TSS_SIZED,
])
const RETIRED: ReadonlySet<number> = new Set([4, 13, 20, 21, 22, 23, 24, 25, 26, 30])

export class Params {
  readonly #state: SharedState

  constructor(state: SharedState) {
    this.#state = state
  }

  /** The toolstack's read. */
  get(index: number): bigint {
    return this.#state.getBig('param', index)
  }

  /** The toolstack's write. */
  set(index: number, value: bigint): void {
    this.#state.setBig('param', value, index)
  }

  /** 0 if the guest may read it, else a negative errno. */
  readable(index: number): number {
    if (index >= HVM_NR_PARAMS || RETIRED.has(index)) return -EINVAL
    return GUEST_READS.has(index) ? 0 : -EPERM
  }

  /** 0 if the guest may write it, else a negative errno. */
  writable(index: number): number {
    if (index >= HVM_NR_PARAMS || RETIRED.has(index)) return -EINVAL
    if (index === P.ALTP2M) return -EEXIST
    return GUEST_WRITES.has(index) ? 0 : -EPERM
  }
}

/**
 * One hypercall as its handler sees it: who called, with which ABI, and access to the caller's memory.
 *
 * Handlers answer what goes to RAX: 0 or more, or a negative errno; they never throw for what a guest did. Arguments
 * are copied once and then judged.
 */
import type { Vcpu } from '../../base/vcpu.ts'
import { EFAULT, ENOSYS, errnoName } from '../abi/errno.ts'
import type { Abi, Fields, Struct, Values } from '../abi/struct.ts'
import type { Domain } from '../domain.ts'
import type { GuestLines } from './guest-lines.ts'

export type Result = number | bigint

/** Sub-operations of one call that are told apart when missing ones are named. */
const SUB_OPS = 64

export class Call {
  readonly domain: Domain
  readonly vcpu: Vcpu
  readonly lines: GuestLines
  /** Layout of this caller's arguments: its CPU mode at the trap. */
  abi: Abi = 64
  /** A multicall is running: it may not hold another. */
  inMulticall = false

  constructor(domain: Domain, vcpu: Vcpu, lines: GuestLines) {
    this.domain = domain
    this.vcpu = vcpu
    this.lines = lines
  }

  /** A private copy of a structure of the guest's, undefined where reading faults. */
  fetch<F extends Fields>(at: bigint, type: Struct<F>): Values<F> | undefined {
    const layout = type.for(this.abi)
    const bytes = this.vcpu.readVirtual(at, layout.size)
    return bytes && layout.copy(new DataView(bytes.buffer, bytes.byteOffset, bytes.length))
  }

  /** Writes the given fields of a structure of the guest's, and no byte else. False where writing faults. */
  put<F extends Fields>(at: bigint, type: Struct<F>, values: Partial<Values<F>>): boolean {
    const layout = type.for(this.abi)
    for (const [name, value] of Object.entries(values)) {
      const field = type.fields[name]!
      const bytes = new Uint8Array(field.size(this.abi))
      field.write(new DataView(bytes.buffer), 0, value, this.abi)
      if (!this.vcpu.writeVirtual(at + BigInt(layout.offsets[name]!), bytes)) return false
    }
    return true
  }

  /** Answers with out fields: `result`, or -EFAULT if they cannot be written. */
  answer<F extends Fields>(at: bigint, type: Struct<F>, values: Partial<Values<F>>, result = 0): number {
    return this.put(at, type, values) ? result : -EFAULT
  }

  /** The n-th word of a list (xen_ulong_t, xen_pfn_t) of the guest's. */
  word(list: bigint, index: number): bigint | undefined {
    const size = this.abi / 8
    const bytes = this.vcpu.readVirtual(list + BigInt(index * size), size)
    if (bytes === undefined) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset, size)
    return size === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true))
  }

  /** A call or sub-operation that is not there: -ENOSYS, named once per domain in the log. */
  unimplemented(name: string, nr: number, sub: number, args: readonly bigint[] = []): number {
    const { state } = this.domain
    const key = (nr & 63) * SUB_OPS + Math.min(sub, SUB_OPS - 1)
    const bit = 1 << (key & 31)
    if ((Atomics.or(state.i32, state.domain('unimplemented', key >>> 5), bit) & bit) === 0) {
      const shown = args.map((a) => `0x${a.toString(16)}`).join(', ')
      this.vcpu.log.warn(`hypercall not implemented: ${name}(${shown}), answered -ENOSYS`)
    }
    return -ENOSYS
  }
}

/** What a domain called that is not there, as (number, sub-operation). */
export function unimplementedCalls(domain: Domain): (readonly [nr: number, sub: number])[] {
  const { state } = domain
  const seen = []
  for (let key = 0; key < 64 * SUB_OPS; key++) {
    const word = state.get('unimplemented', key >>> 5)
    if ((word & (1 << (key & 31))) !== 0) seen.push([Math.floor(key / SUB_OPS), key % SUB_OPS] as const)
  }
  return seen
}

/** One sub-operation: what runs it, or the fixed refusal with its reason. */
export interface SubOp {
  readonly run: (call: Call, arg: bigint, extra: bigint) => Result
  /** For the document: a fixed answer, e.g. `-EPERM: only dom0`. */
  readonly note?: string
}

/** A sub-operation that no PVH guest may use: the answer Xen gives. */
export const refuse = (errno: number, why: string): SubOp => ({
  run: () => -errno,
  note: `-${errnoName(errno)}: ${why}`,
})

/** A hypercall that is a switch over sub-operations: by the names of its family of constants. */
export type SubOps = Readonly<Record<string, SubOp | ((call: Call, arg: bigint, extra: bigint) => Result)>>

/**
 * The audit of semantics: watches an instruction that the reference reading runs, and says which flags it wrote
 * and whether it kept the order rule of the vocabulary (every load, store and fault before the first write to a
 * register or flag). The repeated string forms keep it in each step only, which is not watched here.
 */
import { FLAG } from '../isa/row.ts'
import type { ReferenceMachine } from './reference.ts'
import type { Flag } from './vocabulary.ts'

export interface Audit {
  /** The machine to run the instruction on. */
  readonly machine: ReferenceMachine
  /** RFLAGS bits that were written, and those of them that changed (INC writes CF as it was). */
  readonly flagsWritten: number
  readonly flagsChanged: number
  /** Registers or flags were written; a fault after that is not precise. */
  readonly hasWritten: boolean
  /** Accesses to memory that came after the first such write. */
  readonly lateAccesses: number
}

export function audited(inner: ReferenceMachine): Audit {
  let flagsWritten = 0
  let flagsChanged = 0
  let hasWritten = false
  let lateAccesses = 0
  const access = (): void => {
    if (hasWritten) lateAccesses++
  }
  const flags = new Proxy(inner.flags, {
    set: (target, name, value: boolean) => {
      flagsWritten |= FLAG[name as Flag]
      if (target[name as Flag] !== value) flagsChanged |= FLAG[name as Flag]
      hasWritten = true
      target[name as Flag] = value
      return true
    },
  })
  const gpr = new Proxy(inner.gpr, {
    set: (target, index, value: bigint) => {
      hasWritten = true
      target[Number(index)] = value
      return true
    },
  })
  return {
    machine: {
      gpr,
      flags,
      direction: inner.direction,
      get rip() {
        return inner.rip
      },
      set rip(value: bigint) {
        inner.rip = value
      },
      load: (address, bytes, modify) => {
        access()
        return inner.load(address, bytes, modify)
      },
      store: (address, bytes, value) => {
        access()
        inner.store(address, bytes, value)
      },
    },
    get flagsWritten() {
      return flagsWritten
    },
    get flagsChanged() {
      return flagsChanged
    },
    get hasWritten() {
      return hasWritten
    },
    get lateAccesses() {
      return lateAccesses
    },
  }
}

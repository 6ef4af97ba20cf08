/**
 * How a guest speaks to one kind of device: all that the contract and the fuzzer know of a protocol. block.ts and
 * console.ts are two; a device of your own brings its own.
 */
import type { Port } from '../../base/brand.ts'
import type { ValueType } from '../../xen/xenstore/paths.ts'
import type { Random } from '../random.ts'
import type { ScriptedGuest } from '../scripted-guest.ts'

/** Requests that were sent and whose answers nobody has looked at. */
export interface Pending {
  /** Settles when all are answered, and rightly; throws what is wrong. */
  answered(): Promise<void>
}

/** One connection of a frontend: its rings, its ports, and what it says over them. */
export interface ScriptedFrontend {
  /** What it writes below its path in the store before it says that it is ready. */
  readonly nodes: Readonly<Record<string, string>>
  /** Ports that it sends events on. */
  readonly ports: readonly Port[]
  /** Shared words that a frontend can set to anything: ring indices, as [frame, byte offset in it]. */
  readonly words: readonly (readonly [gfn: number, offset: number])[]
  /** Pages that hold rings. */
  readonly ringFrames: readonly number[]
  /** Called once the backend is Connected: reads what it published, says hello where the protocol does. */
  connected?(backend: Readonly<Record<string, string>>): Promise<void>
  /** One right exchange; throws if an answer is missing or wrong. */
  exchange(): Promise<void>
  /** Sends requests without waiting. Absent where the protocol has no answers. */
  begin?(): Pending
  /** Puts one message into a ring that may be wrong in any way of this protocol; false: no room. Does not notify. */
  hostile(random: Random): boolean
}

export interface FrontendScript {
  readonly name: string
  /** Nodes of the backend that xt's list of paths does not know, with the type of each value. */
  readonly backendNodes?: Readonly<Record<string, ValueType>>
  /** Makes rings and ports for a new connection in the guest's memory. */
  open(guest: ScriptedGuest): ScriptedFrontend
}

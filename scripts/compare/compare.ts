/**
 * Whole guests compared between modes of the translator: each runs by itself to its end with a running hash of all its
 * events (machine.ts); where the hashes part, both run once more up to there and every event of that piece is kept.
 */
import { createHash } from 'node:crypto'
import { PAGE_SIZE } from '../../src/base/machine-memory.ts'
import type { CoreModules } from '../../src/plugins/cpu-software/cpu.ts'
import { xmmOffset } from '../../src/plugins/cpu-software/fp/state.ts'
import { compileInterpreter } from '../../src/plugins/cpu-software/interpreter.ts'
import { type CounterName, readCounters, STATE } from '../../src/plugins/cpu-software/state.ts'
import type { Traced } from '../../src/plugins/cpu-software/trace/emit-trace.ts'
import { traceHash, wantEvents } from '../../src/plugins/cpu-software/trace/trace.ts'
import type { Translation } from '../../src/plugins/cpu-software/translate/translator.ts'
import { ComparedMachine, MachineEnd, type MachineInput } from './machine.ts'

/**
 * Modes of the translator (translator.ts), and `eager`: as `normal`, but what runs some hundred times counts as hot. It has
 * large regions of nearly all code, where `forced`, which never waits to see how code goes on, has small ones.
 */
export const COMPARE_MODES = {
  off: { mode: 'off', port: undefined },
  normal: { mode: 'normal', port: undefined },
  eager: { mode: 'normal', port: undefined, heat: { hotAfter: 12, warmAfter: 2, samplePeriod: 11 } },
  forced: { mode: 'forced', port: undefined },
} as const satisfies Record<string, Translation>
export type CompareMode = keyof typeof COMPARE_MODES

/** Events between two checkpoints, at which the vector registers are hashed, too. */
export const CHECKPOINT = 2 ** 16

export interface ComparedGuest extends Omit<MachineInput, 'modules' | 'translation'> {
  readonly traced: Traced
  /** The run ends at this event if not before. */
  readonly mostEvents?: number
  /** For tests of the comparison: called at an event, with a machine that it may change. */
  readonly disturb?: {
    readonly at: number
    readonly mode: CompareMode
    change(machine: ComparedMachine): void
  }
}

export interface Run {
  readonly mode: CompareMode
  readonly why: string
  readonly seconds: number
  readonly events: number
  /** At each checkpoint, and at the end. */
  readonly hashes: readonly string[]
  /** Of each page of RAM at the end. */
  readonly pages: readonly string[]
  readonly console: string
  readonly counters: Readonly<Record<CounterName, number>>
}

/** One event with what the guest had in its registers. */
export interface SeenEvent {
  readonly number: number
  readonly rip: bigint
  readonly registers: readonly bigint[]
  readonly flags: number
  /** The vector registers, low half first. */
  readonly vectors: readonly bigint[]
}
/** The first event that differs, or is there in one run only; and the last that does not. */
export interface Difference {
  readonly before: SeenEvent | undefined
  readonly events: readonly [SeenEvent | undefined, SeenEvent | undefined]
}

const cores = new Map<Traced, Promise<CoreModules>>()
/** The traced interpreter, compiled once. */
function tracedCore(traced: Traced): Promise<CoreModules> {
  const modules = cores.get(traced) ?? compileInterpreter(traced)
  cores.set(traced, modules)
  return modules
}

/** Calls `see` for every event from `from` on that is a multiple of `every`. */
async function watched(
  guest: ComparedGuest,
  mode: CompareMode,
  { from, every }: { from: number; every: number },
  see: (machine: ComparedMachine, rip: bigint) => void,
): Promise<{ machine: ComparedMachine; why: string; seconds: number }> {
  const { mostEvents = Number.POSITIVE_INFINITY } = guest
  const machine = await ComparedMachine.make({
    ...guest,
    modules: await tracedCore(guest.traced),
    translation: COMPARE_MODES[mode],
  })
  const { state } = machine
  let disturb = guest.disturb?.mode === mode ? guest.disturb : undefined
  let next = from
  const wantNext = () => wantEvents(state, Math.min(next, mostEvents, disturb?.at ?? next))
  wantNext()
  machine.vcpu.cpu.onEvent = (rip) => {
    const number = machine.events
    if (number >= next) {
      next = number + every
      see(machine, BigInt.asUintN(64, rip))
    }
    // The event has been hashed: the next one shows it.
    if (disturb !== undefined && number >= disturb.at) {
      disturb.change(machine)
      disturb = undefined
    }
    if (number >= mostEvents) throw new MachineEnd(`event ${number} is as far as was wanted`)
    wantNext()
  }
  const start = performance.now()
  const why = machine.run()
  return { machine, why, seconds: (performance.now() - start) / 1000 }
}

export async function runGuest(guest: ComparedGuest, mode: CompareMode): Promise<Run> {
  const hashes: string[] = []
  const note = ({ state }: ComparedMachine) =>
    void hashes.push(
      createHash('sha1').update(traceHash(state).toString(16)).update(vectorBytes(state)).digest('hex'),
    )
  const checkpoints = { from: CHECKPOINT, every: CHECKPOINT }
  const { machine, why, seconds } = await watched(guest, mode, checkpoints, note)
  note(machine)
  const { u8, view, layout } = machine.memory
  const pages: string[] = []
  for (let at = layout.ram; at < layout.ram + layout.ramBytes; at += PAGE_SIZE)
    pages.push(
      createHash('sha1')
        .update(u8.subarray(at, at + PAGE_SIZE))
        .digest('base64'),
    )
  const counters = readCounters(view, machine.state.base)
  const { events, console } = machine
  return { mode, why, seconds, events, hashes, pages, console, counters }
}

/** The event up to which two runs are known to be alike, if they part. */
export function partedAfter(a: Run, b: Run): number | undefined {
  const first = a.hashes.findIndex((hash, n) => hash !== b.hashes[n])
  if (first >= 0) return first * CHECKPOINT
  return a.hashes.length === b.hashes.length ? undefined : a.hashes.length * CHECKPOINT
}

/** Runs both again. Undefined: they were alike this time, so something besides the processor is not the same every time. */
export async function findDifference(
  guest: ComparedGuest,
  modes: readonly [CompareMode, CompareMode],
  after: number,
): Promise<Difference | undefined> {
  const mostEvents = Math.min(after + CHECKPOINT + 1, guest.mostEvents ?? Number.POSITIVE_INFINITY)
  const seen: SeenEvent[][] = []
  for (const mode of modes) {
    const events: SeenEvent[] = []
    seen.push(events)
    await watched({ ...guest, mostEvents }, mode, { from: after, every: 1 }, (machine, rip) => {
      const { state, events: number } = machine
      const vectors = new BigUint64Array(vectorBytes(state).slice().buffer)
      events.push({ number, rip, registers: [...state.regs], flags: state.flags, vectors: [...vectors] })
    })
  }
  const [a, b] = seen as [SeenEvent[], SeenEvent[]]
  /** What must be alike. */
  const textOf = (event: SeenEvent | undefined) =>
    event && [event.rip, guest.traced === 'all' && event.flags, event.registers, event.vectors].join()
  for (let n = 0; n < Math.max(a.length, b.length); n++)
    if (textOf(a[n]) !== textOf(b[n])) return { before: a[n - 1], events: [a[n], b[n]] }
  return undefined
}

function vectorBytes({ memory, base }: ComparedMachine['state']): Uint8Array {
  const at = base + STATE.fp
  return memory.u8.slice(at + xmmOffset(0), at + xmmOffset(16))
}

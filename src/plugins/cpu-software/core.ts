/**
 * The interpreter as two WebAssembly modules: the core is a `br_table` over micro-ops with the hot handlers inside
 * and the memory unit; the rest are the other handlers, functions that fill the core's table.
 *
 * The core is compiled optimised before anything runs; the rest is compiled function by function when first
 * called. Core exports: run(state, first) → OUTCOME.leave when the TypeScript side must look, with `first` a
 * micro-op of a single instruction to step over, or 0; flush, translate, loadSlow,
 * storeOpen, storeCommit, segmentAddress for assists. Imports (module "host"): assist, deliver, decode, poll and
 * the memory unit's; of a traced core also `event`, and it exports `trace` (trace/emit-trace.ts). All addresses of
 * tables come from the machine's layout, which has the same low part in every machine; so the modules serve all.
 */
import { PHYSMAP_FRAMES, planMachine } from '../../base/machine-memory.ts'
import {
  emitDivWide,
  emitMulHigh,
  emitRegionPage,
  emitRegionStore,
  emitSettleFlags,
} from './core-functions.ts'
import { HANDLERS, type Handler, INLINE_HANDLERS, SPECIAL } from './handlers.ts'
import { FLAG } from './isa/row.ts'
import { ACCESS, emitMmu, TRANSLATED } from './mmu/emit-mmu.ts'
import { Emit } from './read/emit.ts'
import { EmitVector } from './read/emit-vector.ts'
import type { CoreFunctions, HandlerFacts, Place } from './read/surroundings.ts'
import { MEANINGS } from './sem/meanings.ts'
import { VECTOR_MEANINGS } from './sem/vector-meanings.ts'
import {
  counterOffset,
  ENTRY,
  HEAT,
  HEAT_BYTES,
  JUMP,
  JUMP_BYTES,
  JUMP_CACHE,
  JUMP_ENTRIES,
  LARGE_MARKS,
  LARGE_MARKS_BYTES,
  OUTCOME,
  STATE,
  TLB_BYTES,
  TLB_ENTRIES,
  TLB_ENTRY,
  TLB_SUPERVISOR,
  UOP,
} from './state.ts'
import { emitNative, NATIVE_KEYS, Native } from './system/native.ts'
import { emitEntry } from './system/native-entry.ts'
import { emitFlagsImage, emitSetFlagsImage, type NativeFunctions } from './system/native-writer.ts'
import { emitTrace, TRACE_TYPE, type Traced } from './trace/emit-trace.ts'
import {
  type Expr,
  type FunctionWriter,
  i32,
  i64,
  type Label,
  load32,
  load64,
  ModuleWriter,
  op,
  type Type,
} from './wasm/encoder.ts'
import { named } from './wasm/name-section.ts'
import {
  add,
  add32,
  and,
  and32,
  eq,
  eq32,
  gtS32,
  ne32,
  not32,
  or32,
  select,
  shl,
  shl32,
  shr,
  shr32,
  sub32,
  widen,
  wrap,
} from './wasm/operators.ts'

/** Taken branches between two looks at the request word. */
export const POLL_BRANCHES = 512
/** Regions that a CPU can have at once: slots of the core's table behind the handlers. */
export const REGION_SLOTS = 4096
/** (state, pages, linear page of the entry, TLB, branches until the poll, entry) → branches left × 2, + 1 when the instruction at `rip` must be interpreted. */
export const REGION_TYPE = [['i32', 'i32', 'i64', 'i32', 'i32', 'i32'], ['i32']] as const

/** Offsets that are the same in every machine (src/base/machine-memory.ts). */
export function fixedLayout(): { physmap: number; physmapFrames: number; pageFlags: number } {
  const { physmap, pageFlags } = planMachine(1 << 20, 1)!
  return { physmap, physmapFrames: PHYSMAP_FRAMES, pageFlags }
}

/** From a TLB's entries to those of its jump cache. The two of each kind lie one behind the other. */
const jumpBase = (state: Expr, tlb: Expr): Expr => {
  const cache = add32(state, i32(JUMP_CACHE))
  const distance = sub32(sub32(tlb, state), i32(TLB_SUPERVISOR))
  return add32(cache, shl32(distance, i32(Math.log2(JUMP_BYTES / TLB_BYTES))))
}
/** Address of the entry that a target has. */
const jumpSlot = (jumps: Expr, target: Expr): Expr =>
  add32(jumps, shl32(and32(wrap(target), i32(JUMP_ENTRIES - 1)), i32(Math.log2(JUMP.size))))
const isKnownJump = (state: Expr, slot: Expr, target: Expr): Expr =>
  and32(
    eq(load64(8, slot, JUMP.linear), target),
    eq32(load32(4, slot, JUMP.age), load32(4, state, STATE.jumpAge)),
  )

/** What the rest imports of the core, with parameter and result types. */
const SHARED = {
  loadSlow: [['i32', 'i64', 'i32'], ['i32']],
  storeOpen: [['i32', 'i64', 'i32', 'i32'], ['i32']],
  storeCommit: [['i32'], []],
  segmentAddress: [['i32', 'i32', 'i64', 'i32', 'i32'], ['i64']],
  divWide: [['i32', 'i64', 'i64', 'i64'], []],
  mulHighU: [['i64', 'i64'], ['i64']],
  mulHighS: [['i64', 'i64'], ['i64']],
  assist: [['i32'], ['i32']],
} as const satisfies Record<keyof CoreFunctions, readonly [readonly Type[], readonly Type[]]>

export interface CoreBytes {
  readonly core: Uint8Array
  readonly rest: Uint8Array
}

/** `traced`: every taken branch is an event (emit-trace.ts); nothing else costs anything for it. */
export function buildCore(traced?: Traced): CoreBytes {
  const first = Object.keys(SHARED).length + Object.keys(NATIVE_SHARED).length
  const handlers = [...functionHandlers.map(({ key, width }) => `${key} ${width}`), ...NATIVE_KEYS]
  const names = handlers.map((name, i) => [first + i, name] as const)
  return {
    core: named(buildMain(traced), 'interpreter'),
    rest: named(buildRest(), 'handlers', new Map(names)),
  }
}

/** What hand-written handlers import besides. */
const NATIVE_SHARED = {
  flush: [['i32'], []],
  flagsImage: [['i32'], ['i32']],
  setFlagsImage: [['i32', 'i32'], []],
} as const satisfies Partial<Record<keyof NativeFunctions, readonly [readonly Type[], readonly Type[]]>>

const HANDLER_TYPE = [['i32', 'i32', 'i64', 'i32'], ['i32']] as const
const functionHandlers = HANDLERS.slice(INLINE_HANDLERS)
/** The first region's slot. */
export const FIRST_REGION_SLOT = functionHandlers.length + NATIVE_KEYS.length
const TABLE_SIZE = FIRST_REGION_SLOT + REGION_SLOTS

function buildMain(traced: Traced | undefined): Uint8Array {
  const m = new ModuleWriter()
  const assist = m.import('host', 'assist', ['i32'], ['i32'])
  const deliver = m.import('host', 'deliver', [], ['i32'])
  const decode = m.import('host', 'decode', [], ['i32'])
  const poll = m.import('host', 'poll', [], ['i32'])
  const hot = m.import('host', 'hot', [], [])
  const event = traced && m.import('host', 'event', ['i64', 'i64'], [])
  const mmuImports = {
    walk: m.import('host', 'walk', ['i32'], ['i32']),
    deviceRead: m.import('host', 'deviceRead', ['i32'], []),
    deviceWrite: m.import('host', 'deviceWrite', ['i32'], []),
    codeWritten: m.import('host', 'codeWritten', ['i32', 'i32'], []),
  }
  const mmu = emitMmu(m, mmuImports, fixedLayout())
  const core: CoreFunctions = { ...mmu, assist, divWide: emitDivWide(m), ...emitMulHigh(m) }
  const find = emitFind(m, mmu.translate, decode)
  const flushJumps = m.function(['i32'], [], (f) => {
    const state = f.param(0)
    const age = f.keep(add32(load32(4, state, STATE.jumpAge), i32(1)))
    f.store32(4, state, age, STATE.jumpAge)
    // After four thousand million times the ages begin anew.
    f.if(not32(age), () => {
      f.fill(add32(state, i32(JUMP_CACHE)), i32(0), i32(2 * JUMP_BYTES))
      f.store32(4, state, i32(1), STATE.jumpAge)
    })
  })
  // Every tag of both TLBs, the jump caches, and the large-page marks.
  const flush = m.function(['i32'], [], (f) => {
    const at = (offset: number) => add32(f.param(0), i32(offset))
    f.fill(at(TLB_SUPERVISOR), i32(255), i32(2 * TLB_BYTES))
    f.do(flushJumps, f.param(0))
    f.fill(at(LARGE_MARKS), i32(0), i32(LARGE_MARKS_BYTES))
  })
  const native = {
    flush,
    loadSlow: mmu.loadSlow,
    flagsImage: m.function(...NATIVE_SHARED.flagsImage, emitFlagsImage),
    setFlagsImage: m.function(...NATIVE_SHARED.setFlagsImage, emitSetFlagsImage),
  }
  const { pageFlags } = fixedLayout()
  const enter = m.function(['i32', 'i32', 'i32', 'i32'], ['i32'], (f) =>
    emitEntry(f, { core: native, translate: mmu.translate, pageFlags }),
  )
  m.exportTable(TABLE_SIZE)
  const handlerType = m.type(...HANDLER_TYPE)
  const regionType = m.type(...REGION_TYPE)
  const settleFlags = emitSettleFlags(m)
  const { flagsImage } = native
  const trace =
    event === undefined || traced === undefined
      ? undefined
      : m.function(...TRACE_TYPE, (f) =>
          emitTrace(f, { event, settleFlags, flagsImage, pollBranches: POLL_BRANCHES, traced }),
        )
  const parts = {
    assist,
    enter,
    deliver,
    poll,
    find,
    handlerType,
    regionType,
    core,
    translate: mmu.translate,
    sample: emitSample(m, hot),
    settleFlags,
    trace,
  }
  const run = m.function(['i32', 'i32'], ['i32'], (f) => emitRun(f, parts))
  m.export('run', run)
  m.export('enter', enter)
  m.export('flushJumps', flushJumps)
  m.export('translate', mmu.translate)
  for (const name of Object.keys(SHARED) as (keyof CoreFunctions)[]) m.export(name, core[name])
  for (const name of Object.keys(NATIVE_SHARED) as (keyof typeof NATIVE_SHARED)[])
    m.export(name, native[name])
  m.export('regionStore', emitRegionStore(m, mmu.storeOpen))
  m.export('regionPage', emitRegionPage(m, mmu.translate))
  m.export('settleFlags', settleFlags)
  if (trace !== undefined) m.export('trace', trace)
  return m.finish()
}

function buildRest(): Uint8Array {
  const m = new ModuleWriter()
  m.importTable(TABLE_SIZE)
  const core = Object.fromEntries(
    Object.entries(SHARED).map(([name, [params, results]]) => [
      name,
      m.import('core', name, params, results),
    ]),
  ) as unknown as CoreFunctions
  const native = Object.fromEntries(
    Object.entries(NATIVE_SHARED).map(([name, [params, results]]) => [
      name,
      m.import('core', name, params, results),
    ]),
  ) as Record<keyof typeof NATIVE_SHARED, number>
  for (const handler of functionHandlers) {
    const index = m.function(...HANDLER_TYPE, (f) => {
      const locals = { state: f.param(0), uop: f.param(1), page: f.param(2), tlb: f.param(3) }
      emitHandler(handler, new Emit(f, locals, core, { kind: 'function' }, handler.facts))
      f.unreachable()
    })
    m.tableSlot(index)
  }
  const facts: HandlerFacts = { kinds: [], access: [], long: true, locked: false, addressSize: 64 }
  for (const key of NATIVE_KEYS) {
    const index = m.function(...HANDLER_TYPE, (f) => {
      const locals = { state: f.param(0), uop: f.param(1), page: f.param(2), tlb: f.param(3) }
      const emit = new Emit(f, locals, core, { kind: 'function' }, facts)
      emitNative(key, new Native(emit, locals, { ...native, loadSlow: core.loadSlow }))
      f.unreachable()
    })
    m.tableSlot(index)
  }
  return m.finish()
}

function emitHandler(handler: Handler, emit: Emit): void {
  if (handler.vector) {
    const { row, run } = VECTOR_MEANINGS[handler.key]!
    emit.handler(() => {
      const s = new EmitVector(emit, row)
      s.prologue()
      run(s)
    }, 64)
    return
  }
  emit.handler((s) => MEANINGS[handler.key]!.run(s, handler.width), handler.width)
}

/** (state, rip) → micro-op, or 0 with a fault recorded. The page's slots are found by its host page, per mode. */
function emitFind(m: ModuleWriter, translate: number, decode: number): number {
  return m.function(['i32', 'i64'], ['i32'], (f) => {
    const [state, target] = [f.param(0), f.param(1)]
    const count = counterOffset('jumpMisses')
    f.store64(8, state, add(load64(8, state, count), i64(1)), count)
    const entry = shl32(
      and32(wrap(shr(target, i64(12))), i32(TLB_ENTRIES - 1)),
      i32(Math.log2(TLB_ENTRY.size)),
    )
    const slot = f.keep(add32(load32(4, state, STATE.tlb), entry))
    const host = f.local('i32')
    f.if(
      eq(load64(8, slot, TLB_ENTRY.executeTag), and(target, i64(-4096))),
      () => f.set(host, add32(wrap(and(target, i64(-4096))), load32(4, slot, TLB_ENTRY.addend))),
      () => f.set(host, f.call(translate, 'i32', state, target, i32(ACCESS.execute))),
    )
    f.if(eq32(f.get(host), i32(TRANSLATED.fault)), () => f.return(i32(0)))
    const uop = f.local('i32')
    f.set(uop, i32(0))
    f.if(ne32(f.get(host), i32(TRANSLATED.device)), () => {
      const table = load32(4, add32(state, shl32(load32(4, state, STATE.mode), i32(2))), STATE.codeTables)
      const slots = f.keep(load32(4, add32(table, shl32(shr32(f.get(host), i32(12)), i32(2)))))
      f.if(slots, () => f.set(uop, load32(4, add32(slots, shl32(wrap(and(target, i64(4095))), i32(2))))))
    })
    f.if(not32(f.get(uop)), () => {
      f.store64(8, state, target, STATE.rip)
      f.set(uop, f.call(decode, 'i32'))
      f.if(not32(f.get(uop)), () => f.return(i32(0)))
    })
    const jump = f.keep(jumpSlot(jumpBase(state, load32(4, state, STATE.tlb)), target))
    f.store64(8, jump, target, JUMP.linear)
    f.store32(4, jump, f.get(uop), JUMP.uop)
    f.store32(4, jump, load32(4, state, STATE.jumpAge), JUMP.age)
    f.store32(4, jump, i32(0), JUMP.slot)
    f.return(f.get(uop))
  })
}

/** In place of a branch to be linked: the instruction looked up runs in the interpreter, though a region may start there. */
const AS_BEFORE = -1

/** (state, target, period): one more sample of a branch target; tells the TypeScript side when it is hot. */
function emitSample(m: ModuleWriter, hot: number): number {
  return m.function(['i32', 'i64', 'i32'], [], (f) => {
    const [state, target, period] = [f.param(0), f.param(1), f.param(2)]
    const count = counterOffset('interpreterBranches')
    f.store64(8, state, add(load64(8, state, count), widen(period)), count)
    const hotAfter = f.keep(load32(4, state, STATE.hotAfter))
    f.if(not32(hotAfter), () => f.return())
    const slot = f.keep(jumpSlot(jumpBase(state, load32(4, state, STATE.tlb)), target))
    f.if(isKnownJump(state, slot, target), () => {
      const uop = load32(4, slot, JUMP.uop)
      f.if(eq32(load32(2, uop, UOP.handler), i32(SPECIAL.region)), () => f.return())
    })
    f.if(eq32(hotAfter, i32(1)), () => {
      f.store64(8, state, target, STATE.rip)
      f.do(hot)
      f.return()
    })
    const hash = and32(wrap(op('i64', 0x85, target, shr(target, i64(16)))), i32(HEAT_BYTES - 1))
    const heat = f.keep(add32(state, hash))
    const samples = f.keep(add32(load32(1, heat, HEAT), i32(1)))
    f.store32(1, heat, samples, HEAT)
    // Whoever takes it up sets the samples back: what is not translated then, or not for long, is hot again one day.
    f.if(eq32(samples, hotAfter), () => {
      f.store64(8, state, target, STATE.rip)
      f.do(hot)
    })
  })
}

interface RunParts {
  readonly assist: number
  readonly enter: number
  readonly deliver: number
  readonly poll: number
  readonly find: number
  readonly sample: number
  readonly settleFlags: number
  readonly handlerType: number
  readonly regionType: number
  readonly core: CoreFunctions
  readonly translate: number
  /** (state, target) → whether to poll; of a traced core. */
  readonly trace: number | undefined
}

/**
 * loop enter           state says where to go on
 *   loop jump          go to the linear address in `target`
 *     loop next        execute the micro-op in `uop`
 *       block fault, block jumpLink, block leave ... handlers
 */
function emitRun(f: FunctionWriter, parts: RunParts): void {
  const state = f.param(0)
  const uop = f.local('i32')
  const page = f.local('i64')
  const tlb = f.local('i32')
  const jumps = f.local('i32')
  const fuel = f.local('i32')
  const target = f.local('i64')
  const outcome = f.local('i32')
  // The branch whose target is being looked up; or AS_BEFORE.
  const linkFrom = f.local('i32')
  // Taken branches until the next poll; `fuel` counts those to the next sample.
  const pollFuel = f.local('i32')
  const period = f.local('i32')
  const locals = { state, uop: f.get(uop), page: f.get(page), tlb: f.get(tlb) }
  const ripHere = (): Expr => add(f.get(page), widen(load32(2, f.get(uop), UOP.pageOffset)))
  const saveRip = () => f.store64(8, state, ripHere(), STATE.rip)
  // Of a traced core: not zero when the next lookup is no taken branch; lookups until the next sample.
  const traced = parts.trace === undefined ? undefined : { quiet: f.local('i32'), samples: f.local('i32') }
  const noBranch = () => {
    if (traced !== undefined) f.set(traced.quiet, i32(1))
  }

  const poll = (enter: Label) => {
    f.set(pollFuel, i32(POLL_BRANCHES))
    const answers = op('i32', 0x73, load32(4, state, STATE.answers), load32(4, state, STATE.answersTaken))
    const wanted = or32(
      or32(load32(4, load32(4, state, STATE.requestAt)), load32(4, state, STATE.attention)),
      or32(and32(load32(4, state, STATE.systemFlags), i32(FLAG.TF)), answers),
    )
    const quiet = load32(4, state, STATE.quietPolls)
    f.if(
      and32(not32(wanted), ne32(quiet, i32(0))),
      () => {
        f.store32(4, state, sub32(quiet, i32(1)), STATE.quietPolls)
        const count = counterOffset('polls')
        f.store64(8, state, add(load64(8, state, count), i64(1)), count)
      },
      () => {
        f.store64(8, state, f.get(target), STATE.rip)
        f.set(outcome, f.call(parts.poll, 'i32'))
        f.if(ne32(f.get(outcome), i32(OUTCOME.next)), () => f.return(f.get(outcome)))
        noBranch()
        f.br(enter)
      },
    )
  }
  /** There is no branch to link any more. */
  const keepAsBefore = () => f.if(ne32(f.get(linkFrom), i32(AS_BEFORE)), () => f.set(linkFrom, i32(0)))
  /** Finds the micro-op at `target`, after a poll if the fuel is used up. */
  const lookUp = (enter: Label, fault: Label): void => {
    const sample = () => {
      f.do(parts.sample, state, f.get(target), f.get(period))
      // A region may start at the branch from now on; its link is another thing then.
      keepAsBefore()
    }
    const pollIfDue = () => f.if(not32(gtS32(f.get(pollFuel), i32(0))), () => poll(enter))
    if (traced === undefined)
      f.if(not32(gtS32(f.get(fuel), i32(0))), () => {
        f.set(fuel, f.get(period))
        f.set(pollFuel, sub32(f.get(pollFuel), f.get(period)))
        sample()
        pollIfDue()
      })
    else {
      // No fuel: every branch comes here. When to poll, only the number of events says: it is the same in regions.
      f.set(fuel, i32(0))
      f.if(
        f.get(traced.quiet),
        () => f.set(traced.quiet, i32(0)),
        () => f.if(f.call(parts.trace!, 'i32', state, f.get(target)), () => f.set(pollFuel, i32(0))),
      )
      f.set(traced.samples, sub32(f.get(traced.samples), i32(1)))
      f.if(not32(gtS32(f.get(traced.samples), i32(0))), () => {
        f.set(traced.samples, f.get(period))
        sample()
      })
      pollIfDue()
    }
    const slot = f.keep(jumpSlot(f.get(jumps), f.get(target)))
    f.if(
      isKnownJump(state, slot, f.get(target)),
      () => f.set(uop, load32(4, slot, JUMP.uop)),
      () => {
        f.set(uop, f.call(parts.find, 'i32', state, f.get(target)))
        f.if(not32(f.get(uop)), () => {
          f.store64(8, state, f.get(target), STATE.rip)
          f.br(fault)
        })
        // Decoding may have dropped every micro-op to make room: the branch that led here is gone, too.
        f.if(load32(4, state, STATE.codeFlushed), () => {
          f.store32(4, state, i32(0), STATE.codeFlushed)
          keepAsBefore()
        })
      },
    )
  }

  const first = 1
  // A single step has no fuel: whatever follows the one instruction polls.
  f.set(period, load32(4, state, STATE.samplePeriod))
  f.set(fuel, select(f.get(first), i32(0), f.get(period)))
  f.set(pollFuel, select(f.get(first), i32(0), i32(POLL_BRANCHES)))
  // Where the interpreter was left it goes on; what is stepped over may branch.
  if (traced !== undefined) f.set(traced.quiet, not32(f.get(first)))
  f.loop((enter) => {
    f.set(tlb, load32(4, state, STATE.tlb))
    f.set(jumps, jumpBase(state, f.get(tlb)))
    f.set(target, load64(8, state, STATE.rip))
    f.set(linkFrom, i32(0))
    f.loop((jump) => {
      // Every way here is a taken branch: also loops of indirect jumps, or of handlers outside, come to the poll.
      f.set(fuel, sub32(f.get(fuel), i32(1)))
      f.block((fault) => {
        f.if(
          f.get(first),
          () => {
            f.set(uop, f.get(first))
            f.set(first, i32(0))
          },
          () => lookUp(enter, fault),
        )
        const nextPage = and(f.get(target), i64(-4096))
        f.if(f.get(linkFrom), () => {
          f.if(
            eq32(f.get(linkFrom), i32(AS_BEFORE)),
            () =>
              f.if(eq32(load32(2, f.get(uop), UOP.handler), i32(SPECIAL.region)), () =>
                f.set(uop, load32(4, f.get(uop), UOP.link)),
              ),
            // Same page: the branch may go straight to the micro-op from now on.
            () => f.if(eq(nextPage, f.get(page)), () => f.store32(4, f.get(linkFrom), f.get(uop), UOP.link)),
          )
          f.set(linkFrom, i32(0))
        })
        f.set(page, nextPage)
        f.store64(8, state, f.get(page), STATE.page)
        f.loop((next) => {
          f.block((handlerFault) => {
            f.block((link) => {
              const place: Place = {
                kind: 'inline',
                fault: handlerFault,
                next,
                jump,
                jumpLink: link,
                target,
                fuel,
                noBranch,
              }
              emitDispatch(
                f,
                { parts, locals, place, next, jump, handlerFault, enter },
                { uop, outcome, target, fuel, pollFuel, linkFrom, jumps: f.get(jumps), saveRip, noBranch },
              )
            })
            // A direct branch whose target is not linked yet.
            f.set(linkFrom, f.get(uop))
            f.br(jump)
          })
          saveRip()
        })
      })
      const fault = [load32(4, state, STATE.faultVector), load32(4, state, STATE.faultError)] as const
      f.brIf(f.call(parts.enter, 'i32', state, ...fault, i32(0)), enter)
      f.set(outcome, f.call(parts.deliver, 'i32'))
      f.brIf(eq32(f.get(outcome), i32(OUTCOME.jump)), enter)
      f.return(f.get(outcome))
    })
  })
  f.unreachable()
}

interface DispatchContext {
  readonly parts: RunParts
  readonly locals: { state: Expr; uop: Expr; page: Expr; tlb: Expr }
  readonly place: Place
  readonly next: Label
  readonly jump: Label
  readonly handlerFault: Label
  readonly enter: Label
}
interface DispatchLocals {
  readonly uop: number
  readonly outcome: number
  readonly target: number
  readonly fuel: number
  readonly pollFuel: number
  readonly linkFrom: number
  readonly jumps: Expr
  readonly saveRip: () => void
  readonly noBranch: () => void
}

function emitDispatch(f: FunctionWriter, c: DispatchContext, v: DispatchLocals): void {
  const { locals, next, jump, handlerFault, enter, parts } = c
  const { state, uop, page, tlb } = locals
  const advance = () => f.set(v.uop, add32(uop, i32(UOP.size)))
  const nextUop = () => {
    advance()
    f.br(next)
  }
  const ripHere = (): Expr => add(page, widen(load32(2, uop, UOP.pageOffset)))
  /** What to do with the outcome of a function. */
  const settle = () => {
    f.if(not32(f.get(v.outcome)), nextUop)
    f.if(eq32(f.get(v.outcome), i32(OUTCOME.jump)), () => {
      // A traced core looks at every branch, wherever it is taken.
      if (parts.trace === undefined)
        f.if(load32(4, state, STATE.lookSoon), () => {
          f.store32(4, state, i32(0), STATE.lookSoon)
          f.set(v.fuel, i32(0))
          f.set(v.pollFuel, i32(0))
        })
      f.br(enter)
    })
    f.if(eq32(f.get(v.outcome), i32(OUTCOME.fault)), () => f.br(handlerFault))
    f.if(eq32(f.get(v.outcome), i32(OUTCOME.again)), () => {
      f.set(v.fuel, sub32(f.get(v.fuel), i32(1)))
      f.brIf(gtS32(f.get(v.fuel), i32(0)), next)
      f.set(v.target, ripHere())
      v.noBranch()
      f.br(jump)
    })
    f.return(f.get(v.outcome))
  }
  const specials: Record<keyof typeof SPECIAL, () => void> = {
    region: () => region(),
    goto: () => {
      f.set(v.uop, load32(4, uop, UOP.link))
      f.br(next)
    },
    resume: () => {
      f.set(v.fuel, sub32(f.get(v.fuel), i32(1)))
      f.set(v.target, ripHere())
      v.noBranch()
      f.br(jump)
    },
    stale: () => {
      f.set(v.target, ripHere())
      // The cache may know this instruction's new micro-op already.
      const cached = f.keep(jumpSlot(v.jumps, f.get(v.target)))
      f.if(eq32(load32(4, cached, JUMP.uop), uop), () => f.store32(4, cached, i32(0), JUMP.age))
      v.noBranch()
      f.br(jump)
    },
    absolute: () => {
      const segment = load64(8, add32(state, load32(2, uop, UOP.operand[0])))
      f.store64(8, state, add(load64(8, uop, UOP.immediate64), segment), STATE.tmpAddress)
      nextUop()
    },
    address: () => {
      const offset = effective(state, uop)
      const masked = f.keep(and(offset, load64(8, uop, UOP.immediate64)))
      const segment = load64(8, add32(state, load32(2, uop, UOP.operand[0])))
      f.store64(8, state, add(masked, segment), STATE.tmpAddress)
      nextUop()
    },
    addressLegacy: () => {
      const offset = and(effective(state, uop), load64(8, uop, UOP.immediate64))
      const [segment, size, write] = UOP.operand.map((o) => load32(2, uop, o)) as [Expr, Expr, Expr]
      const linear = f.keep(f.call(parts.core.segmentAddress, 'i64', state, segment, offset, size, write))
      f.brIf(eq(linear, i64(-1)), handlerFault)
      f.store64(8, state, linear, STATE.tmpAddress)
      nextUop()
    },
    assist: () => {
      v.saveRip()
      f.store64(8, state, add(ripHere(), widen(load32(1, uop, UOP.length))), STATE.nextRip)
      f.set(v.outcome, f.call(parts.assist, 'i32', uop))
      settle()
    },
    crossing: () => {
      // immediate: host page that the second half was decoded from.
      const second = f.keep(f.call(parts.translate, 'i32', state, add(page, i64(4096)), i32(ACCESS.execute)))
      f.if(not32(second), () => f.br(handlerFault))
      f.if(eq32(second, load32(4, uop, UOP.immediate)), nextUop)
      f.store64(8, state, ripHere(), STATE.rip)
      f.store32(2, uop, i32(SPECIAL.stale), UOP.handler)
      const slots = f.keep(load32(4, uop, UOP.link))
      f.store32(4, slots, i32(0))
      f.store32(4, jumpSlot(v.jumps, ripHere()), i32(0), JUMP.age)
      v.noBranch()
      f.br(enter)
    },
  }
  /** Regions follow one another without the interpreter while each leaves for where another starts. */
  const region = () => {
    const counted = (offset: number, more: Expr) =>
      f.store64(8, state, add(load64(8, state, offset), more), offset)
    const slot = f.local('i32')
    const entry = f.local('i32')
    const pages = f.local('i32')
    const left = f.local('i32')
    /** Takes up the region that starts at a micro-op. */
    const open = (at: Expr) => {
      const word = (offset: number) => load32(4, at, offset)
      f.store32(4, at, add32(word(ENTRY.uses), i32(1)), ENTRY.uses)
      f.set(slot, word(ENTRY.slot))
      f.set(entry, word(ENTRY.entry))
      f.set(pages, word(ENTRY.pages))
    }
    open(f.keep(load32(4, uop, UOP.link)))
    f.set(v.target, page)
    f.loop((again) => {
      counted(counterOffset('regionEntries'), i64(1))
      f.set(
        v.outcome,
        f.callIndirect(
          parts.regionType,
          'i32',
          f.get(slot),
          state,
          f.get(pages),
          and(f.get(v.target), i64(-4096)),
          tlb,
          f.get(v.pollFuel),
          f.get(entry),
        ),
      )
      f.set(left, op('i32', 0x75, f.get(v.outcome), i32(1)))
      counted(counterOffset('regionBranches'), widen(sub32(f.get(v.pollFuel), f.get(left))))
      // Leaving is a taken branch: a circle of regions comes to the poll. In a traced one the branches themselves do.
      f.set(v.pollFuel, parts.trace === undefined ? sub32(f.get(left), i32(1)) : f.get(left))
      f.set(v.target, load64(8, state, STATE.rip))
      f.if(and32(not32(and32(f.get(v.outcome), i32(1))), gtS32(f.get(v.pollFuel), i32(0))), () => {
        const jump = f.keep(jumpSlot(v.jumps, f.get(v.target)))
        f.if(isKnownJump(state, jump, f.get(v.target)), () => {
          f.set(slot, load32(4, jump, JUMP.slot))
          f.set(entry, load32(4, jump, JUMP.entry))
          f.set(pages, load32(4, jump, JUMP.pages))
          f.brIf(f.get(slot), again)
          const found = f.keep(load32(4, jump, JUMP.uop))
          f.if(eq32(load32(2, found, UOP.handler), i32(SPECIAL.region)), () => {
            open(f.keep(load32(4, found, UOP.link)))
            f.store32(4, jump, f.get(slot), JUMP.slot)
            f.store32(4, jump, f.get(entry), JUMP.entry)
            f.store32(4, jump, f.get(pages), JUMP.pages)
            f.br(again)
          })
        })
      })
    })
    f.if(not32(gtS32(f.get(v.pollFuel), i32(0))), () => f.set(v.fuel, i32(0)))
    f.if(load32(4, state, STATE.lazyKind), () => f.do(parts.settleFlags, state))
    f.if(and32(f.get(v.outcome), i32(1)), () => {
      counted(counterOffset('regionExits'), i64(1))
      f.set(v.linkFrom, i32(AS_BEFORE))
    })
    // A region tells of its branches itself, of the one that leaves it, too.
    v.noBranch()
    f.br(jump)
  }
  // Handler numbers: specials, inline handlers, then functions in the order of the table.
  const bodies = Object.keys(SPECIAL).map((name) => specials[name as keyof typeof SPECIAL])
  for (const handler of HANDLERS.slice(0, INLINE_HANDLERS))
    bodies.push(() => emitHandler(handler, new Emit(f, locals, parts.core, c.place, handler.facts)))
  const labels: Label[] = []
  const nest = () => {
    const body = bodies[labels.length]
    if (body === undefined) {
      f.block((rest) => f.brTable(load32(2, uop, UOP.handler), labels, rest))
      const slot = sub32(load32(2, uop, UOP.handler), i32(bodies.length))
      f.set(v.outcome, f.callIndirect(parts.handlerType, 'i32', slot, state, uop, page, tlb))
      settle()
      return
    }
    f.block((here) => {
      labels.push(here)
      nest()
    })
    body()
  }
  nest()
}

const effective = (state: Expr, uop: Expr): Expr => {
  const base = load64(8, add32(state, load32(2, uop, UOP.base)))
  const index = load64(8, add32(state, load32(2, uop, UOP.index)))
  return add(add(base, load64(4, uop, UOP.displacement, true)), shl(index, load64(1, uop, UOP.scale)))
}

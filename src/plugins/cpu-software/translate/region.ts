/**
 * A region as a WebAssembly module: one function, its registers in locals, its blocks in one another's reach.
 *
 * It is entered at any of its entries and left to an address: for code outside, for the interpreter (faults, system
 * instructions, accesses that need more than memory) or because the branches until the next poll are used up.
 */
import { REGION_TYPE } from '../core.ts'
import { SPECIAL } from '../handlers.ts'
import { EmitVector } from '../read/emit-vector.ts'
import { MEANINGS } from '../sem/meanings.ts'
import { VECTOR_MEANINGS } from '../sem/vector-meanings.ts'
import { UOP } from '../state.ts'
import { TRACE_TYPE, type Traced } from '../trace/emit-trace.ts'
import {
  type Expr,
  type FunctionWriter,
  i32,
  i64,
  type Label,
  load32,
  load64,
  ModuleWriter,
} from '../wasm/encoder.ts'
import {
  add,
  add32,
  and,
  and32,
  eq,
  gtS32,
  ne32,
  not32,
  or32,
  shl,
  shl32,
  shr32,
  sub,
  sub32,
} from '../wasm/operators.ts'
import {
  type Block,
  findBlocks,
  handlerNumber,
  type Scope,
  type Shape,
  shapeRegion,
  successors,
} from './control-flow.ts'
import {
  EmitRegion,
  type FlagForm,
  leaveRegion,
  type RegionFrame,
  type RegionFunctions,
  type RegionInstruction,
  storeFlags,
} from './emit-region.ts'
import { type FlagUse, flagUse, WANTED, type Wanted, wantedBefore } from './flags.ts'
import { flowOf, handlerOf, JOB_UOPS, type RegionEntry, type RegionJob, SHAPE } from './job.ts'
import { RegionRegisters, type RegistersHeld } from './registers.ts'

export interface Region {
  readonly bytes: Uint8Array
  readonly entries: readonly RegionEntry[]
}

/** Imports of module "core", with parameter and result types; `storeOpen` is the core's `regionStore`. */
const IMPORTS = {
  loadSlow: [['i32', 'i64', 'i32'], ['i32']],
  storeOpen: [['i32', 'i64', 'i32', 'i32'], ['i32']],
  divWide: [['i32', 'i64', 'i64', 'i64'], []],
  regionPage: [['i32', 'i64'], ['i32']],
  settleFlags: [['i32'], []],
} as const

const PAGE = 4096

/** `traced`: for a traced core. */
export function buildRegion(job: RegionJob, traced?: Traced): Region {
  const m = new ModuleWriter()
  const imported = Object.fromEntries(
    Object.entries(IMPORTS).map(([name, [params, results]]) => [
      name,
      m.import('core', name, params, results),
    ]),
  ) as Record<keyof typeof IMPORTS, number>
  // What stands for none is never called by a region.
  const core: RegionFunctions = {
    ...imported,
    trace: traced && m.import('core', 'trace', ...TRACE_TYPE),
    traced,
    assist: -1,
    storeCommit: -1,
    segmentAddress: -1,
    mulHighU: -1,
    mulHighS: -1,
  }
  const blocks = findBlocks(job)
  const shape = shapeRegion(blocks)
  const index = m.function(...REGION_TYPE, (f) => new RegionWriter(f, core, job, shape).write())
  m.export('region', index)
  const entries = blocks.flatMap((block, n): RegionEntry[] => {
    const instruction = block.instructions[0]!
    if (!block.isEntry || flowOf(handlerNumber(job, instruction)) === 'leave') return []
    return [{ instruction, entry: (n + 1) | (job.shape[instruction * SHAPE.words + SHAPE.page]! << 8) }]
  })
  return { bytes: m.finish(), entries }
}

const NO_FLAGS: FlagUse = {
  makesAll: false,
  makesSome: false,
  reads: false,
  keepsCarry: false,
  mayLeave: false,
  conditional: false,
}
/** For what belongs to no instruction. */
const NOWHERE: RegionInstruction = {
  uop: new DataView(new ArrayBuffer(UOP.size)),
  from: 0,
  behind: 0,
  facts: { kinds: [], access: [], long: true, locked: false, addressSize: 64 },
  key: '',
  width: 64,
  use: NO_FLAGS,
  wanted: WANTED.values,
  address: undefined,
  branch: () => {},
  jump: () => {},
}

/** What is known where a block begins. */
interface Known {
  readonly registers: RegistersHeld
  readonly flags: FlagForm
}
const IN_STATE: FlagForm = { kind: 'state' }
const NOTHING_HELD: RegistersHeld = { valid: 0, dirty: 0 }

interface BlockFlags {
  readonly uses: readonly (FlagUse | undefined)[]
  before: Wanted
  /** Behind each instruction. */
  readonly behind: Wanted[]
}

class RegionWriter {
  readonly #f: FunctionWriter
  readonly #job: RegionJob
  readonly #shape: Shape
  readonly #blocks: readonly Block[]
  readonly #frame: RegionFrame
  readonly #flags: readonly BlockFlags[]
  readonly #labels = new Map<Scope, Label>()
  /** What the edges that were written know, by the block they lead to. */
  readonly #known: Known[][]
  /** Blocks that more than one way leads to. */
  readonly #isMeeting: readonly boolean[]
  #dispatcher!: Label
  readonly #pages: Expr
  readonly #left: number
  /** Position that a dispatcher must send to; -1 for none. */
  readonly #next: number
  /** A bit for each page known to be where it was. */
  readonly #valid: number

  constructor(f: FunctionWriter, core: RegionFunctions, job: RegionJob, shape: Shape) {
    this.#f = f
    this.#job = job
    this.#shape = shape
    this.#blocks = shape.blocks
    this.#pages = f.param(1)
    this.#left = f.local('i32')
    this.#next = f.local('i32')
    this.#valid = f.local('i32')
    const origin = f.local('i64')
    this.#frame = {
      f,
      core,
      state: f.param(0),
      tlb: f.param(3),
      registers: new RegionRegisters(f, f.param(0)),
      origin: f.get(origin, 'i64'),
      lazyA: f.local('i64'),
      lazyB: f.local('i64'),
      lazyZ: f.local('i64'),
      left: this.#left,
      flags: IN_STATE,
      unitsOn: new Set(),
    }
    this.#flags = this.#findFlags()
    this.#known = this.#blocks.map(() => [])
    this.#isMeeting = this.#findMeetings()
  }

  write(): void {
    const f = this.#f
    const { origin } = this.#frame
    f.set(origin.imm as number, this.#origin())
    f.set(this.#left, f.param(4))
    f.set(this.#next, and32(f.param(5), i32(255)))
    if (this.#job.pages.length > 1) f.set(this.#valid, shl32(i32(1), shr32(f.param(5), i32(8))))
    f.loop((dispatcher) => {
      this.#dispatcher = dispatcher
      this.#emitScopes(0, this.#blocks.length + 1, [...this.#shape.scopes])
    })
    f.unreachable()
  }
  /** From the page of the entry to the first page. */
  #origin(): Expr {
    const { pages } = this.#job
    const f = this.#f
    const page = f.param(2)
    if (pages.length === 1) return page
    // The distance is in the table that the entry's page is an index of: behind the host addresses.
    const at = shl32(shr32(f.param(5), i32(8)), i32(2))
    const distance = load64(4, add32(this.#pages, at), pages.length * 4, true)
    return sub(page, shl(distance, i64(12)))
  }

  #emitScopes(from: number, to: number, scopes: Scope[]): void {
    let position = from
    while (position < to) {
      const scope = scopes.find((s) => s.start === position)
      if (scope === undefined) {
        this.#emitPosition(position)
        position++
        continue
      }
      const inner = scopes.filter((s) => s !== scope && s.start >= scope.start && s.end <= scope.end)
      const rest = scopes.filter((s) => s !== scope && !inner.includes(s))
      const body = (label: Label) => {
        this.#labels.set(scope, label)
        this.#emitScopes(scope.start, scope.end, inner)
      }
      if (scope.kind === 'loop') {
        const { registers } = this.#frame
        registers.piece(false, () => this.#f.loop(body))
      } else this.#f.block(body)
      scopes = rest
      position = scope.end
    }
  }
  #emitPosition(position: number): void {
    const f = this.#f
    const targets = this.#shape.dispatch.get(position)
    if (targets !== undefined) {
      const send = () => this.#dispatch(position, targets)
      if (position === 0) send()
      else f.if(not32(gtS32(i32(0), f.get(this.#next, 'i32'))), send)
    }
    if (position > 0) this.#emitBlock(position - 1)
    else if (targets === undefined) f.unreachable()
  }
  /** Sends to `next`: to its block, or to the head of the loop around it. */
  #dispatch(position: number, targets: readonly number[]): void {
    const f = this.#f
    const last = targets.at(-1)!
    f.block((otherwise) => {
      const labels: Label[] = []
      for (let n = 0; n <= last; n++)
        labels.push(targets.includes(n) ? this.#labelFor(position, n) : otherwise)
      f.brTable(f.get(this.#next, 'i32'), labels, otherwise)
    })
  }
  /** Towards a target from a dispatcher: the head of the outermost loop that is between them, or the target. */
  #labelFor(position: number, target: number): Label {
    let stop = target
    let size = 0
    for (const { kind, start, end } of this.#shape.scopes) {
      if (kind !== 'loop' || start <= position || start > target || target >= end || end - start <= size)
        continue
      size = end - start
      stop = start
    }
    return this.#labelOf('block', stop)
  }
  #hasScopeEnding(position: number): boolean {
    return this.#shape.scopes.some((s) => s.kind === 'block' && s.end === position)
  }
  #labelOf(kind: Scope['kind'], position: number): Label {
    const scope = this.#shape.scopes.find(
      (s) => s.kind === kind && (kind === 'loop' ? s.start : s.end) === position,
    )
    return this.#labels.get(scope!)!
  }

  /** Where an instruction lies, from the origin. */
  #distance(instruction: number): number {
    const page = this.#job.pages[this.#job.shape[instruction * SHAPE.words + SHAPE.page]!]!
    return page * PAGE + this.#uop(instruction).getUint16(UOP.pageOffset, true)
  }
  #uop(instruction: number): DataView {
    const { uops } = this.#job
    return new DataView(uops.buffer, uops.byteOffset + instruction * JOB_UOPS.size + JOB_UOPS.own, UOP.size)
  }
  #addressUop(instruction: number): DataView | undefined {
    const { uops } = this.#job
    const uop = new DataView(uops.buffer, uops.byteOffset + instruction * JOB_UOPS.size, UOP.size)
    return uop.getUint8(UOP.length) === 0 ? undefined : uop
  }
  #behind(instruction: number): number {
    return this.#distance(instruction) + this.#uop(instruction).getUint8(UOP.length)
  }

  #emitBlock(n: number): void {
    const block = this.#blocks[n]!
    const frame = this.#frame
    const flags = this.#flags[n]!
    const known = this.#knownBefore(n)
    frame.registers.held = known.registers
    frame.flags = known.flags
    frame.unitsOn.clear()
    for (const [index, instruction] of block.instructions.entries())
      this.#emitInstruction(n, instruction, index, flags)
    const last = block.instructions.at(-1)!
    switch (block.flow) {
      case 'next':
      case 'conditional':
        this.#edge(n, block.next, add(frame.origin, i64(this.#behind(last))))
        break
      default:
        this.#f.unreachable()
    }
  }
  #emitInstruction(n: number, instruction: number, index: number, flags: BlockFlags): void {
    const frame = this.#frame
    const block = this.#blocks[n]!
    const uop = this.#uop(instruction)
    const handler = handlerOf(handlerNumber(this.#job, instruction))
    const use = flags.uses[index]
    if (handler === undefined || use === undefined) {
      leaveRegion(frame, add(frame.origin, i64(this.#distance(instruction))), true)
      return
    }
    const address = this.#address(instruction)
    const behind = this.#behind(instruction)
    const described: RegionInstruction = {
      uop,
      from: this.#distance(instruction),
      behind,
      facts: handler.facts,
      key: handler.key,
      width: handler.width,
      use,
      wanted: flags.behind[index]!,
      address: address?.value,
      branch: () => {
        const target = add(frame.origin, i64(behind + uop.getInt32(UOP.displacement, true)))
        this.#trace(target)
        this.#edge(n, block.taken, target)
      },
      jump: (target) => this.#jump(n, target),
    }
    const emit = new EmitRegion(frame, described)
    if (handler.vector) {
      const { row, run } = VECTOR_MEANINGS[handler.key]!
      emit.run(() => {
        const s = new EmitVector(emit, row)
        s.prologue()
        run(s)
      })
    } else emit.run((s) => MEANINGS[handler.key]!.run(s, handler.width))
    address?.release()
  }
  /** What an address micro-op makes. */
  #address(instruction: number): { value: Expr; release: () => void } | undefined {
    const uop = this.#addressUop(instruction)
    if (uop === undefined) return undefined
    const f = this.#f
    const frame = this.#frame
    const emit = new EmitRegion(frame, { ...NOWHERE, uop, from: this.#distance(instruction) })
    const isAbsolute = uop.getUint16(UOP.handler, true) === SPECIAL.absolute
    const mask = uop.getBigInt64(UOP.immediate64, true)
    const offset = isAbsolute ? i64(mask) : and(emit.effectiveAddress(0) as unknown as Expr, i64(mask))
    const local = f.local('i64')
    f.set(local, add(offset, emit.word64(uop.getUint16(UOP.operand[0], true))))
    return { value: f.get(local, 'i64'), release: () => f.release(local, 'i64') }
  }

  /** What is known at the beginning of a block: of its only edge, or what all edges that led here have in common. */
  #knownBefore(n: number): Known {
    const edges = this.#known[n]!
    if (!this.#isMeeting[n] && edges.length === 1) return edges[0]!
    const isDispatched = this.#isDispatched(n)
    const valid = isDispatched ? 0 : edges.reduce((all, { registers }) => all & registers.valid, 0xffff)
    return {
      registers: edges.length === 0 ? NOTHING_HELD : { valid, dirty: 0 },
      flags: this.#formAtMeeting(n),
    }
  }
  /** Where ways meet, the state block has the flags: as words if their values are wanted. */
  #formAtMeeting(n: number): FlagForm {
    return this.#flags[n]!.before === WANTED.values && !this.#isDispatched(n) ? { kind: 'words' } : IN_STATE
  }
  /** Whether a dispatcher sends there, or through there: nothing is known then. */
  #isDispatched(n: number): boolean {
    const { dispatch } = this.#shape
    return dispatch.has(n + 1) || [...dispatch.values()].some((targets) => targets.includes(n + 1))
  }
  #findMeetings(): boolean[] {
    const arrivals = this.#blocks.map((_, n): number => (this.#isDispatched(n) ? 2 : 0))
    this.#blocks.forEach((block, from) => {
      for (const to of successors(block)) {
        if (to < 0) continue
        const kind = this.#shape.edge(from, to)
        arrivals[to] = arrivals[to]! + (kind === 'back' || kind === 'dispatch' ? 2 : 1)
      }
    })
    return arrivals.map((count) => count > 1)
  }

  /** Goes on in a block, or leaves for `target`. This way ends here: what is known stays as it was for others. */
  #edge(from: number, to: number, target: Expr): void {
    if (to < 0) {
      this.#leave(target)
      return
    }
    const f = this.#f
    const frame = this.#frame
    const before: Known = { registers: frame.registers.held, flags: frame.flags }
    this.#checkPage(from, to, target)
    if (this.#isMeeting[to]) this.#meet(to)
    this.#known[to]!.push({ registers: frame.registers.held, flags: frame.flags })
    const position = to + 1
    const kind = this.#shape.edge(from, to)
    if (kind === 'dispatch' || kind === 'back') this.#spendBranch(target)
    if (kind === 'dispatch') {
      f.set(this.#next, i32(position))
      f.br(this.#dispatcher)
    } else {
      if (this.#shape.dispatch.has(position)) f.set(this.#next, i32(-1))
      if (kind === 'back') f.br(this.#labelOf('loop', position))
      else if (kind === 'forward' || this.#hasScopeEnding(position)) f.br(this.#labelOf('block', position))
    }
    frame.registers.held = before.registers
    frame.flags = before.flags
  }
  #leave(target: Expr): void {
    leaveRegion(this.#frame, target, false)
  }
  /** Brings registers and flags into the state block, as the block where ways meet expects them. */
  #meet(to: number): void {
    const frame = this.#frame
    const { registers } = frame
    registers.store()
    registers.held = { valid: registers.held.valid, dirty: 0 }
    if (this.#flags[to]!.before === WANTED.nothing) return
    if (this.#formAtMeeting(to).kind === 'words') {
      const emit = new EmitRegion(frame, NOWHERE)
      emit.flagsToWords()
      emit.done()
    } else {
      storeFlags(frame)
      frame.flags = IN_STATE
    }
  }
  /** Tells a traced core of a taken branch, which counts it and may want to poll. */
  #trace(target: Expr): void {
    const f = this.#f
    const frame = this.#frame
    const { trace, traced } = frame.core
    if (trace === undefined) return
    frame.registers.store()
    if (traced === 'all') storeFlags(frame)
    f.ifUnlikely(f.call(trace, 'i32', frame.state, target), () => {
      f.set(this.#left, i32(0))
      this.#leave(target)
    })
  }
  #spendBranch(target: Expr): void {
    if (this.#frame.core.trace !== undefined) return
    const f = this.#f
    f.set(this.#left, sub32(f.get(this.#left, 'i32'), i32(1)))
    f.ifUnlikely(not32(gtS32(f.get(this.#left, 'i32'), i32(0))), () => this.#leave(target))
  }
  #pageOf(block: number): number {
    return this.#job.shape[this.#blocks[block]!.instructions[0]! * SHAPE.words + SHAPE.page]!
  }
  /** Into another page only while it is mapped where the code was found. */
  #checkPage(from: number, to: number, target: Expr): void {
    const page = this.#pageOf(to)
    const last = this.#blocks[from]!.instructions.at(-1)!
    if (this.#job.shape[last * SHAPE.words + SHAPE.page] === page) return
    const f = this.#f
    const bit = i32(1 << page)
    f.ifUnlikely(not32(and32(f.get(this.#valid, 'i32'), bit)), () => {
      const linear = add(this.#frame.origin, i64(this.#job.pages[page]! * PAGE))
      const host = f.call(this.#frame.core.regionPage, 'i32', this.#frame.state, linear)
      f.ifUnlikely(ne32(host, load32(4, this.#pages, page * 4)), () => this.#leave(target))
      f.set(this.#valid, or32(f.get(this.#valid, 'i32'), bit))
    })
  }
  /** A return or an indirect jump: to a call site of this region, or out. */
  #jump(from: number, target: Expr): void {
    const f = this.#f
    const kept = f.local('i64')
    f.set(kept, target)
    const value = f.get(kept, 'i64')
    this.#trace(value)
    for (const site of this.#blocks[from]!.returns) {
      const linear = add(this.#frame.origin, i64(this.#distance(this.#blocks[site]!.instructions[0]!)))
      const { registers } = this.#frame
      registers.piece(true, () => f.if(eq(value, linear), () => this.#edge(from, site, value)))
    }
    this.#leave(value)
    f.release(kept, 'i64')
  }

  /** What is wanted of the flags before and behind every instruction: backwards until nothing changes. */
  #findFlags(): BlockFlags[] {
    const found = this.#blocks.map((block): BlockFlags => {
      const uses = block.instructions.map((instruction) => {
        const number = handlerNumber(this.#job, instruction)
        const handler = handlerOf(number)
        return handler === undefined || flowOf(number) === 'leave'
          ? undefined
          : flagUse(handler, this.#uop(instruction))
      })
      return { uses, before: WANTED.nothing, behind: block.instructions.map(() => WANTED.nothing) }
    })
    for (let changed = true; changed; ) {
      changed = false
      for (let n = found.length - 1; n >= 0; n--) {
        const block = this.#blocks[n]!
        const flags = found[n]!
        let wanted = this.#wantedAtEnd(n, block, found)
        for (let index = block.instructions.length - 1; index >= 0; index--) {
          flags.behind[index] = wanted
          const use = flags.uses[index]
          wanted = use === undefined ? WANTED.onLeaving : wantedBefore(use, wanted)
        }
        if (wanted !== flags.before) {
          flags.before = wanted
          changed = true
        }
      }
    }
    return found
  }
  #wantedAtEnd(n: number, block: Block, found: readonly BlockFlags[]): Wanted {
    let wanted: Wanted = WANTED.nothing
    const last = block.instructions.at(-1)!
    const mayLeave =
      successors(block).length === 0 ||
      (this.#frame.core.traced === 'all' && block.flow !== 'next') ||
      successors(block).includes(-1) ||
      block.flow === 'return' ||
      successors(block).some(
        (to) => this.#shape.edge(n, to) === 'back' || this.#shape.edge(n, to) === 'dispatch',
      ) ||
      successors(block).some((to) => this.#pageOf(to) !== this.#job.shape[last * SHAPE.words + SHAPE.page])
    if (mayLeave) wanted = WANTED.onLeaving
    for (const to of successors(block)) if (to >= 0) wanted = Math.max(wanted, found[to]!.before) as Wanted
    return wanted
  }
}

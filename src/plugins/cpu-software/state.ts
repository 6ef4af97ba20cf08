/**
 * The state block of one vCPU and the tables behind it: every offset the interpreter, the memory unit and the
 * TypeScript side share. A vCPU's area of machine memory starts with this block (64 KiB), then come its TLBs,
 * its jump cache, the per-page code tables and the micro-op arena.
 */

/** Offsets within the state block, in bytes. */
const offsets: Record<string, number> = {}
let at = 0
const place = <const Name extends string>(
  name: Name,
  bytes: number,
  align = Math.min(bytes, 16),
): Record<Name, number> => {
  at = Math.ceil(at / align) * align
  offsets[name] = at
  at += bytes
  return { [name]: offsets[name] } as Record<Name, number>
}

export const STATE = {
  /** RAX..R15 in encoding order. */
  ...place('gpr', 16 * 8),
  /** Always zero: the register that is not there. */
  ...place('zero', 8),
  /** Address made by an address micro-op for the instruction that follows it. */
  ...place('tmpAddress', 8),
  /** Linear address of the current page of code: the base of RIP-relative operands. */
  ...place('page', 8),
  /** Linear address of the instruction (the CS base included, outside 64-bit code). */
  ...place('rip', 8),
  /** Linear address of the next instruction, valid inside an assist. */
  ...place('nextRip', 8),
  /** Arithmetic flags: see sem and read/emit.ts. ZF: result = 0; SF: bit 63 of result ^ fixes; PF: parity of the low byte, inverted by bit 2 of fixes; AF: bit 4 of fixes; CF: bit 63 of carries; OF: bit 63 ^ bit 62. */
  ...place('flagResult', 8),
  ...place('flagCarries', 8),
  ...place('flagFixes', 8),
  /** All other RFLAGS bits at their places: TF IF DF IOPL NT RF VM AC VIF VIP ID. */
  ...place('systemFlags', 8),
  /** Segment bases, 8 bytes each: ES CS SS DS FS GS, then LDTR, TR. */
  ...place('segBase', 8 * 8),
  /** Segment limits in bytes, u32 each, same order. */
  ...place('segLimit', 8 * 4),
  /** Selectors, u32 each. */
  ...place('segSelector', 8 * 4),
  /** Attributes as in bits 8..23 of a descriptor's high word (type, S, DPL, P, AVL, L, D, G); bit 16: unusable. u32 each. */
  ...place('segAttributes', 8 * 4),
  ...place('gdtBase', 8),
  ...place('gdtLimit', 4),
  ...place('idtLimit', 4),
  ...place('idtBase', 8),
  ...place('cr0', 8),
  ...place('cr2', 8),
  ...place('cr3', 8),
  ...place('cr4', 8),
  ...place('efer', 8),
  ...place('star', 8),
  ...place('lstar', 8),
  ...place('cstar', 8),
  ...place('sfmask', 8),
  ...place('kernelGsBase', 8),
  ...place('tscAux', 8),
  ...place('dr', 8 * 8),
  /** Mask of the stack pointer: 0xffff, 0xffffffff or all ones. */
  ...place('stackMask', 8),
  /** 0: 64-bit code, 1: 32, 2: 16 (index of the code tables). */
  ...place('mode', 4),
  ...place('cpl', 4),
  /** Not zero: decoding dropped all micro-ops, also the one that was to be linked. */
  ...place('codeFlushed', 4),
  /** Addresses of the code tables of the three modes. */
  ...place('codeTables', 12, 4),
  /** Address of the TLB in use: by privilege. */
  ...place('tlb', 4),
  /** Page walks: 1 when four-level paging is on; else the walk is done in TypeScript. */
  ...place('longPaging', 4),
  /** Exception that an instruction raised, for `deliver`. */
  ...place('faultVector', 4),
  ...place('faultError', 4),
  ...place('faultAddress', 8),
  /** The store being done by the slow path: an OPEN kind, size, host addresses of its first and second part, bytes in the first. */
  ...place('openKind', 4),
  ...place('openSize', 4),
  ...place('openHost', 4),
  ...place('openHost2', 4),
  ...place('openFirst', 4),
  /** Guest-physical address when a translation found no memory. */
  ...place('mmioAddress', 8),
  /** Results of divWide. */
  ...place('quotient', 8),
  ...place('remainder', 8),
  /** Exception that SSE and MMX instructions raise in this state of CR0 and CR4, 0 for none. */
  ...place('sseFault', 4),
  ...place('mmxFault', 4),
  /** Not zero: the next taken branch polls. */
  ...place('lookSoon', 4),
  /** Not zero while this thread itself wants the run loop: ATTENTION bits. */
  ...place('attention', 4),
  /** Polls that need not ask the TypeScript side while nobody wants anything. */
  ...place('quietPolls', 4),
  /** Not zero: an exception, interrupt or INT went through the IDT since this was cleared. */
  ...place('entered', 4),
  /** Bytes of accesses that cross a page or reach a device; two sets, for load and store. */
  ...place('loadScratch', 32),
  ...place('storeScratch', 32),
  /** x87, MMX and SSE state: fp/state.ts lays it out. */
  ...place('fp', 1024, 64),
  /** Arithmetic flags as a region left them: a LAZY kind and operands, 0 when the three words above are true. */
  ...place('lazyKind', 4),
  ...place('lazyA', 8),
  ...place('lazyB', 8),
  ...place('lazyZ', 8),
  /** COUNTERS, in their order. */
  ...place('counters', 64 * 8, 8),
  /** Samples after which a branch target counts as hot: 0 never, 1 at its first execution; taken branches between two samples. */
  ...place('hotAfter', 4),
  ...place('samplePeriod', 4),
  /** Answers of the compiling thread, counted by it; those taken up. */
  ...place('answers', 4),
  ...place('answersTaken', 4),
  /** Which entries of the jump caches are true: those of this age, never 0. */
  ...place('jumpAge', 4),
  /** Of a traced CPU (trace.ts): events so far, the hash of them all, and the event from which on each is told. */
  ...place('traceCount', 8),
  ...place('traceHash', 8),
  ...place('traceFrom', 8),
  /** Address of a word that is not zero while somebody wants the run loop: the vCPU's request word. */
  ...place('requestAt', 4),
} as const

/**
 * What a vCPU counts, for whoever looks at it from outside: u64 words, little-endian, from `STATE.counters` on. They
 * only grow, but for `regionsLive`, and are not reset with the machine. Read them by `readCounters`.
 */
export const COUNTERS = [
  /** Instructions done in TypeScript, by kind. */
  'assistsSystem',
  'assistsFlags',
  'assistsTransfer',
  'assistsFloat',
  'assistsX87',
  'assistsOther',
  /** Exceptions that instructions raised. */
  'exceptions',
  /** Instructions decoded; times that all decoded code was dropped; writes to pages with decoded code. */
  'decodes',
  'codeFlushes',
  'invalidations',
  /** Page walks (TLB misses); flushes of all, and of one page. */
  'walks',
  'tlbFlushes',
  'pageFlushes',
  /** Lookups of a branch target that the jump cache did not know. */
  'jumpMisses',
  /** Looks at the request word. */
  'polls',
  /** Taken branches in the interpreter, rounded up to some dozens at each poll. */
  'interpreterBranches',
  /** Regions: entered; taken backward branches inside; instructions left to the interpreter by a region. */
  'regionEntries',
  'regionBranches',
  'regionExits',
  /** Regions asked for, compiled here or by another vCPU, dropped because their code was written, dropped to make room, alive now. */
  'regionsWanted',
  'regionsMade',
  'regionsWritten',
  'regionsEvicted',
  'regionsLive',
  /** Instructions in all regions made, and bytes of their WebAssembly. */
  'regionInstructions',
  'regionBytes',
] as const
export type CounterName = (typeof COUNTERS)[number]
/** Offset of a counter in the state block. */
export const counterOffset = (name: CounterName): number => STATE.counters + COUNTERS.indexOf(name) * 8

/** All counters of the vCPU whose state block starts at `base`; from any thread. */
export function readCounters(view: DataView, base: number): Record<CounterName, number> {
  const read = (name: CounterName) => Number(view.getBigUint64(base + counterOffset(name), true))
  return Object.fromEntries(COUNTERS.map((name) => [name, read(name)])) as Record<CounterName, number>
}

export const STATE_BYTES = 65536

/** TLB: direct-mapped entries of 32 bytes. A tag is the page's linear address, or NO_TAG. */
export const TLB_ENTRIES = 2048
export const TLB_ENTRY = { readTag: 0, writeTag: 8, executeTag: 16, addend: 24, size: 32 } as const
export const TLB_BYTES = TLB_ENTRIES * TLB_ENTRY.size
export const NO_TAG = -1n
/** One TLB for CPL 0-2, one for CPL 3. */
export const TLB_SUPERVISOR = STATE_BYTES
export const TLB_USER = TLB_SUPERVISOR + TLB_BYTES

/**
 * Jump caches, one for each TLB: what a supervisor may fetch, a user may not. Linear address and age (`jumpAge`) →
 * micro-op; and if a region starts there, what entering it takes, so that one region leads to the next with few
 * cache lines touched. `slot` is 0 until that is looked up, and where none starts.
 */
export const JUMP = { linear: 0, uop: 8, age: 12, slot: 16, entry: 20, pages: 24, size: 32 } as const
export const JUMP_ENTRIES = 4096
export const JUMP_CACHE = TLB_USER + TLB_BYTES
export const JUMP_BYTES = JUMP_ENTRIES * JUMP.size

/** Large-page marks: a bit per hashed 2 MiB region that has been entered into a TLB from a large page. */
export const LARGE_MARKS = JUMP_CACHE + 2 * JUMP_BYTES
export const LARGE_MARKS_BYTES = 512

/** Samples of branch targets, one byte each, by hashed linear address. */
export const HEAT = LARGE_MARKS + 4096
export const HEAT_BYTES = 65536

/** Code tables: for each mode, one u32 per host page: address of the page's slots, 0 for none. */
export const CODE_TABLES = HEAT + HEAT_BYTES

/** Micro-op: 32 bytes. */
export const UOP = {
  handler: 0,
  length: 2,
  /** log2 of the index factor; condition or size where an assist wants one. */
  scale: 3,
  /** Offset of the instruction in its page. */
  pageOffset: 4,
  /** Operands 0, 1, 2: offsets of registers in the state block. */
  operand: [6, 8, 14] as const,
  base: 10,
  index: 12,
  displacement: 16,
  immediate: 20,
  /** Micro-op of the branch target, once known and on the same page. */
  link: 24,
  /** Number of the assist, of instructions that have one. */
  assist: 24,
  /** 64-bit immediates lie here instead (MOV has no link). */
  immediate64: 24,
  size: 32,
} as const

/** Answers of assists and out-of-line handlers. */
export const OUTCOME = {
  next: 0,
  /** faultVector and faultError say which exception. */
  fault: 1,
  /** Go to `rip`. */
  jump: 2,
  /** Leave the interpreter; `rip` is where to go on. */
  leave: 3,
  /** The same instruction again (REP). */
  again: 4,
} as const

/**
 * Ways to keep flags as operands and result, zero-extended: the number of the way times 4, plus log2 of the operand's
 * bytes, plus 1. `result`: a has CF, OF and AF in bits 0, 1 and 2.
 */
export const LAZY = { add: 0, sub: 1, logic: 2, result: 3 } as const

/**
 * Where a region is entered: the block's first micro-op, moved here, and a `goto` to the one behind it; then the
 * region's slot in the core's table, the number of the entry, how often it was looked up, and the host address of each
 * of the region's pages.
 */
export const ENTRY = { slot: 64, entry: 68, uses: 72, pages: 76, size: 80 } as const

/** What `storeCommit` has to do. */
export const OPEN = {
  /** Nothing: the page is plain RAM. */
  plain: 0,
  /** The page holds decoded code; the store went to it directly. */
  code: 1,
  /** The bytes are in the store scratch and belong to two pages. */
  crossing: 2,
  /** The bytes are in the store scratch and belong to a device at mmioAddress. */
  device: 3,
} as const

/** Why this thread wants to leave the interpreter. */
export const ATTENTION = {
  /** Something changed that only the run loop takes up. */
  look: 1,
  /** An interrupt was announced and not found undeliverable for good. */
  interrupt: 2,
  /** A single step: nothing but its one instruction. */
  step: 4,
} as const

export const SEGMENT = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const

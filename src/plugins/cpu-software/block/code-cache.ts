/**
 * Decoded code of one vCPU: micro-ops in an arena, found by host page and offset.
 *
 * Each page of code has, per mode, an array of 4096 slots: the micro-op of the instruction that starts at
 * that offset. Straight-line code is decoded ahead until a jump, the page's end or code already decoded.
 * A write to a page with code drops exactly the instructions it touches, by making their first micro-op
 * `stale`. Micro-ops are independent of linear addresses, so address spaces share them.
 */
import { PAGE_SIZE } from '../../../base/machine-memory.ts'
import type { Cpu } from '../cpu.ts'
import { mmxOffset, xmmOffset } from '../fp/state.ts'
import { findHandler, NATIVE_HANDLERS, operandKinds, SPECIAL } from '../handlers.ts'
import { type Decode, Decoded, decode, INVALID, NEED_MORE } from '../isa/decode.ts'
import type { Operand, Row } from '../isa/row.ts'
import { ROWS } from '../isa/table.ts'
import type { OperandKind } from '../read/surroundings.ts'
import { VECTOR_MEANINGS } from '../sem/vector-meanings.ts'
import { CODE_TABLES, type CounterName, SEGMENT, STATE, UOP } from '../state.ts'
import { findAssist } from '../system/assists.ts'
import { nativeKey } from '../system/native.ts'
import type { AssistRun } from '../system/operands.ts'

/** An instruction that the TypeScript side executes. */
export interface AssistOp {
  readonly run: AssistRun
  readonly row: Row
  readonly opSize: number
  readonly addrSize: number
  readonly rep: number
  /** Segment of memory operands: override or default. */
  readonly segment: number
  readonly isMem: boolean
  /** ModRM.reg, ModRM.rm or the register in the opcode, as decoded. */
  readonly reg: number
  readonly rm: number
  readonly reg2: number
  readonly imm: number
  readonly immHi: number
  readonly imm2: number
  readonly lock: boolean
  readonly length: number
  /** What its use is counted as. */
  readonly counter: CounterName
}

const FLAG_ASSISTS = /^(PUSHF|POPF|CLI|STI|CLD|STD|LAHF|SAHF)/
const TRANSFERS = /^(SYSCALL|SYSRET|SYSENTER|SYSEXIT|IRET|INT|JMP|CALL|RET|UD)/
const counterOf = (row: Row): CounterName => {
  if (FLAG_ASSISTS.test(row.mnemonic)) return 'assistsFlags'
  if (TRANSFERS.test(row.mnemonic)) return 'assistsTransfer'
  if (row.operands.some((o) => o.kind === 'xmm' || o.kind === 'xmm/m')) return 'assistsFloat'
  if (/^F/.test(row.mnemonic)) return 'assistsX87'
  return row.cpl0 || /^(CPUID|RDTSC|VMCALL|VMMCALL|MOV|PAUSE)/.test(row.mnemonic)
    ? 'assistsSystem'
    : 'assistsOther'
}

const LONGEST = 15
/** Instructions decoded ahead at once. */
const AHEAD = 96
const SLOTS_BYTES = PAGE_SIZE * 4
/**
 * Writes to a page, with nothing decoded there in between, after which all its code is given up: it has most likely become
 * data. Each time that proves wrong it takes twice as many.
 */
const WRITES_OF_DATA = { first: 64, most: 16384 } as const
/** Room that one decoding may need. */
const RESERVE = (AHEAD + 4) * 3 * UOP.size + 2 * SLOTS_BYTES

/** Meanings and assists after which straight-line decoding stops. */
const ENDS =
  /^(JMP|JMPF|CALL|CALLF|RET|RETF|IRET|IRETD|IRETQ|INT|INT3|INT1|UD0|UD1|UD2|SYSCALL|SYSRET|SYSENTER|SYSEXIT)$/

const BIT_STRINGS = /^BT[SRC]?$/

const registerOffset = (n: number): number => (n < 16 ? STATE.gpr + n * 8 : STATE.gpr + (n - 16) * 8 + 1)
const FIXED: Readonly<Record<string, number>> = { AL: 0, AX: 0, EAX: 0, RAX: 0, CL: 1, DX: 2, AH: 16 }

interface Crosser {
  readonly uop: number
  readonly slot: number
}

export class CodeCache {
  readonly #cpu: Cpu
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #u32: Uint32Array
  readonly #d = new Decoded()
  readonly #decode: Decode
  readonly #tables: readonly number[]
  readonly #arenaStart: number
  readonly #arenaEnd: number
  #next: number
  #assists: AssistOp[] = []
  /** Pages that were written to: how often since code was decoded there, and how often it takes. */
  readonly #writes = new Map<number, { count: number; limit: number }>()
  /** Arrays of slots that no page has. */
  #freeSlots: number[] = []
  /** Instructions whose second half lies on the given host page. */
  readonly #crossers = new Map<number, Crosser[]>()
  readonly #crossBytes = new Uint8Array(32)
  /** Whether system instructions take their common way in WebAssembly; tests compare it with the assists. */
  usesNatives = true
  readonly #handlers = new Map<number, { number: number; kinds: readonly OperandKind[]; assisted: boolean }>()

  constructor(cpu: Cpu, decoder: Decode = decode) {
    this.#cpu = cpu
    this.#decode = decoder
    const { memory, base } = cpu.state
    this.#view = memory.view
    this.#u8 = memory.u8
    this.#u32 = memory.u32
    const pages = memory.layout.totalBytes / PAGE_SIZE
    this.#tables = [0, 1, 2].map((mode) => base + CODE_TABLES + mode * pages * 4)
    this.#arenaStart = Math.ceil((base + CODE_TABLES + 3 * pages * 4) / 4096) * 4096
    this.#arenaEnd = base + memory.layout.vcpuStride
    this.#next = this.#arenaStart
    this.#tables.forEach((table, mode) => {
      this.#view.setUint32(base + STATE.codeTables + mode * 4, table, true)
    })
  }

  assist(uop: number): AssistOp {
    return this.#assists[this.#view.getUint32(uop + UOP.assist, true)]!
  }

  /** Drops everything: reset, arena full. */
  flush(): void {
    const { memory, base } = this.#cpu.state
    const pages = memory.layout.totalBytes / PAGE_SIZE
    this.#u8.fill(0, base + CODE_TABLES, base + CODE_TABLES + 3 * pages * 4)
    this.#next = this.#arenaStart
    this.#assists = []
    this.#freeSlots = []
    this.#crossers.clear()
    this.#cpu.translator.flush()
    this.#cpu.flushJumps()
    this.#cpu.state.setHalf('codeFlushed', 1)
    this.#cpu.count('codeFlushes')
  }

  /** Room in the arena, until the next flush; 0 if there is none to spare. */
  allocate(bytes: number): number {
    if (this.#arenaEnd - this.#next < RESERVE + bytes) return 0
    const at = this.#next
    this.#next += Math.ceil(bytes / UOP.size) * UOP.size
    return at
  }
  /** Whether decoding would have to flush first. */
  get isFull(): boolean {
    return this.#arenaEnd - this.#next < RESERVE
  }

  #slots(mode: number, hostPage: number): number {
    const entry = this.#tables[mode]! / 4 + hostPage
    const writes = this.#writes.get(hostPage)
    if (writes !== undefined) writes.count = 0
    let slots = this.#u32[entry]!
    if (slots === 0) {
      slots = this.#freeSlots.pop() ?? this.#next
      if (slots === this.#next) this.#next += SLOTS_BYTES
      this.#u8.fill(0, slots, slots + SLOTS_BYTES)
      this.#u32[entry] = slots
      this.#cpu.markCode(hostPage)
    }
    return slots
  }

  /** False where nothing can be decoded: the second half of an instruction is on a page that is not there. */
  decodeIfNew(linear: bigint, hostPage: number): boolean {
    const slots = this.#u32[this.#tables[this.#cpu.state.half('mode')]! / 4 + hostPage]!
    if (slots !== 0 && this.#u32[slots / 4 + Number(linear & 4095n)]! !== 0) return true
    return this.decodeAt(linear, hostPage) !== 0
  }

  /** Decodes from the linear address in `rip`; `host` is the host address of its page. Returns the micro-op, or 0 with a fault recorded. */
  decodeAt(linear: bigint, hostPage: number): number {
    if (this.#arenaEnd - this.#next < RESERVE) this.flush()
    const mode = this.#cpu.state.half('mode')
    const size = this.#cpu.state.codeSize
    const slots = this.#slots(mode, hostPage)
    const pageStart = hostPage * PAGE_SIZE
    const d = this.#d
    const first = Number(linear & 4095n)
    const start = this.#next
    let at = first
    for (let count = 0; ; count++) {
      if (at >= PAGE_SIZE || count >= AHEAD) {
        this.#special(SPECIAL.resume, at)
        break
      }
      const slot = slots + at * 4
      const known = this.#u32[slot / 4]!
      if (known !== 0) {
        const uop = this.#special(SPECIAL.goto, at)
        this.#view.setUint32(uop + UOP.link, known, true)
        break
      }
      const length = this.#decode(this.#u8, pageStart + at, pageStart + PAGE_SIZE, size, d)
      if (length === NEED_MORE) {
        if (at === first) return this.#decodeCrossing(linear, hostPage, slot, size)
        this.#special(SPECIAL.resume, at)
        break
      }
      this.#u32[slot / 4] = this.#next
      this.#cpu.count('decodes')
      if (length < 0) {
        this.#invalid(length, at)
        break
      }
      if (this.#lower(d, at, size)) {
        at += length
        // Whoever goes on behind a jump does so by address.
        this.#special(SPECIAL.resume, at)
        break
      }
      at += length
    }
    return start
  }

  /** Whether the instruction at a host address has its memory operand in the stack segment, or only the stack itself as memory. */
  addressesStack(host: number): boolean {
    const end = (Math.floor(host / PAGE_SIZE) + 1) * PAGE_SIZE
    if (this.#decode(this.#u8, host, end, this.#cpu.state.codeSize, this.#d) <= 0) return false
    const d = this.#d
    if (d.isMem) return (d.seg >= 0 ? d.seg : d.defaultSeg) === SEGMENT.SS
    return /^(PUSH|POP|CALL|RET|LEAVE|ENTER|IRET|INT)/.test(ROWS[d.row]!.mnemonic)
  }

  /** One instruction to step over: not entered into the slots. 0 with a fault recorded. */
  decodeOne(linear: bigint, hostPage: number): number {
    if (this.#arenaEnd - this.#next < RESERVE) this.flush()
    const size = this.#cpu.state.codeSize
    const pageStart = hostPage * PAGE_SIZE
    const at = Number(linear & 4095n)
    const length = this.#decode(this.#u8, pageStart + at, pageStart + PAGE_SIZE, size, this.#d)
    if (length === NEED_MORE) {
      const slots = this.#slots(this.#cpu.state.half('mode'), hostPage)
      return this.#decodeCrossing(linear, hostPage, slots + at * 4, size)
    }
    const start = this.#next
    if (length < 0) this.#invalid(length, at)
    else {
      this.#lower(this.#d, at, size)
      this.#special(SPECIAL.resume, at + length)
    }
    return start
  }

  #decodeCrossing(linear: bigint, hostPage: number, slot: number, size: 64 | 32 | 16): number {
    const offset = Number(linear & 4095n)
    const here = PAGE_SIZE - offset
    const second = this.#cpu.translateForFetch(BigInt.asUintN(64, (linear | 4095n) + 1n))
    if (second === 0) return 0
    const bytes = this.#crossBytes.fill(0xff)
    bytes.set(this.#u8.subarray(hostPage * PAGE_SIZE + offset, (hostPage + 1) * PAGE_SIZE), 0)
    if (second > 1) bytes.set(this.#u8.subarray(second, second + LONGEST), here)
    const length = this.#decode(bytes, 0, here + LONGEST, size, this.#d)
    if (second > 1) this.#cpu.markCode(second / PAGE_SIZE)
    const start = this.#special(SPECIAL.crossing, offset)
    this.#view.setUint32(start + UOP.immediate, second, true)
    this.#view.setUint32(start + UOP.link, slot, true)
    this.#u32[slot / 4] = start
    const list = this.#crossers.get(second / PAGE_SIZE)
    if (list === undefined) this.#crossers.set(second / PAGE_SIZE, [{ uop: start, slot }])
    else list.push({ uop: start, slot })
    this.#cpu.count('decodes')
    if (length < 0) this.#invalid(length, offset)
    else {
      this.#lower(this.#d, offset, size)
      this.#special(SPECIAL.resume, offset + length)
    }
    return start
  }

  #uop(handler: number, at: number, length: number): number {
    const uop = this.#next
    this.#next += UOP.size
    const view = this.#view
    view.setBigUint64(uop, 0n, true)
    view.setBigUint64(uop + 8, 0n, true)
    view.setBigUint64(uop + 16, 0n, true)
    view.setBigUint64(uop + 24, 0n, true)
    view.setUint16(uop + UOP.handler, handler, true)
    view.setUint8(uop + UOP.length, length)
    view.setUint16(uop + UOP.pageOffset, at, true)
    return uop
  }
  #special(handler: number, at: number): number {
    return this.#uop(handler, at, 0)
  }

  #invalid(why: number, at: number): void {
    const run: AssistRun = why === INVALID ? (cpu) => cpu.undefinedInstruction() : (cpu) => cpu.raise('GP', 0)
    this.#assistUop(run, ROWS[0]!, at, 1, false)
  }

  /** `handler` may be a native one, which calls the assist when it gives up. */
  #assistUop(
    run: AssistRun,
    row: Row,
    at: number,
    length: number,
    isMem: boolean,
    handler: number = SPECIAL.assist,
  ): void {
    const d = this.#d
    const uop = this.#uop(handler, at, length)
    this.#view.setUint8(uop + UOP.scale, d.reg & 31)
    this.#view.setUint16(uop + UOP.operand[1], registerOffset(d.rm & 15), true)
    this.#attachAssist(uop, run, row, length, isMem)
  }
  #attachAssist(uop: number, run: AssistRun, row: Row, length: number, isMem: boolean): void {
    const d = this.#d
    this.#view.setUint32(uop + UOP.assist, this.#assists.length, true)
    this.#assists.push({
      run,
      row,
      opSize: d.opSize,
      addrSize: d.addrSize,
      rep: d.rep,
      segment: d.seg >= 0 ? d.seg : d.defaultSeg,
      isMem,
      reg: d.reg,
      rm: d.rm,
      reg2: d.reg2,
      imm: d.imm,
      immHi: d.immHi,
      imm2: d.imm2,
      lock: d.lock,
      length,
      counter: counterOf(row),
    })
  }

  /** Writes the micro-ops of one instruction; true if nothing falls through to what follows. */
  #lower(d: Decoded, at: number, size: 64 | 32 | 16): boolean {
    const row = ROWS[d.row]!
    const memory = row.operands.find((o) => this.#isMemory(o, d))
    const isMem = memory !== undefined
    const found = this.#handlerOf(row, d, size, isMem)
    if (found.number < 0 || (found.assisted && !this.usesNatives)) {
      if (isMem) this.#address(d, row, memory, at, size)
      const run = findAssist(row)
      const native = this.usesNatives ? nativeKey(row, d, size) : undefined
      const handler = native === undefined ? SPECIAL.assist : NATIVE_HANDLERS.get(native)!
      const assist = run ?? ((cpu) => cpu.unimplementedInstruction(row.form))
      this.#assistUop(assist, row, at, d.length, isMem, handler)
      return run === undefined || ENDS.test(row.mnemonic)
    }
    const direct = isMem && size === 64 && this.#isDirect(d, memory)
    if (isMem && !direct) this.#address(d, row, memory, at, size)
    const uop = this.#uop(found.number, at, d.length)
    const view = this.#view
    // LEA takes the address without its segment's base.
    if (isMem && direct) this.#memoryFields(uop, d, at, row.mnemonic === 'LEA' ? -1 : d.seg)
    else if (isMem) {
      view.setUint16(uop + UOP.base, STATE.tmpAddress, true)
      view.setUint16(uop + UOP.index, STATE.zero, true)
    } else if (d.row >= 0 && row.rep !== '') {
      // String instructions: the source's segment base, element size and whether the destination is written.
      const segment = d.seg >= 0 ? d.seg : SEGMENT.DS
      view.setUint16(
        uop + UOP.base,
        size === 64 && segment < SEGMENT.FS ? STATE.zero : STATE.segBase + segment * 8,
        true,
      )
      view.setUint16(uop + UOP.operand[0], segment, true)
      view.setUint16(uop + UOP.operand[1], /^(MOVS|STOS)$/.test(row.mnemonic) ? 1 : 0, true)
      view.setUint8(uop + UOP.scale, d.opSize / 8)
    }
    // Bit strings: the index moves the address, which then wraps at its size (with FS or GS it is no offset any more).
    if (isMem && BIT_STRINGS.test(row.mnemonic) && row.operands[1]?.kind === 'r') {
      const whole = d.addrSize === 64 || (size === 64 && d.seg >= SEGMENT.FS)
      view.setBigInt64(uop + UOP.immediate64, whole ? -1n : 0xffffffffn, true)
    }
    let position = 0
    for (const o of row.operands) {
      if (o.kind === 'rel') {
        view.setInt32(uop + UOP.displacement, d.imm, true)
        continue
      }
      if (o.where === 'fixed' && o.kind === 'm') continue
      const kind = found.kinds[position]!
      if (kind === 'i')
        view.setInt32(uop + UOP.immediate, o.kind === 'fixed' ? 1 : o.where === 'imm2' ? d.imm2 : d.imm, true)
      else if (kind === 'I') {
        view.setInt32(uop + UOP.immediate64, d.imm, true)
        view.setInt32(uop + UOP.immediate64 + 4, d.immHi, true)
      } else if (kind === 'r' && row.rep === '')
        view.setUint16(uop + UOP.operand[position as 0 | 1 | 2], this.#operandOffset(o, d), true)
      position++
    }
    if (found.assisted) this.#attachAssist(uop, findAssist(row)!, row, d.length, isMem)
    return ENDS.test(row.mnemonic)
  }

  #isMemory(o: Operand, d: Decoded): boolean {
    if (o.kind === 'm') return o.where !== 'fixed'
    return o.kind === 'moffs' || ((o.kind === 'rm' || o.kind === 'xmm/m' || o.kind === 'mm/m') && d.isMem)
  }
  #handlerOf(row: Row, d: Decoded, size: 64 | 32 | 16, isMem: boolean) {
    const wide = row.operands.some((o) => o.kind === 'imm' && o.width === 64) && d.immHi !== d.imm >> 31
    const rep = d.rep === 0 ? 0 : d.rep === 0xf3 ? 1 : 2
    const key =
      (((((row.index * 3 + rep) * 2 + (isMem ? 1 : 0)) * 2 + (d.lock ? 1 : 0)) * 4 + (size >> 5)) * 4 +
        (d.addrSize >> 5)) *
        2 +
      (wide ? 1 : 0)
    let found = this.#handlers.get(key)
    if (found === undefined) {
      const kinds = operandKinds(row, isMem, wide)
      const assisted = VECTOR_MEANINGS[row.form]?.assisted ?? false
      found = { number: findHandler(row, d, size, kinds), kinds, assisted }
      this.#handlers.set(key, found)
    }
    return found
  }
  #operandOffset(o: Operand, d: Decoded): number {
    if (o.kind === 'fixed') return registerOffset(FIXED[o.text] ?? 0)
    const n = o.where === 'reg' ? d.reg : o.where === 'reg2' ? d.reg2 : d.rm
    if (o.kind === 'xmm' || o.kind === 'xmm/m') return STATE.fp + xmmOffset(n)
    if (o.kind === 'mm' || o.kind === 'mm/m') return STATE.fp + mmxOffset(n)
    return registerOffset(n)
  }

  /** Base, index and displacement fit the micro-op's own fields: 64-bit addresses with at most one segment base as index. */
  #isDirect(d: Decoded, o: Operand): boolean {
    return o.kind !== 'moffs' && d.addrSize === 64 && (d.seg < 0 || d.index < 0)
  }
  #memoryFields(uop: number, d: Decoded, at: number, seg: number): void {
    const view = this.#view
    // POP addresses its operand with the stack pointer already moved.
    const popped = ROWS[d.row]!.mnemonic === 'POP' && d.base === 4 ? d.opSize / 8 : 0
    const base = d.ripRelative ? STATE.page : d.base >= 0 ? STATE.gpr + d.base * 8 : STATE.zero
    view.setUint16(uop + UOP.base, base, true)
    const index = d.index >= 0 ? STATE.gpr + d.index * 8 : seg >= 0 ? STATE.segBase + seg * 8 : STATE.zero
    view.setUint16(uop + UOP.index, index, true)
    view.setUint8(uop + UOP.scale, d.index >= 0 ? d.scale : 0)
    view.setInt32(uop + UOP.displacement, d.disp + popped + (d.ripRelative ? at + d.length : 0), true)
  }
  /** A micro-op that makes tmpAddress for the one that follows. */
  #address(d: Decoded, row: Row, o: Operand, at: number, size: 64 | 32 | 16): void {
    const view = this.#view
    const segment = d.seg >= 0 ? d.seg : o.kind === 'moffs' ? SEGMENT.DS : d.defaultSeg
    // LEA, NOP and INVLPG in legacy code take no segment checks of their own.
    const unchecked = size === 64 || /^(LEA|NOP)$/.test(row.mnemonic)
    if (o.kind === 'moffs' && size === 64) {
      const uop = this.#uop(SPECIAL.absolute, at, d.length)
      view.setUint16(uop + UOP.operand[0], d.seg >= 0 ? STATE.segBase + d.seg * 8 : STATE.zero, true)
      view.setInt32(uop + UOP.immediate64, d.imm, true)
      view.setInt32(uop + UOP.immediate64 + 4, d.addrSize === 64 ? d.immHi : 0, true)
      return
    }
    const uop = this.#uop(unchecked ? SPECIAL.address : SPECIAL.addressLegacy, at, d.length)
    if (o.kind === 'moffs') {
      view.setUint16(uop + UOP.base, STATE.zero, true)
      view.setUint16(uop + UOP.index, STATE.zero, true)
      view.setInt32(uop + UOP.displacement, d.imm, true)
    } else this.#memoryFields(uop, d, at, -1)
    const mask = d.addrSize === 64 ? -1n : d.addrSize === 32 ? 0xffffffffn : 0xffffn
    view.setBigInt64(uop + UOP.immediate64, mask, true)
    if (unchecked) {
      const bare = row.mnemonic === 'LEA' || segment < SEGMENT.FS || (size === 64 && d.seg < 0)
      view.setUint16(uop + UOP.operand[0], bare ? STATE.zero : STATE.segBase + segment * 8, true)
    } else {
      view.setUint16(uop + UOP.operand[0], segment, true)
      view.setUint16(uop + UOP.operand[1], Math.max(1, o.memWidth / 8), true)
      view.setUint16(uop + UOP.operand[2], o.access === 'r' || o.memWidth === 0 ? 0 : 1, true)
    }
  }

  /** Bytes of a page with code were written: the instructions they belong to are decoded again before they run. */
  written(host: number, size: number): void {
    const hostPage = Math.floor(host / PAGE_SIZE)
    if (this.#isData(hostPage)) {
      this.#giveUp(hostPage)
      return
    }
    this.#drop(hostPage, host % PAGE_SIZE, size)
  }
  /** Whether so many writes to a page mean that it has no code any more. */
  #isData(hostPage: number): boolean {
    let writes = this.#writes.get(hostPage)
    if (writes === undefined) {
      writes = { count: 0, limit: WRITES_OF_DATA.first }
      this.#writes.set(hostPage, writes)
    }
    if (++writes.count < writes.limit) return false
    writes.count = 0
    writes.limit = Math.min(writes.limit * 2, WRITES_OF_DATA.most)
    return true
  }
  /** Stores to the page need not be seen any more. */
  #giveUp(hostPage: number): void {
    this.#drop(hostPage, 0, PAGE_SIZE)
    for (const table of this.#tables) {
      const entry = table / 4 + hostPage
      if (this.#u32[entry] !== 0) this.#freeSlots.push(this.#u32[entry]!)
      this.#u32[entry] = 0
    }
    this.#cpu.unmarkCode(hostPage)
  }
  #drop(hostPage: number, from: number, size: number): void {
    const to = from + size
    this.#cpu.translator.written(hostPage, from, to)
    for (const table of this.#tables) {
      const slots = this.#u32[table / 4 + hostPage]!
      if (slots === 0) continue
      for (let at = Math.max(0, from - LONGEST + 1); at < to && at < PAGE_SIZE; at++) {
        const uop = this.#u32[slots / 4 + at]!
        if (uop === 0) continue
        // The first micro-op may be an address micro-op; all of an instruction's carry its length.
        const length = this.#view.getUint8(uop + UOP.length) || LONGEST
        if (at + length > from) this.#dropOne(uop, slots + at * 4)
      }
    }
    const crossers = this.#crossers.get(hostPage)
    if (crossers !== undefined && from < LONGEST) {
      for (const { uop, slot } of crossers) this.#dropOne(uop, slot)
      this.#crossers.delete(hostPage)
    }
  }
  #dropOne(uop: number, slot: number): void {
    this.#view.setUint16(uop + UOP.handler, SPECIAL.stale, true)
    if (this.#u32[slot / 4] === uop) this.#u32[slot / 4] = 0
  }
}

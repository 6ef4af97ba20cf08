/**
 * A WebAssembly module writer: expressions are small trees, statements append bytes to a growing buffer.
 *
 * WebAssembly core specification 2.0 (chapter 5, binary format) with threads and SIMD. Only what the CPU
 * needs is here. Trees are cheap to build and let `Expr` constants fold before anything is written.
 */

export type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'
const TYPE_BYTE: Readonly<Record<Type, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b }

/** A growing byte buffer with LEB128 writers. */
export class Bytes {
  data = new Uint8Array(256)
  length = 0
  /** Places of conditional branches that are hardly ever taken (branch hinting proposal), in order. */
  readonly unlikely: number[] = []

  #room(count: number): void {
    if (this.length + count <= this.data.length) return
    const bigger = new Uint8Array(Math.max(this.data.length * 2, this.length + count))
    bigger.set(this.data.subarray(0, this.length))
    this.data = bigger
  }
  u8(value: number): void {
    if (this.length === this.data.length) this.#room(1)
    this.data[this.length++] = value
  }
  u32(value: number): void {
    let v = value >>> 0
    while (v >= 0x80) {
      this.u8((v & 0x7f) | 0x80)
      v >>>= 7
    }
    this.u8(v)
  }
  s32(value: number): void {
    let v = value | 0
    for (;;) {
      const byte = v & 0x7f
      v >>= 7
      if ((v === 0 && (byte & 0x40) === 0) || (v === -1 && (byte & 0x40) !== 0)) {
        this.u8(byte)
        return
      }
      this.u8(byte | 0x80)
    }
  }
  s64(value: bigint): void {
    let v = BigInt.asIntN(64, value)
    for (;;) {
      const byte = Number(v & 0x7fn)
      v >>= 7n
      if ((v === 0n && (byte & 0x40) === 0) || (v === -1n && (byte & 0x40) !== 0)) {
        this.u8(byte)
        return
      }
      this.u8(byte | 0x80)
    }
  }
  append(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.data.set(bytes, this.length)
    this.length += bytes.length
  }
  /** Another buffer's bytes, with its hints. */
  appendAll(other: Bytes): void {
    for (const at of other.unlikely) this.unlikely.push(this.length + at)
    this.append(other.data.subarray(0, other.length))
  }
  name(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.u32(bytes.length)
    this.append(bytes)
  }
  /** A section or body: length, then content. */
  sized(content: Bytes): void {
    this.u32(content.length)
    this.append(content.data.subarray(0, content.length))
  }
  take(): Uint8Array {
    return this.data.slice(0, this.length)
  }
}

/** A value that is yet to be written. `op` -1: constant; -2: local; -3: call; otherwise an opcode (0xfdNN: SIMD, 0xfeNN: atomics). */
export interface Expr {
  readonly type: Type
  readonly op: number
  readonly args: readonly Expr[]
  /** Constant, local index, callee index or memory offset. */
  readonly imm: number | bigint
  /** log2 of the alignment of a memory access, lane number, or callee table type. */
  readonly aux: number
  readonly bytes?: Uint8Array
}

export const CONST = -1
const LOCAL = -2
const CALL = -3
const CALL_INDIRECT = -4
const MEM_LOW = 0x28
const MEM_HIGH = 0x3e

export const i32 = (value: number): Expr => ({ type: 'i32', op: CONST, args: [], imm: value | 0, aux: 0 })
export const i64 = (value: bigint | number): Expr => ({
  type: 'i64',
  op: CONST,
  args: [],
  imm: BigInt.asIntN(64, BigInt(value)),
  aux: 0,
})
export const v128 = (bytes: Uint8Array): Expr => ({
  type: 'v128',
  op: CONST,
  args: [],
  imm: 0,
  aux: 0,
  bytes,
})
/** Any operator by its opcode; integer operators on constants are done here. */
export function op(type: Type, opcode: number, ...args: Expr[]): Expr {
  const [a, b] = args
  if (b?.op === CONST && args.length === 2 && (b.type === 'i64' || b.type === 'i32')) {
    const folded = a!.op === CONST ? foldConstants(opcode, a!, b) : foldIdentity(opcode, a!, b)
    if (folded !== undefined) return folded
  } else if (a?.op === CONST && args.length === 2 && COMMUTES.has(opcode)) return op(type, opcode, b!, a)
  else if (a?.op === CONST && args.length === 1 && (a.type === 'i64' || a.type === 'i32')) {
    const folded = foldUnary(opcode, a)
    if (folded !== undefined) return folded
  } else if (opcode === SELECT && args[2]!.op === CONST) return args[2]!.imm === 0 ? b! : a!
  return { type, op: opcode, args, imm: 0, aux: 0 }
}

const SELECT = 0x1b
const COMMUTES = new Set([0x7c, 0x7e, 0x83, 0x84, 0x85, 0x6a, 0x6c, 0x71, 0x72, 0x73])
function foldConstants(opcode: number, a: Expr, b: Expr): Expr | undefined {
  if (a.type === 'i64') {
    const [x, y] = [a.imm as bigint, b.imm as bigint]
    const [ux, uy] = [BigInt.asUintN(64, x), BigInt.asUintN(64, y)]
    switch (opcode) {
      case 0x51:
        return i32(x === y ? 1 : 0)
      case 0x52:
        return i32(x === y ? 0 : 1)
      case 0x53:
        return i32(x < y ? 1 : 0)
      case 0x54:
        return i32(ux < uy ? 1 : 0)
      case 0x7c:
        return i64(x + y)
      case 0x7d:
        return i64(x - y)
      case 0x7e:
        return i64(x * y)
      case 0x83:
        return i64(x & y)
      case 0x84:
        return i64(x | y)
      case 0x85:
        return i64(x ^ y)
      case 0x86:
        return i64(x << (uy & 63n))
      case 0x87:
        return i64(x >> (uy & 63n))
      case 0x88:
        return i64(ux >> (uy & 63n))
    }
    return undefined
  }
  const [x, y] = [a.imm as number, b.imm as number]
  switch (opcode) {
    case 0x46:
      return i32(x === y ? 1 : 0)
    case 0x47:
      return i32(x === y ? 0 : 1)
    case 0x4b:
      return i32(x >>> 0 > y >>> 0 ? 1 : 0)
    case 0x6a:
      return i32(x + y)
    case 0x6b:
      return i32(x - y)
    case 0x6c:
      return i32(Math.imul(x, y))
    case 0x71:
      return i32(x & y)
    case 0x72:
      return i32(x | y)
    case 0x73:
      return i32(x ^ y)
    case 0x74:
      return i32(x << y)
    case 0x76:
      return i32(x >>> y)
  }
  return undefined
}
/** Operations with a constant that change nothing. */
function foldIdentity(opcode: number, a: Expr, b: Expr): Expr | undefined {
  const zero = b.imm === 0n || b.imm === 0
  switch (opcode) {
    case 0x7c:
    case 0x7d:
    case 0x84:
    case 0x85:
    case 0x86:
    case 0x87:
    case 0x88:
    case 0x89:
    case 0x6a:
    case 0x6b:
    case 0x72:
    case 0x73:
    case 0x74:
    case 0x76: // biome-ignore format: opcodes
      return zero ? a : undefined
    case 0x83:
    case 0x71:
      return b.imm === -1n || b.imm === -1 ? a : undefined
  }
  return undefined
}
function foldUnary(opcode: number, a: Expr): Expr | undefined {
  switch (opcode) {
    case 0x45:
      return i32(a.imm === 0 ? 1 : 0)
    case 0x50:
      return i32(a.imm === 0n ? 1 : 0)
    case 0xa7:
      return i32(Number(BigInt.asIntN(32, a.imm as bigint)))
    case 0xac:
      return i64(a.imm as number)
    case 0xad:
      return i64((a.imm as number) >>> 0)
    case 0xc2:
    case 0xc3:
    case 0xc4:
      return a.type === 'i64' ? i64(BigInt.asIntN(8 << (opcode - 0xc2), a.imm as bigint)) : undefined
  }
  return undefined
}
/** A SIMD operator (prefix 0xfd). */
export const simd = (type: Type, opcode: number, ...args: Expr[]): Expr =>
  op(type, 0xfd0000 + opcode, ...args)
/** A SIMD operator with a lane number. */
export const lane = (type: Type, opcode: number, index: number, ...args: Expr[]): Expr => ({
  type,
  op: 0xfd0000 + opcode,
  args,
  imm: 0,
  aux: index,
})
export const shuffle = (lanes: Uint8Array, a: Expr, b: Expr): Expr => ({
  type: 'v128',
  op: 0xfd000d,
  args: [a, b],
  imm: 0,
  aux: 0,
  bytes: lanes,
})
const memory = (type: Type, opcode: number, align: number, offset: number, args: readonly Expr[]): Expr => ({
  type,
  op: opcode,
  args,
  imm: offset,
  aux: align,
})

/** Loads by size in bytes: zero-extended ('u') or sign-extended ('s'). Addresses are i32. */
const LOAD64 = { 1: [0x31, 0x30], 2: [0x33, 0x32], 4: [0x35, 0x34], 8: [0x29, 0x29] } as const
const LOAD32 = { 1: [0x2d, 0x2c], 2: [0x2f, 0x2e], 4: [0x28, 0x28] } as const
const ALIGN = { 1: 0, 2: 1, 4: 2, 8: 3, 16: 4 } as const
export const load64 = (size: 1 | 2 | 4 | 8, address: Expr, offset = 0, signed = false): Expr =>
  memory('i64', LOAD64[size][signed ? 1 : 0], 0, offset, [address])
export const load32 = (size: 1 | 2 | 4, address: Expr, offset = 0, signed = false): Expr =>
  memory('i32', LOAD32[size][signed ? 1 : 0], 0, offset, [address])
export const loadV = (address: Expr, offset = 0): Expr => memory('v128', 0xfd0000, 0, offset, [address])
export const loadF = (type: 'f32' | 'f64', address: Expr, offset = 0): Expr =>
  memory(type, type === 'f32' ? 0x2a : 0x2b, 0, offset, [address])
const STORE64 = { 1: 0x3c, 2: 0x3d, 4: 0x3e, 8: 0x37 } as const
const STORE32 = { 1: 0x3a, 2: 0x3b, 4: 0x36 } as const
/** Atomic loads and read-modify-writes; the address must be aligned. */
const ATOMIC_LOAD64 = { 1: 0x14, 2: 0x15, 4: 0x16, 8: 0x11 } as const
const ATOMIC_CMPXCHG64 = { 1: 0x4c, 2: 0x4d, 4: 0x4e, 8: 0x49 } as const
const ATOMIC_XCHG64 = { 1: 0x45, 2: 0x46, 4: 0x47, 8: 0x42 } as const
export const atomicLoad64 = (size: 1 | 2 | 4 | 8, address: Expr): Expr =>
  memory('i64', 0xfe0000 + ATOMIC_LOAD64[size], ALIGN[size], 0, [address])
export const atomicCmpxchg64 = (size: 1 | 2 | 4 | 8, address: Expr, expected: Expr, value: Expr): Expr =>
  memory('i64', 0xfe0000 + ATOMIC_CMPXCHG64[size], ALIGN[size], 0, [address, expected, value])
export const atomicXchg64 = (size: 1 | 2 | 4 | 8, address: Expr, value: Expr): Expr =>
  memory('i64', 0xfe0000 + ATOMIC_XCHG64[size], ALIGN[size], 0, [address, value])
export const atomicCmpxchg32 = (address: Expr, expected: Expr, value: Expr): Expr =>
  memory('i32', 0xfe0048, 2, 0, [address, expected, value])
export const atomicLoad32 = (address: Expr, offset = 0): Expr => memory('i32', 0xfe0010, 2, offset, [address])
export const atomicOr32 = (address: Expr, offset: number, value: Expr): Expr =>
  memory('i32', 0xfe0033, 2, offset, [address, value])

/** Place that a branch can go to. */
export interface Label {
  depth: number
}
export interface FunctionType {
  readonly params: readonly Type[]
  readonly results: readonly Type[]
}

/** Writes one function's body. */
export class FunctionWriter {
  code = new Bytes()
  readonly type: FunctionType
  readonly #locals: Type[] = []
  readonly #free = new Map<Type, number[]>()
  #depth = 0

  constructor(type: FunctionType) {
    this.type = type
  }

  param(index: number): Expr {
    return this.get(index, this.type.params[index]!)
  }
  local(type: Type): number {
    const reused = this.#free.get(type)?.pop()
    if (reused !== undefined) return reused
    this.#locals.push(type)
    return this.type.params.length + this.#locals.length - 1
  }
  release(local: number, type: Type): void {
    const list = this.#free.get(type)
    if (list === undefined) this.#free.set(type, [local])
    else list.push(local)
  }
  typeOf(local: number): Type {
    const params = this.type.params.length
    return local < params ? this.type.params[local]! : this.#locals[local - params]!
  }
  get(local: number, type = this.typeOf(local)): Expr {
    return { type, op: LOCAL, args: [], imm: local, aux: 0 }
  }
  set(local: number, value: Expr): void {
    this.#write(value)
    this.code.u8(0x21)
    this.code.u32(local)
  }
  /** Evaluates now, into a fresh local; the result may be used any number of times. Constants and locals that never change need none. */
  keep(value: Expr): Expr {
    if (value.op === CONST) return value
    const local = this.local(value.type)
    this.set(local, value)
    return this.get(local, value.type)
  }
  call(callee: number, result: Type, ...args: Expr[]): Expr {
    return { type: result, op: CALL, args, imm: callee, aux: 0 }
  }
  callIndirect(typeIndex: number, result: Type, slot: Expr, ...args: Expr[]): Expr {
    return { type: result, op: CALL_INDIRECT, args: [...args, slot], imm: typeIndex, aux: 0 }
  }
  /** A call without a result. */
  do(callee: number, ...args: Expr[]): void {
    for (const arg of args) this.#write(arg)
    this.code.u8(0x10)
    this.code.u32(callee)
  }
  drop(value: Expr): void {
    this.#write(value)
    this.code.u8(0x1a)
  }
  store64(size: 1 | 2 | 4 | 8, address: Expr, value: Expr, offset = 0): void {
    this.#store(STORE64[size], address, value, offset)
  }
  store32(size: 1 | 2 | 4, address: Expr, value: Expr, offset = 0): void {
    this.#store(STORE32[size], address, value, offset)
  }
  atomicStore32(address: Expr, value: Expr): void {
    this.#write(address)
    this.#write(value)
    for (const b of [0xfe, 0x17, 0x02, 0x00]) this.code.u8(b)
  }
  storeV(address: Expr, value: Expr, offset = 0): void {
    this.#write(address)
    this.#write(value)
    this.code.u8(0xfd)
    this.code.u32(0x0b)
    this.code.u32(0)
    this.code.u32(offset)
  }
  storeF(address: Expr, value: Expr, offset = 0): void {
    this.#store(value.type === 'f32' ? 0x38 : 0x39, address, value, offset)
  }
  #store(opcode: number, address: Expr, value: Expr, offset: number): void {
    this.#write(address)
    this.#write(value)
    this.code.u8(opcode)
    this.code.u32(0)
    this.code.u32(offset)
  }
  fill(address: Expr, byte: Expr, count: Expr): void {
    for (const arg of [address, byte, count]) this.#write(arg)
    for (const b of [0xfc, 0x0b, 0x00]) this.code.u8(b)
  }
  copy(to: Expr, from: Expr, count: Expr): void {
    for (const arg of [to, from, count]) this.#write(arg)
    for (const b of [0xfc, 0x0a, 0x00, 0x00]) this.code.u8(b)
  }
  fence(): void {
    for (const b of [0xfe, 0x03, 0x00]) this.code.u8(b)
  }

  /** Code that `append` puts where it belongs. */
  detour(write: () => void): Bytes {
    const before = this.code
    this.code = new Bytes()
    write()
    const written = this.code
    this.code = before
    return written
  }
  append(written: Bytes): void {
    this.code.appendAll(written)
  }
  block(body: (label: Label) => void): void {
    this.#nest(0x02, body)
  }
  loop(body: (label: Label) => void): void {
    this.#nest(0x03, body)
  }
  #nest(opcode: number, body: (label: Label) => void): void {
    this.code.u8(opcode)
    this.code.u8(0x40)
    const label = { depth: ++this.#depth }
    body(label)
    this.#depth--
    this.code.u8(0x0b)
  }
  /** An `if` whose condition is hardly ever true: engines put its code out of the way. */
  ifUnlikely(condition: Expr, then: () => void): void {
    this.if(condition, then, undefined, true)
  }
  if(condition: Expr, then: () => void, otherwise?: () => void, unlikely = false): void {
    this.#write(condition)
    if (unlikely) this.code.unlikely.push(this.code.length)
    this.code.u8(0x04)
    this.code.u8(0x40)
    this.#depth++
    then()
    if (otherwise !== undefined) {
      this.code.u8(0x05)
      otherwise()
    }
    this.#depth--
    this.code.u8(0x0b)
  }
  br(label: Label): void {
    this.code.u8(0x0c)
    this.code.u32(this.#depth - label.depth)
  }
  brIf(condition: Expr, label: Label): void {
    this.#write(condition)
    this.code.u8(0x0d)
    this.code.u32(this.#depth - label.depth)
  }
  brTable(selector: Expr, labels: readonly Label[], otherwise: Label): void {
    this.#write(selector)
    this.code.u8(0x0e)
    this.code.u32(labels.length)
    for (const label of labels) this.code.u32(this.#depth - label.depth)
    this.code.u32(this.#depth - otherwise.depth)
  }
  return(...values: Expr[]): void {
    for (const value of values) this.#write(value)
    this.code.u8(0x0f)
  }
  unreachable(): void {
    this.code.u8(0x00)
  }

  #write(e: Expr): void {
    const { code } = this
    if (e.op === CONST) {
      if (e.type === 'i32') {
        code.u8(0x41)
        code.s32(e.imm as number)
      } else if (e.type === 'i64') {
        code.u8(0x42)
        code.s64(e.imm as bigint)
      } else {
        code.u8(0xfd)
        code.u32(0x0c)
        code.append(e.bytes!)
      }
      return
    }
    for (const arg of e.args) this.#write(arg)
    if (e.op === LOCAL) {
      code.u8(0x20)
      code.u32(e.imm as number)
    } else if (e.op === CALL) {
      code.u8(0x10)
      code.u32(e.imm as number)
    } else if (e.op === CALL_INDIRECT) {
      code.u8(0x11)
      code.u32(e.imm as number)
      code.u32(0)
    } else if (e.op >= 0xfe0000) {
      code.u8(0xfe)
      code.u32(e.op - 0xfe0000)
      code.u32(e.aux)
      code.u32(e.imm as number)
    } else if (e.op >= 0xfd0000) this.#simd(e)
    else if (e.op >= 0xfc00) {
      code.u8(0xfc)
      code.u32(e.op - 0xfc00)
    } else {
      code.u8(e.op)
      if (e.op >= MEM_LOW && e.op <= MEM_HIGH) {
        code.u32(e.aux)
        code.u32(e.imm as number)
      }
    }
  }
  #simd(e: Expr): void {
    const { code } = this
    const opcode = e.op - 0xfd0000
    code.u8(0xfd)
    code.u32(opcode)
    if (opcode <= 0x0b) {
      code.u32(e.aux)
      code.u32(e.imm as number)
    } else if (opcode === 0x0d) code.append(e.bytes!)
    else if (opcode >= 0x15 && opcode <= 0x22) code.u8(e.aux)
  }

  body(): Bytes {
    const out = new Bytes()
    out.u32(this.#locals.length)
    for (const type of this.#locals) {
      out.u32(1)
      out.u8(TYPE_BYTE[type])
    }
    out.appendAll(this.code)
    out.u8(0x0b)
    return out
  }
}

/** Collects types, imports, functions and one table, and writes the module. */
export class ModuleWriter {
  readonly #types: FunctionType[] = []
  readonly #imports: { module: string; name: string; type: number }[] = []
  readonly #functions: { type: number; writer: FunctionWriter | undefined }[] = []
  readonly #exports: { name: string; index: number }[] = []
  readonly #table: number[] = []
  /** A table made here and exported, or one imported to be filled. */
  #tablePlace:
    | { readonly kind: 'export'; readonly size: number }
    | { readonly kind: 'import'; readonly size: number }
    | undefined

  type(params: readonly Type[], results: readonly Type[]): number {
    const found = this.#types.findIndex(
      (t) => `${t.params}` === `${params}` && `${t.results}` === `${results}`,
    )
    if (found >= 0) return found
    this.#types.push({ params, results })
    return this.#types.length - 1
  }
  /** All imports come before the first function. Returns the function index. */
  import(module: string, name: string, params: readonly Type[], results: readonly Type[]): number {
    if (this.#functions.length > 0) throw new Error('imports come before functions')
    this.#imports.push({ module, name, type: this.type(params, results) })
    return this.#imports.length - 1
  }
  /** Reserves an index, so that functions can call one another; `define` gives the body. */
  declare(params: readonly Type[], results: readonly Type[]): number {
    this.#functions.push({ type: this.type(params, results), writer: undefined })
    return this.#imports.length + this.#functions.length - 1
  }
  define(index: number, build: (f: FunctionWriter) => void): void {
    const entry = this.#functions[index - this.#imports.length]!
    const writer = new FunctionWriter(this.#types[entry.type]!)
    build(writer)
    entry.writer = writer
  }
  function(params: readonly Type[], results: readonly Type[], build: (f: FunctionWriter) => void): number {
    const index = this.declare(params, results)
    this.define(index, build)
    return index
  }
  export(name: string, index: number): void {
    this.#exports.push({ name, index })
  }
  /** Makes an empty table of this size and exports it as `table`. */
  exportTable(size: number): void {
    this.#tablePlace = { kind: 'export', size }
  }
  /** Imports the table `core.table`, which the slots of this module fill from 0 on. */
  importTable(size: number): void {
    this.#tablePlace = { kind: 'import', size }
  }
  /** Puts a function into the table; returns its slot. */
  tableSlot(index: number): number {
    this.#table.push(index)
    return this.#table.length - 1
  }

  /** The module's bytes. It imports `env.memory`: shared, of any size up to 4 GiB. */
  finish(): Uint8Array {
    const out = new Bytes()
    for (const b of [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]) out.u8(b)
    const section = (id: number, write: (b: Bytes) => void) => {
      const content = new Bytes()
      write(content)
      out.u8(id)
      out.sized(content)
    }
    section(1, (b) => {
      b.u32(this.#types.length)
      for (const type of this.#types) {
        b.u8(0x60)
        for (const list of [type.params, type.results]) {
          b.u32(list.length)
          for (const t of list) b.u8(TYPE_BYTE[t])
        }
      }
    })
    section(2, (b) => {
      const place = this.#tablePlace
      b.u32(this.#imports.length + (place?.kind === 'import' ? 2 : 1))
      for (const { module, name, type } of this.#imports) {
        b.name(module)
        b.name(name)
        b.u8(0x00)
        b.u32(type)
      }
      b.name('env')
      b.name('memory')
      for (const byte of [0x02, 0x03]) b.u8(byte)
      b.u32(1)
      b.u32(65536)
      if (place?.kind === 'import') {
        b.name('core')
        b.name('table')
        for (const byte of [0x01, 0x70, 0x01]) b.u8(byte)
        b.u32(place.size)
        b.u32(place.size)
      }
    })
    section(3, (b) => {
      b.u32(this.#functions.length)
      for (const { type } of this.#functions) b.u32(type)
    })
    const place = this.#tablePlace
    if (place?.kind === 'export')
      section(4, (b) => {
        for (const byte of [0x01, 0x70, 0x01]) b.u8(byte)
        b.u32(place.size)
        b.u32(place.size)
      })
    section(7, (b) => {
      b.u32(this.#exports.length + (place?.kind === 'export' ? 1 : 0))
      if (place?.kind === 'export') {
        b.name('table')
        b.u8(0x01)
        b.u32(0)
      }
      for (const { name, index } of this.#exports) {
        b.name(name)
        b.u8(0x00)
        b.u32(index)
      }
    })
    if (this.#table.length > 0)
      section(9, (b) => {
        for (const byte of [0x01, 0x00, 0x41, 0x00, 0x0b]) b.u8(byte)
        b.u32(this.#table.length)
        for (const index of this.#table) b.u32(index)
      })
    const bodies = this.#functions.map(({ writer }) => writer!.body())
    this.#branchHints(bodies, section)
    section(10, (b) => {
      b.u32(bodies.length)
      for (const body of bodies) b.sized(body)
    })
    return out.take()
  }

  /** Custom section of the branch hinting proposal: for each function the places of its unlikely branches. */
  #branchHints(bodies: readonly Bytes[], section: (id: number, write: (b: Bytes) => void) => void): void {
    const hinted = bodies.flatMap((body, n) => (body.unlikely.length > 0 ? [{ body, n }] : []))
    if (hinted.length === 0) return
    section(0, (b) => {
      b.name('metadata.code.branch_hint')
      b.u32(hinted.length)
      for (const { body, n } of hinted) {
        b.u32(this.#imports.length + n)
        b.u32(body.unlikely.length)
        for (const at of body.unlikely) {
          b.u32(at)
          b.u32(1)
          b.u8(0)
        }
      }
    })
  }
}

/**
 * C structures declared once: `struct(name, header, fields)` computes the layout by C's natural alignment, for
 * x86-64 and (alignment capped at 4, words of 4 bytes) for x86-32 callers.
 *
 * From one declaration come typed views, private copies, the rows of docs/xen-abi.md and the C probe that compares
 * with Xen's own headers. Offsets are never typed; padding is not a field. Bit fields are not supported.
 */

/** Whose layout: a 64-bit or a 32-bit guest's. */
export type Abi = 64 | 32

/** A field's type and meaning. `Value` is what a copy holds, `View` what a typed view gives. */
export interface Field<Value = unknown, View = Value> {
  readonly type: string
  readonly meaning: string
  size(abi: Abi): number
  align(abi: Abi): number
  read(view: DataView, at: number, abi: Abi): Value
  write(view: DataView, at: number, value: Value, abi: Abi): void
  view(view: DataView, at: number, abi: Abi): View
  /** The fields inside, where there are any. */
  readonly inner?: Struct<Fields>
}

// biome-ignore lint/suspicious/noExplicitAny: a structure holds fields of many types
export type Fields = Readonly<Record<string, Field<any, any>>>

export type ValueOf<F> = F extends Field<infer Value, infer _> ? Value : never
type ViewOf<F> = F extends Field<infer _, infer View> ? View : never
/** A private copy: every byte was read once. */
export type Values<F extends Fields> = { -readonly [K in keyof F]: ValueOf<F[K]> }
/** A live view: reading and assigning go to memory. */
export type View<F extends Fields> = { -readonly [K in keyof F]: ViewOf<F[K]> }

/** One line of the reference page. */
export interface Row {
  readonly path: string
  readonly type: string
  readonly offset64: number
  readonly offset32: number
  readonly size64: number
  readonly size32: number
  readonly meaning: string
}

function scalar<V>(
  type: string,
  bytes: number | 'word',
  read: (view: DataView, at: number, abi: Abi) => V,
  write: (view: DataView, at: number, value: V, abi: Abi) => void,
): (meaning?: string) => Field<V> {
  const size = (abi: Abi) => (bytes === 'word' ? abi / 8 : bytes)
  const align = (abi: Abi) => Math.min(size(abi), abi / 8)
  return (meaning = '') => ({ type, meaning, size, align, read, write, view: read })
}

export const u8 = scalar(
  'u8',
  1,
  (v, at) => v.getUint8(at),
  (v, at, x: number) => v.setUint8(at, x),
)
export const i8 = scalar(
  'i8',
  1,
  (v, at) => v.getInt8(at),
  (v, at, x: number) => v.setInt8(at, x),
)
export const u16 = scalar(
  'u16',
  2,
  (v, at) => v.getUint16(at, true),
  (v, at, x: number) => v.setUint16(at, x, true),
)
export const i16 = scalar(
  'i16',
  2,
  (v, at) => v.getInt16(at, true),
  (v, at, x: number) => v.setInt16(at, x, true),
)
export const u32 = scalar(
  'u32',
  4,
  (v, at) => v.getUint32(at, true),
  (v, at, x: number) => v.setUint32(at, x, true),
)
export const i32 = scalar(
  'i32',
  4,
  (v, at) => v.getInt32(at, true),
  (v, at, x: number) => v.setInt32(at, x, true),
)
export const u64 = scalar(
  'u64',
  8,
  (v, at) => v.getBigUint64(at, true),
  (v, at, x: bigint) => v.setBigUint64(at, x, true),
)
/** Not in Xen's headers; for layouts of our own. */
export const f64 = scalar(
  'f64',
  8,
  (v, at) => v.getFloat64(at, true),
  (v, at, x: number) => v.setFloat64(at, x, true),
)
/** xen_ulong_t, unsigned long: 8 bytes, or 4 for a 32-bit guest. */
export const ulong = scalar(
  'ulong',
  'word',
  (v, at, abi) => (abi === 64 ? v.getBigUint64(at, true) : BigInt(v.getUint32(at, true))),
  (v, at, x: bigint, abi) =>
    abi === 64 ? v.setBigUint64(at, x, true) : v.setUint32(at, Number(x & 0xffffffffn), true),
)
/** XEN_GUEST_HANDLE: a guest-virtual address. */
export const handle = scalar('handle', 'word', ulong().read, ulong().write)

/** A fixed number of bytes. The view is the memory itself. */
export function bytes(length: number, meaning = ''): Field<Uint8Array> {
  const over = (view: DataView, at: number) => new Uint8Array(view.buffer, view.byteOffset + at, length)
  return {
    type: `u8[${length}]`,
    meaning,
    size: () => length,
    align: () => 1,
    read: (view, at) => over(view, at).slice(),
    write: (view, at, value) => over(view, at).set(value.subarray(0, length)),
    view: over,
  }
}

/** Live elements of an array field. */
export interface ArrayView<V, W> {
  readonly length: number
  get(index: number): W
  set(index: number, value: V): void
}

/** `length` elements in a row; where C's length depends on the ABI, both are given. */
export function array<V, W>(
  of: Field<V, W>,
  length: number | Readonly<Record<Abi, number>>,
  meaning = of.meaning,
): Field<V[], ArrayView<V, W>> {
  const count = (abi: Abi) => (typeof length === 'number' ? length : length[abi])
  const at = (base: number, index: number, abi: Abi) => {
    if (!(index >= 0 && index < count(abi))) throw new RangeError(`index ${index} of ${count(abi)}`)
    return base + index * of.size(abi)
  }
  const shown = typeof length === 'number' ? length : `${length[64]}, 32-bit: ${length[32]}`
  return {
    type: `${of.type}[${shown}]`,
    meaning,
    size: (abi) => of.size(abi) * count(abi),
    align: of.align,
    read: (view, base, abi) =>
      Array.from({ length: count(abi) }, (_, i) => of.read(view, at(base, i, abi), abi)),
    write: (view, base, values, abi) => {
      for (const [i, value] of values.entries()) of.write(view, at(base, i, abi), value, abi)
    },
    view: (view, base, abi) => ({
      length: count(abi),
      get: (i) => of.view(view, at(base, i, abi), abi),
      set: (i, value) => of.write(view, at(base, i, abi), value, abi),
    }),
    ...(of.inner === undefined ? {} : { inner: of.inner }),
  }
}

/** A structure's layout for one ABI. */
export interface Layout<F extends Fields> {
  readonly abi: Abi
  readonly size: number
  readonly align: number
  readonly offsets: Readonly<Record<keyof F & string, number>>
  /** A live typed view; nothing is copied. */
  on(view: DataView, at?: number): View<F>
  /** A private copy, each byte read once: judge this, never the view. */
  copy(view: DataView, at?: number): Values<F>
  /** Writes the given fields, leaves the others. */
  write(view: DataView, at: number, values: Partial<Values<F>>): void
  /** A fresh buffer with the given fields, the rest zero. */
  bytes(values: Partial<Values<F>>): Uint8Array<ArrayBuffer>
}

export interface Struct<F extends Fields> {
  readonly name: string
  /** Header under xen/include/public, e.g. `grant_table.h`. Empty for our own layouts. */
  readonly header: string
  /** How C names the type. */
  readonly ctype: string
  readonly abis: readonly Abi[]
  readonly cnames: Readonly<Record<string, string>>
  readonly kind: 'struct' | 'union'
  readonly fields: F
  readonly x64: Layout<F>
  readonly x32: Layout<F>
  /** The layout of a caller's ABI. */
  for(abi: Abi): Layout<F>
  /** Of the 64-bit layout. */
  readonly size: number
  offsetof(field: keyof F & string): number
  on(view: DataView, at?: number): View<F>
  copy(view: DataView, at?: number): Values<F>
  /** This structure as a field of another. */
  in(meaning?: string): Field<Values<F>, View<F>>
  /** Rows of the reference page, nested fields as `a.b`. */
  rows(): Row[]
}

interface Options {
  /** How C names it, when not `struct <name>`. */
  readonly ctype?: string
  /** The layouts that exist in C, when not both. */
  readonly abis?: readonly Abi[]
  /** Fields whose path in C is another, e.g. inside a union. */
  readonly cnames?: Readonly<Record<string, string>>
}

const roundUp = (n: number, to: number) => Math.ceil(n / to) * to

function layOut<F extends Fields>(fields: F, kind: 'struct' | 'union', abi: Abi): Layout<F> {
  const offsets: Record<string, number> = {}
  let end = 0
  let align = 1
  for (const [name, field] of Object.entries(fields)) {
    const own = field.align(abi)
    const at = kind === 'union' ? 0 : roundUp(end, own)
    offsets[name] = at
    end = Math.max(end, at + field.size(abi))
    align = Math.max(align, own)
  }
  const size = roundUp(end, align)
  const entries = Object.entries(fields).map(([name, field]) => [name, field, offsets[name]!] as const)

  class LiveView {
    readonly view: DataView
    readonly at: number
    constructor(view: DataView, at: number) {
      this.view = view
      this.at = at
    }
  }
  // Accessors sit on a prototype of their own, so that fields called `view` or `at` cannot collide.
  const prototype = {}
  const inside = new WeakMap<object, LiveView>()
  for (const [name, field, offset] of entries) {
    Object.defineProperty(prototype, name, {
      enumerable: true,
      get(this: object) {
        const { view, at } = inside.get(this)!
        return field.view(view, at + offset, abi)
      },
      set(this: object, value: unknown) {
        const { view, at } = inside.get(this)!
        field.write(view, at + offset, value, abi)
      },
    })
  }
  const write = (view: DataView, at: number, values: Partial<Values<F>>) => {
    for (const [name, field, offset] of entries) {
      const value = (values as Record<string, unknown>)[name]
      if (value !== undefined) field.write(view, at + offset, value, abi)
    }
  }
  return {
    abi,
    size,
    align,
    offsets: offsets as Record<keyof F & string, number>,
    on(view, at = 0) {
      const live: object = Object.create(prototype)
      inside.set(live, new LiveView(view, at))
      return live as View<F>
    },
    copy(view, at = 0) {
      const out: Record<string, unknown> = {}
      for (const [name, field, offset] of entries) out[name] = field.read(view, at + offset, abi)
      return out as Values<F>
    },
    write,
    bytes(values) {
      const buffer = new Uint8Array(size)
      write(new DataView(buffer.buffer), 0, values)
      return buffer
    },
  }
}

function declare<const F extends Fields>(
  kind: 'struct' | 'union',
  name: string,
  header: string,
  fields: F,
  options: Options,
): Struct<F> {
  const x64 = layOut(fields, kind, 64)
  const x32 = layOut(fields, kind, 32)
  const of = (abi: Abi) => (abi === 64 ? x64 : x32)
  const self: Struct<F> = {
    name,
    header,
    ctype: options.ctype ?? `${kind} ${name}`,
    abis: options.abis ?? [64, 32],
    cnames: options.cnames ?? {},
    kind,
    fields,
    x64,
    x32,
    for: of,
    size: x64.size,
    offsetof: (field) => x64.offsets[field],
    on: x64.on,
    copy: x64.copy,
    in: (meaning = '') => ({
      type: name,
      meaning,
      size: (abi) => of(abi).size,
      align: (abi) => of(abi).align,
      read: (view, at, abi) => of(abi).copy(view, at),
      write: (view, at, value, abi) => of(abi).write(view, at, value),
      view: (view, at, abi) => of(abi).on(view, at),
      inner: self as unknown as Struct<Fields>,
    }),
    rows: () =>
      Object.entries(fields).flatMap(([field, f]) => {
        const row: Row = {
          path: field,
          type: f.type,
          offset64: x64.offsets[field]!,
          offset32: x32.offsets[field]!,
          size64: f.size(64),
          size32: f.size(32),
          meaning: f.meaning,
        }
        // Elements of arrays of structures have rows of their own declaration.
        if (f.inner === undefined || f.type !== f.inner.name) return [row]
        const nested = f.inner.rows().map((r) => ({
          ...r,
          path: `${field}.${r.path}`,
          offset64: row.offset64 + r.offset64,
          offset32: row.offset32 + r.offset32,
        }))
        return [row, ...nested]
      }),
  }
  return self
}

/** Declares a structure. Fields keep C's spelling and order. */
export function struct<const F extends Fields>(
  name: string,
  header: string,
  fields: F,
  options: Options = {},
): Struct<F> {
  return declare('struct', name, header, fields, options)
}

/** Declares a union: every field at offset 0. */
export function union<const F extends Fields>(
  name: string,
  header: string,
  fields: F,
  options: Options = {},
): Struct<F> {
  return declare('union', name, header, fields, options)
}

/** A structure with its field names and values, for traces. */
export function dump(name: string, values: Readonly<Record<string, unknown>>): string {
  const show = (value: unknown): string =>
    typeof value === 'bigint' || typeof value === 'number'
      ? `0x${value.toString(16)}`
      : value instanceof Uint8Array
        ? `[${value.length} bytes]`
        : Array.isArray(value)
          ? `[${value.map(show).join(' ')}]`
          : `{${Object.entries(value as object)
              .map(([k, v]) => `${k}=${show(v)}`)
              .join(' ')}}`
  return `${name} ${show(values)}`
}

/** One family of constants (`EVTCHNOP`, `XENMEM`) with its reverse look-up for traces. */
export interface Constants<T extends Readonly<Record<string, number>>> {
  readonly prefix: string
  readonly values: T
  /** The C name of a value, or the number in hex where there is none. */
  nameOf(value: number): string
}
export type Family<T extends Readonly<Record<string, number>>> = T & Constants<T>

export function constants<const T extends Readonly<Record<string, number>>>(
  prefix: string,
  values: T,
): Family<T> {
  const names = new Map(Object.entries(values).map(([name, value]) => [value, `${prefix}_${name}`]))
  return {
    ...values,
    prefix,
    values,
    nameOf: (value) => names.get(value) ?? `${prefix} 0x${value.toString(16)}`,
  }
}

/**
 * 9P2000.L on the wire: each message declared once, from which decoding of requests and encoding of replies follow.
 * Layouts are those of Linux' client (net/9p) and of diod's protocol text. Pure.
 *
 * Text is bytes to both sides, here a string with one character for each byte ("latin1"). Of the older dialects only
 * what .L uses is there.
 */

/** What is wrong with a request's bytes: they end too early, or a list is too long. */
export class Malformed extends Error {}

class Reader {
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  /** Steps over `count` bytes and says where they are. */
  #step(count: number): number {
    const at = this.#at
    // GUEST: lengths inside a message are the guest's; none leads out of it.
    if (count > this.#view.byteLength - at) throw new Malformed(`it ends ${count} bytes too early`)
    this.#at = at + count
    return at
  }
  u8 = (): number => this.#view.getUint8(this.#step(1))
  u16 = (): number => this.#view.getUint16(this.#step(2), true)
  u32 = (): number => this.#view.getUint32(this.#step(4), true)
  u64 = (): bigint => this.#view.getBigUint64(this.#step(8), true)
  /** A view, valid as long as the message. */
  bytes(count: number): Uint8Array {
    const at = this.#step(count)
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, count)
  }
}

class Writer {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  #step(count: number): number {
    this.at += count
    return this.at - count
  }
  u8 = (value: number): void => this.#view.setUint8(this.#step(1), value)
  u16 = (value: number): void => this.#view.setUint16(this.#step(2), value, true)
  u32 = (value: number): void => this.#view.setUint32(this.#step(4), value, true)
  u64 = (value: bigint): void => this.#view.setBigUint64(this.#step(8), value, true)
  bytes(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#step(bytes.length))
  }
}

/** A field's form. */
interface Form<V> {
  read(from: Reader): V
  write(to: Writer, value: V): void
}
type Forms = Readonly<Record<string, Form<unknown>>>
type ValueOf<F> = F extends { read(from: Reader): infer V } ? V : never
type Values<F extends Forms> = { readonly [K in keyof F]: ValueOf<F[K]> }

const form = <V>(read: (from: Reader) => V, write: (to: Writer, value: V) => void): Form<V> => ({
  read,
  write,
})
const u8 = form(
  (from) => from.u8(),
  (to, value: number) => to.u8(value),
)
const u16 = form(
  (from) => from.u16(),
  (to, value: number) => to.u16(value),
)
const u32 = form(
  (from) => from.u32(),
  (to, value: number) => to.u32(value),
)
const u64 = form(
  (from) => from.u64(),
  (to, value: bigint) => to.u64(value),
)
const text = form(
  (from) => latin1(from.bytes(from.u16())),
  (to, value: string) => {
    to.u16(value.length)
    for (let n = 0; n < value.length; n++) to.u8(value.charCodeAt(n))
  },
)
/** Bytes with a count of 32 bits before them. */
const data = form(
  (from) => from.bytes(from.u32()),
  (to, value: Uint8Array) => {
    to.u32(value.length)
    to.bytes(value)
  },
)
const list = <V>(item: Form<V>, most: number) =>
  form(
    (from): readonly V[] => {
      const count = from.u16()
      if (count > most) throw new Malformed(`a list of ${count}`)
      return Array.from({ length: count }, () => item.read(from))
    },
    (to, values: readonly V[]) => {
      to.u16(values.length)
      for (const value of values) item.write(to, value)
    },
  )

/** What a server knows a file by: `path` is unlike any other file's, `version` changes with the contents. */
export interface Qid {
  readonly type: number
  readonly version: number
  readonly path: bigint
}
export const QID_BYTES = 13
const qid = form(
  (from): Qid => ({ type: from.u8(), version: from.u32(), path: from.u64() }),
  (to, value: Qid) => {
    to.u8(value.type)
    to.u32(value.version)
    to.u64(value.path)
  },
)

export interface DirectoryItem {
  readonly qid: Qid
  /** Where reading goes on behind it. */
  readonly offset: bigint
  /** DT_*. */
  readonly type: number
  readonly name: string
}
/** Bytes of an item in a reply. */
export const itemBytes = (name: string): number => QID_BYTES + 8 + 1 + 2 + name.length
/** Items have no count, only a length in bytes. */
const items = form(
  (from): readonly DirectoryItem[] => {
    const inside = new Reader(from.bytes(from.u32()))
    const all: DirectoryItem[] = []
    for (;;) {
      try {
        all.push({ qid: qid.read(inside), offset: inside.u64(), type: inside.u8(), name: text.read(inside) })
      } catch (error) {
        if (error instanceof Malformed) return all
        throw error
      }
    }
  },
  (to, values: readonly DirectoryItem[]) => {
    to.u32(values.reduce((sum, { name }) => sum + itemBytes(name), 0))
    for (const item of values) {
      qid.write(to, item.qid)
      to.u64(item.offset)
      to.u8(item.type)
      text.write(to, item.name)
    }
  },
)

const message = <const Q extends Forms, const R extends Forms>(type: number, request: Q, reply: R) => ({
  type,
  request,
  reply,
})
const fid = u32
/** Names that one walk may take (MAXWELEM). */
const MAX_NAMES = 16

/** Requests by name; the type of a reply is one more than its request's. Fields in their order on the wire. */
export const MESSAGES = {
  statfs: message(
    8,
    { fid },
    {
      type: u32,
      bsize: u32,
      blocks: u64,
      bfree: u64,
      bavail: u64,
      files: u64,
      ffree: u64,
      fsid: u64,
      namelen: u32,
    },
  ),
  lopen: message(12, { fid, flags: u32 }, { qid, iounit: u32 }),
  lcreate: message(14, { fid, name: text, flags: u32, mode: u32, gid: u32 }, { qid, iounit: u32 }),
  symlink: message(16, { fid, name: text, target: text, gid: u32 }, { qid }),
  mknod: message(18, { fid, name: text, mode: u32, major: u32, minor: u32, gid: u32 }, { qid }),
  rename: message(20, { fid, directory: fid, name: text }, {}),
  readlink: message(22, { fid }, { target: text }),
  getattr: message(
    24,
    { fid, mask: u64 },
    {
      valid: u64,
      qid,
      mode: u32,
      uid: u32,
      gid: u32,
      nlink: u64,
      rdev: u64,
      size: u64,
      blksize: u64,
      blocks: u64,
      atimeSec: u64,
      atimeNsec: u64,
      mtimeSec: u64,
      mtimeNsec: u64,
      ctimeSec: u64,
      ctimeNsec: u64,
      btimeSec: u64,
      btimeNsec: u64,
      gen: u64,
      dataVersion: u64,
    },
  ),
  setattr: message(
    26,
    {
      fid,
      valid: u32,
      mode: u32,
      uid: u32,
      gid: u32,
      size: u64,
      atimeSec: u64,
      atimeNsec: u64,
      mtimeSec: u64,
      mtimeNsec: u64,
    },
    {},
  ),
  xattrwalk: message(30, { fid, newfid: fid, name: text }, { size: u64 }),
  xattrcreate: message(32, { fid, name: text, size: u64, flags: u32 }, {}),
  readdir: message(40, { fid, offset: u64, count: u32 }, { items }),
  fsync: message(50, { fid, datasync: u32 }, {}),
  lock: message(
    52,
    {
      fid,
      type: u8,
      flags: u32,
      start: u64,
      length: u64,
      process: u32,
      client: text,
    },
    { status: u8 },
  ),
  getlock: message(
    54,
    { fid, type: u8, start: u64, length: u64, process: u32, client: text },
    {
      type: u8,
      start: u64,
      length: u64,
      process: u32,
      client: text,
    },
  ),
  link: message(70, { directory: fid, fid, name: text }, {}),
  mkdir: message(72, { fid, name: text, mode: u32, gid: u32 }, { qid }),
  renameat: message(74, { from: fid, name: text, to: fid, newName: text }, {}),
  unlinkat: message(76, { fid, name: text, flags: u32 }, {}),
  version: message(100, { msize: u32, version: text }, { msize: u32, version: text }),
  auth: message(102, { afid: fid, uname: text, aname: text, uid: u32 }, { qid }),
  attach: message(104, { fid, afid: fid, uname: text, aname: text, uid: u32 }, { qid }),
  flush: message(108, { oldtag: u16 }, {}),
  walk: message(110, { fid, newfid: fid, names: list(text, MAX_NAMES) }, { qids: list(qid, MAX_NAMES) }),
  read: message(116, { fid, offset: u64, count: u32 }, { data }),
  write: message(118, { fid, offset: u64, data }, { count: u32 }),
  clunk: message(120, { fid }, {}),
  remove: message(122, { fid }, {}),
}

export type MessageName = keyof typeof MESSAGES
export type Request<M extends MessageName> = Values<(typeof MESSAGES)[M]['request']>
export type Reply<M extends MessageName> = Values<(typeof MESSAGES)[M]['reply']>

/** Before each message: u32 size of all, u8 type, u16 tag. */
export const HEADER_BYTES = 7
/** Before the data of a read or the items of a readdir. */
export const COUNT_BYTES = 4
const RLERROR = 7

const byType: ReadonlyMap<number, MessageName> = new Map(
  Object.entries(MESSAGES).map(([name, { type }]) => [type, name as MessageName]),
)

/** A request before its fields are read. */
export interface Envelope {
  readonly size: number
  readonly type: number
  readonly tag: number
}
export function readHeader(bytes: Uint8Array): Envelope {
  const from = new Reader(bytes)
  return { size: from.u32(), type: from.u8(), tag: from.u16() }
}

/** The request's name, undefined for a type that 9P2000.L does not have. */
export const nameOf = ({ type }: Envelope): MessageName | undefined => byType.get(type)

/** Fields of a whole message. Bytes behind the last are ignored. @throws Malformed */
export const decodeRequest = <M extends MessageName>(name: M, bytes: Uint8Array): Request<M> =>
  decode(MESSAGES[name].request, bytes) as Request<M>
export const encodeReply = <M extends MessageName>(
  into: Uint8Array,
  name: M,
  tag: number,
  reply: Reply<M>,
): Uint8Array => encode(into, MESSAGES[name].type + 1, tag, MESSAGES[name].reply, reply)

/** Instead of any reply: an error number of Linux. */
export const encodeError = (into: Uint8Array, tag: number, errno: number): Uint8Array =>
  encode(into, RLERROR, tag, { errno: u32 }, { errno })

/** The client's half, for frontends of tests. */
export const encodeRequest = <M extends MessageName>(
  into: Uint8Array,
  name: M,
  tag: number,
  request: Request<M>,
): Uint8Array => encode(into, MESSAGES[name].type, tag, MESSAGES[name].request, request)
/** A number is the error that came instead. @throws Malformed */
export function decodeReply<M extends MessageName>(name: M, bytes: Uint8Array): Reply<M> | number {
  const { type } = readHeader(bytes)
  if (type === RLERROR) return decode({ errno: u32 }, bytes)['errno'] as number
  if (type !== MESSAGES[name].type + 1) throw new Malformed(`a reply of type ${type} to ${name}`)
  return decode(MESSAGES[name].reply, bytes) as Reply<M>
}

function decode(forms: Forms, bytes: Uint8Array): Record<string, unknown> {
  const from = new Reader(bytes.subarray(HEADER_BYTES))
  return Object.fromEntries(Object.entries(forms).map(([field, { read }]) => [field, read(from)]))
}

/** @throws RangeError if it does not fit */
function encode(into: Uint8Array, type: number, tag: number, forms: Forms, values: object): Uint8Array {
  const to = new Writer(into)
  to.at = HEADER_BYTES
  for (const [field, { write }] of Object.entries(forms))
    write(to, (values as Record<string, unknown>)[field])
  const size = to.at
  to.at = 0
  to.u32(size)
  to.u8(type)
  to.u16(tag)
  return into.subarray(0, size)
}

function latin1(bytes: Uint8Array): string {
  let out = ''
  for (const byte of bytes) out += String.fromCharCode(byte)
  return out
}

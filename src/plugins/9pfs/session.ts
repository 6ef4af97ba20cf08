/**
 * A 9P2000.L session: the guest's file handles (fids) and one handler for each message, over a shared folder.
 *
 * A handler answers its reply, or a promise of it where the disk is waited for; what it throws with an error number is
 * the guest's answer. Left out, with EOPNOTSUPP: extended attributes, authentication, rename and remove by fid (clients
 * use renameat and unlinkat). Locks are granted: a guest's own kernel has judged them, and nobody else asks here.
 */
import type { Log } from '../../base/log.ts'
import type { Change, Entry, Listing, OpenFile, OpenHow } from './folder.ts'
import {
  COUNT_BYTES,
  type DirectoryItem,
  decodeRequest,
  type Envelope,
  encodeError,
  encodeReply,
  HEADER_BYTES,
  itemBytes,
  Malformed,
  type MessageName,
  nameOf,
  type Qid,
  type Reply,
  type Request,
  readHeader,
} from './protocol.ts'
import { ERRNO, Refusal } from './refusal.ts'

/** A file handle of the guest: where it stands, and what it has opened there. */
interface Fid {
  readonly entry: Entry
  /** Of the user who attached: what is made through it belongs to that user. */
  readonly uid: number
  file?: OpenFile
  listing?: Listing
}

type Answer<M extends MessageName> = Reply<M> | Promise<Reply<M>>
type Handlers = { readonly [M in MessageName]: (request: Request<M>, tag: number) => Answer<M> }

export interface SessionOptions {
  readonly root: Entry
  /** The largest message that the rings carry. */
  readonly maxMessage: number
  readonly maxFids: number
  /** Files that may be open at a time (xl: max-open-files). */
  readonly maxOpenFiles: number
  readonly log: Log
}

const NO_FID = 0xffffffff
const NO_TAG = 0xffff
const VERSION = '9P2000.L'
const SMALLEST_MESSAGE = 4096
/** v9fs' own limit of what a file's name may be. */
const NAME_MAX = 255

/** Flags of open, as 9P2000.L has them on every architecture. */
const OPEN = {
  ACCESS: 3,
  EXCL: 0o200,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  DSYNC: 0o10000,
  SYNC: 0o4000000,
} as const
const ACCESS: readonly (OpenHow['access'] | undefined)[] = ['read', 'write', 'both']
/** Which attributes a setattr means. */
const SET = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 16,
  MTIME: 32,
  ATIME_SET: 128,
  MTIME_SET: 256,
} as const
/** All attributes that stat(2) knows, as a getattr says it. */
const GETATTR_BASIC = 0x7ffn
const AT_REMOVEDIR = 0x200
const SECOND = 1_000_000_000n
const LOCK_SUCCESS = 0
const UNLOCKED = 2

export class Session {
  readonly #options: SessionOptions
  readonly #fids = new Map<number, Fid>()
  readonly #waiting = new Map<number, Promise<unknown>>()
  /** What was read last; copied into the reply before the next request. */
  readonly #scratch: Uint8Array
  #msize: number
  #openFiles = 0
  readonly #handlers: Handlers

  constructor(options: SessionOptions) {
    this.#options = options
    this.#msize = options.maxMessage
    this.#scratch = new Uint8Array(options.maxMessage)
    this.#handlers = this.#makeHandlers()
  }

  /** The largest message there may be from now on. */
  get maxMessage(): number {
    return this.#msize
  }
  get fids(): number {
    return this.#fids.size
  }

  /**
   * Serves one whole request. `reply` is called once, with bytes that are `buffer`'s: at once, or later from a promise.
   * `buffer` has room for `maxMessage` bytes. The request's bytes are not needed after the call.
   */
  serve(request: Uint8Array, buffer: Uint8Array, reply: (bytes: Uint8Array) => void): void {
    const envelope = readHeader(request)
    const { tag } = envelope
    const name = nameOf(envelope)
    if (name === undefined) {
      reply(encodeError(buffer, tag, ERRNO.EOPNOTSUPP))
      return
    }
    try {
      const answer = this.#handle(name, request, envelope)
      if (!(answer instanceof Promise)) {
        reply(encodeReply(buffer, name, tag, answer))
        return
      }
      const done = answer.then(
        (later) => reply(encodeReply(buffer, name, tag, later)),
        (error: unknown) => reply(encodeError(buffer, tag, this.#errnoOf(name, error))),
      )
      this.#waiting.set(tag, done)
      void done.finally(() => this.#waiting.delete(tag))
    } catch (error) {
      reply(encodeError(buffer, tag, this.#errnoOf(name, error)))
    }
  }

  #handle<M extends MessageName>(name: M, request: Uint8Array, { tag }: Envelope): Answer<M> {
    return this.#handlers[name](decodeRequest(name, request), tag)
  }

  #errnoOf(name: MessageName, error: unknown): number {
    if (error instanceof Malformed) return ERRNO.EINVAL
    const { errno } = error as { errno?: unknown }
    if (typeof errno === 'number' && errno < 0 && errno > -4096) return -errno
    this.#options.log.error(`9p ${name}: ${error instanceof Error ? error.stack : String(error)}`)
    return ERRNO.EIO
  }

  /** Lets every handle go. What waits for the disk ends by itself. */
  close(): void {
    for (const number of [...this.#fids.keys()]) this.#clunk(number)
  }
  /** Settles when nothing waits for the disk. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#waiting.values())
  }

  #fid(number: number): Fid {
    const fid = this.#fids.get(number)
    if (fid === undefined) throw new Refusal('EBADF')
    return fid
  }
  /** GUEST: as many handles as the host allows, each with a number of its own. */
  #mustBeFree(number: number): void {
    if (number === NO_FID || this.#fids.has(number)) throw new Refusal('EBADF')
    if (this.#fids.size >= this.#options.maxFids) throw new Refusal('EMFILE')
  }
  #clunk(number: number): void {
    const fid = this.#fid(number)
    this.#fids.delete(number)
    if (fid.file !== undefined) this.#openFiles--
    fid.file?.close()
    fid.listing?.close()
    fid.entry.release()
  }

  #makeHandlers(): Handlers {
    const unsupported = (): never => {
      throw new Refusal('EOPNOTSUPP')
    }
    return {
      version: ({ msize, version }, tag) => {
        if (tag !== NO_TAG || msize < SMALLEST_MESSAGE) throw new Refusal('EINVAL')
        this.close()
        this.#msize = Math.min(msize, this.#options.maxMessage)
        return { msize: this.#msize, version: version.startsWith(VERSION) ? VERSION : 'unknown' }
      },
      auth: unsupported,
      attach: ({ fid, uid }) => {
        this.#mustBeFree(fid)
        const { root } = this.#options
        const qid = root.qid()
        this.#fids.set(fid, { entry: root.hold(), uid })
        return { qid }
      },
      flush: ({ oldtag }) => {
        const other = this.#waiting.get(oldtag)
        return other === undefined ? {} : other.then(() => ({}))
      },
      walk: (request) => this.#walk(request),
      clunk: ({ fid }) => {
        this.#clunk(fid)
        return {}
      },
      remove: ({ fid }) => {
        this.#clunk(fid)
        return unsupported()
      },
      rename: unsupported,

      lopen: ({ fid, flags }) => {
        const open = this.#closed(fid)
        if (open.entry.isDirectory) {
          if ((flags & OPEN.ACCESS) !== 0) throw new Refusal('EISDIR')
          open.listing = open.entry.list()
        } else {
          this.#countOpen()
          open.file = open.entry.open(openHow(flags))
          this.#openFiles++
        }
        return { qid: open.entry.qid(), iounit: 0 }
      },
      lcreate: ({ fid: number, name, flags, mode, gid }) => {
        const { entry: directory, uid } = this.#closed(number)
        this.#countOpen()
        const how = openHow(flags)
        const made = directory.create(name, how, (flags & OPEN.EXCL) !== 0, mode, { uid, gid })
        this.#openFiles++
        // The handle stands on the new file from now on.
        this.#fids.set(number, { ...made, uid })
        directory.release()
        return { qid: made.entry.qid(), iounit: 0 }
      },
      read: ({ fid, offset, count }) => {
        const { file } = this.#fid(fid)
        if (file === undefined) throw new Refusal('EBADF')
        const room = Math.min(count, this.#msize - HEADER_BYTES - COUNT_BYTES)
        const into = this.#scratch.subarray(0, room)
        return { data: into.subarray(0, file.read(into, offset)) }
      },
      write: ({ fid, offset, data }) => {
        const { file } = this.#fid(fid)
        if (file === undefined) throw new Refusal('EBADF')
        return { count: file.write(data, offset) }
      },
      fsync: async ({ fid, datasync }) => {
        const { file, entry } = this.#fid(fid)
        if (file !== undefined) await file.sync(datasync !== 0)
        else if (entry.isDirectory) await entry.sync()
        return {}
      },
      readdir: (request) => this.#readdir(request),

      getattr: ({ fid }) => attributes(this.#fid(fid).entry),
      setattr: (request) => {
        this.#fid(request.fid).entry.change(changeOf(request))
        return {}
      },
      statfs: ({ fid }) => {
        const { type, bsize, blocks, bfree, bavail, files, ffree } = this.#fid(fid).entry.fileSystem()
        const numbers = { blocks, bfree, bavail, files, ffree, fsid: 0n }
        return { type: Number(type), bsize: Number(bsize), ...numbers, namelen: NAME_MAX }
      },
      readlink: ({ fid }) => ({ target: this.#fid(fid).entry.target() }),

      mkdir: ({ fid, name, mode, gid }) => {
        const { entry, uid } = this.#fid(fid)
        return { qid: entry.makeDirectory(name, mode, { uid, gid }) }
      },
      symlink: ({ fid, name, target, gid }) => {
        const { entry, uid } = this.#fid(fid)
        return { qid: entry.makeLink(name, target, { uid, gid }) }
      },
      mknod: ({ fid, name, mode, gid }) => {
        const { entry, uid } = this.#fid(fid)
        return { qid: entry.makeNode(name, mode, { uid, gid }) }
      },
      link: ({ directory, fid, name }) => {
        this.#fid(directory).entry.addName(this.#fid(fid).entry, name)
        return {}
      },
      renameat: ({ from, name, to, newName }) => {
        this.#fid(from).entry.rename(name, this.#fid(to).entry, newName)
        return {}
      },
      unlinkat: ({ fid, name, flags }) => {
        this.#fid(fid).entry.remove(name, (flags & AT_REMOVEDIR) !== 0)
        return {}
      },

      lock: ({ fid }) => {
        this.#fid(fid)
        return { status: LOCK_SUCCESS }
      },
      getlock: ({ fid, start, length, process, client }) => {
        this.#fid(fid)
        return { type: UNLOCKED, start, length, process, client }
      },
      xattrwalk: unsupported,
      xattrcreate: unsupported,
    }
  }

  /** A handle that has nothing open. */
  #closed(number: number): Fid {
    const fid = this.#fid(number)
    if (fid.file !== undefined || fid.listing !== undefined) throw new Refusal('EBADF')
    return fid
  }
  #countOpen(): void {
    if (this.#openFiles >= this.#options.maxOpenFiles) throw new Refusal('EMFILE')
  }

  /** The new handle is there only if every name was found. */
  #walk({ fid, newfid, names }: Request<'walk'>): Reply<'walk'> {
    const from = this.#fid(fid)
    if (newfid !== fid) this.#mustBeFree(newfid)
    else this.#closed(fid)
    const qids: Qid[] = []
    let entry = from.entry.hold()
    for (const name of names) {
      try {
        const child = entry.child(name)
        entry.release()
        entry = child
        qids.push(entry.qid())
      } catch (error) {
        entry.release()
        if (qids.length === 0) throw error
        return { qids }
      }
    }
    if (newfid === fid) from.entry.release()
    this.#fids.set(newfid, { entry, uid: from.uid })
    return { qids }
  }

  /** `.` and `..` come first. Above a directory the guest is not told what there is: it knows where it came from. */
  #readdir({ fid, offset, count }: Request<'readdir'>): Reply<'readdir'> {
    const directory = this.#fid(fid)
    const { entry } = directory
    let { listing } = directory
    if (listing === undefined) throw new Refusal('EBADF')
    let room = Math.min(count, this.#msize - HEADER_BYTES - COUNT_BYTES)
    const items: DirectoryItem[] = []
    const put = (item: DirectoryItem): boolean => {
      room -= itemBytes(item.name)
      // Nothing at all would mean the end.
      if (room < 0 && items.length === 0) throw new Refusal('EINVAL')
      if (room < 0) return false
      items.push(item)
      return true
    }
    for (let at = offset; at < 2n; at++) {
      const own = { qid: entry.qid(), type: 4, offset: at + 1n, name: at === 0n ? '.' : '..' }
      if (!put(own)) return { items }
    }
    const skip = offset > 2n ? offset - 2n : 0n
    if (listing.position > skip) {
      listing.close()
      delete directory.listing
      listing = entry.list()
      directory.listing = listing
    }
    for (let name = listing.peek(); name !== undefined; name = listing.peek()) {
      if (listing.position < skip) {
        listing.take()
        continue
      }
      const found = look(entry, name)
      if (found !== undefined && !put({ ...found, offset: listing.position + 3n, name })) break
      listing.take()
    }
    return { items }
  }
}

/** Undefined for a name that has gone since the directory was read. */
function look(entry: Entry, name: string): { readonly qid: Qid; readonly type: number } | undefined {
  try {
    return entry.qidOf(name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function openHow(flags: number): OpenHow {
  const access = ACCESS[flags & OPEN.ACCESS]
  if (access === undefined) throw new Refusal('EINVAL')
  const sync = (flags & OPEN.SYNC) !== 0 ? 'all' : (flags & OPEN.DSYNC) !== 0 ? 'data' : 'no'
  return { access, truncate: (flags & OPEN.TRUNC) !== 0, append: (flags & OPEN.APPEND) !== 0, sync }
}

function changeOf(request: Request<'setattr'>): Change {
  const { valid, mode, uid, gid, size } = request
  const has = (bit: number) => (valid & bit) !== 0
  const time = (bit: number, exact: number, seconds: bigint, nanoseconds: bigint) => {
    if (!has(bit)) return undefined
    return has(exact) ? ([BigInt.asIntN(64, seconds), nanoseconds % SECOND] as const) : 'now'
  }
  const access = time(SET.ATIME, SET.ATIME_SET, request.atimeSec, request.atimeNsec)
  const modification = time(SET.MTIME, SET.MTIME_SET, request.mtimeSec, request.mtimeNsec)
  return {
    ...(has(SET.MODE) ? { mode } : {}),
    ...(has(SET.UID) ? { uid } : {}),
    ...(has(SET.GID) ? { gid } : {}),
    ...(has(SET.SIZE) ? { size } : {}),
    ...(access === undefined ? {} : { access }),
    ...(modification === undefined ? {} : { modification }),
  }
}

function attributes(entry: Entry): Reply<'getattr'> {
  const stats = entry.attributes()
  const { nlink, rdev, size, blksize, blocks } = stats
  // Before 1970 seconds are negative; nanoseconds never are.
  const split = (ns: bigint) => {
    const nanoseconds = ((ns % SECOND) + SECOND) % SECOND
    return [(ns - nanoseconds) / SECOND, nanoseconds] as const
  }
  const [atimeSec, atimeNsec] = split(stats.atimeNs)
  const [mtimeSec, mtimeNsec] = split(stats.mtimeNs)
  const [ctimeSec, ctimeNsec] = split(stats.ctimeNs)
  return {
    valid: GETATTR_BASIC,
    qid: entry.qid(stats),
    mode: Number(stats.mode),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    ...{ nlink, rdev, size, blksize, blocks },
    ...{ atimeSec, atimeNsec, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec },
    ...{ btimeSec: 0n, btimeNsec: 0n, gen: 0n, dataVersion: 0n },
  }
}
